"""What pages have from the program itself: its commands, and the columns of its tables.

A page says `<!-- commands of megamedical.cli: megamedical -->`, or `<!-- tables of the store -->`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from megamedical.store.tables import TABLES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_COMMANDS = re.compile(r"<!-- commands of (?P<module>[\w.]+): (?P<name>[\w-]+) -->")
_TABLES = "<!-- tables of the store -->"


def _fill(_app: Sphinx, _page: str, source: list[str]) -> None:
    text = _COMMANDS.sub(lambda found: _commands(found["module"], found["name"]), source[0])
    source[0] = text.replace(_TABLES, "\n".join(_tables()))


def _commands(module: str, name: str) -> str:
    """The commands as Typer documents them, without the title, which the page has."""
    asked = [sys.executable, "-m", "typer", module, "utils", "docs", "--name", name]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    _, _, below = said.partition("\n")
    return re.sub(r"(?s)\*\*Commands\*\*:.*?(?=\n## )", "", below, count=1)


def _tables() -> Iterator[str]:
    for name, schema in TABLES.items():
        yield f"\n## `{name}.parquet`\n\n| column | type | meaning |\n|---|---|---|"
        for field in schema:
            meaning = (field.metadata or {}).get(b"meaning", b"").decode().replace("|", "\\|")
            yield f"| `{field.name}` | {_type(str(field.type))} | {_escaped(meaning)} |"


def _type(name: str) -> str:
    return f"`{name.replace(' not null', '')}`"


def _escaped(meaning: str) -> str:
    return meaning.replace("<", "&lt;")


def setup(app: Sphinx) -> dict[str, Any]:
    """Fill pages as they are read, before others look at their text."""
    app.connect("source-read", _fill, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
