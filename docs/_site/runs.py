"""The directive `run`: a block of a page that is run while the site is built, with what it says.

```{run}
megamedical info --store store
```

Blocks of a page share a folder, which is empty at first. A block that ends otherwise than it says
(`:ends-with: 3`) fails the build. `{run} python` runs Python; `:shows: FILE` puts a picture that
was made beneath; `:last: N` shows the end of the output alone, `:silent:` none of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SECONDS = 120  # of one block
_COLUMNS = "100"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_WORK = "ran"  # folder beside the doctrees: pages are run in it

logger = logging.getLogger(__name__)


class Run(SphinxDirective):
    """A block that is run, and what it says."""

    optional_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "ends-with": directives.nonnegative_int,
        "shows": directives.unchanged_required,
        "alt": directives.unchanged_required,
        "last": directives.positive_int,
        "silent": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """The block, its output, and the picture that it made."""
        language = self.arguments[0] if self.arguments else "console"
        code = "\n".join(self.content)
        output = self._output(language, code) if self.config.run_blocks else ""
        shown = code if language == "python" else re.sub(r"(?m)^(?=\S)", "$ ", code)
        found: list[nodes.Node] = [nodes.literal_block(shown, shown, language=language)]
        if output and "silent" not in self.options:
            lines = output.splitlines()
            kept = lines[-self.options.get("last", len(lines)) :]
            text = "\n".join(["…"] * (len(kept) < len(lines)) + kept)
            said = nodes.literal_block(text, text, language="text")
            found.append(nodes.container("", said, classes=["ran-output"]))
        picture = self.options.get("shows")
        if picture and self.config.run_blocks:
            found.append(self._picture(picture))
        return found

    def _output(self, language: str, code: str) -> str:
        folder = _folder(self.env.app, self.env.docname)
        command = [sys.executable, "-c", code]
        if language != "python":
            command = ["bash", "-euo", "pipefail", "-c", code]
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                env=_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ExtensionError(f"{self.get_location()}: not done in {_SECONDS} s") from None
        expected = self.options.get("ends-with", 0)
        if ended.returncode != expected:
            raise ExtensionError(
                f"{self.get_location()}: ended with {ended.returncode}, not {expected}:\n"
                f"{code}\n{ended.stdout}"
            )
        return _COLOURS.sub("", ended.stdout).replace(str(folder), "…").strip("\n")

    def _picture(self, name: str) -> nodes.container:
        """A picture that was made, where Sphinx finds it."""
        made = _folder(self.env.app, self.env.docname) / name
        uri = os.path.relpath(made, Path(self.env.doc2path(self.env.docname)).parent)
        image = nodes.image(uri=uri, alt=self.options.get("alt", name))
        return nodes.container("", image, classes=["ran-picture"])


def _folder(app: Sphinx, page: str) -> Path:
    folder = Path(app.doctreedir) / _WORK / page.replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _environment() -> dict[str, str]:
    """As a reader's, with the commands of this installation, and without colours."""
    own = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([own, os.environ.get("PATH", "")]),
        "COLUMNS": _COLUMNS,
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
    }


def _begin(app: Sphinx) -> None:
    shutil.rmtree(Path(app.doctreedir) / _WORK, ignore_errors=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_config_value("run_blocks", default=True, rebuild="env", types=frozenset({bool}))
    app.add_directive("run", Run)
    app.connect("builder-inited", _begin)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
