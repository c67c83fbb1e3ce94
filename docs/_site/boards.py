"""The boards: results that lie in the repository, checked, and ranked on a page for each suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.errors import ExtensionError

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_RESULTS = Path(__file__).resolve().parents[2] / "results"
_MARK = "<!-- boards -->"
_NONE = "There are no results yet."


def _suites() -> list[Path]:
    return sorted({path.parent for path in _RESULTS.glob("*/*.zip")})


def _list(app: Sphinx, _page: str, source: list[str]) -> None:
    """The list of boards, and the boards, in the page that asks for them."""
    if _MARK not in source[0]:
        return
    lines = []
    for suite in _suites():
        board = Path(app.outdir) / "board" / f"{suite.name}.html"
        board.parent.mkdir(parents=True, exist_ok=True)
        own = [f"--suite={file}" for file in suite.glob("suite.yaml")]
        for submission in sorted(suite.glob("*.zip")):
            _benchmark("check", submission, *own)
        _benchmark("leaderboard", suite, *own, "--html", board)
        names = ", ".join(f"`{path.name}`" for path in sorted(suite.glob("*.zip")))
        lines.append(f'- <a href="board/{suite.name}.html">{suite.name}</a>, of {names}')
    source[0] = source[0].replace(_MARK, "\n".join(lines) or _NONE)


def _benchmark(*asked: object) -> None:
    command = [sys.executable, "-m", "benchmark", *map(str, asked)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ExtensionError(f"{' '.join(command[2:])}:\n{ended.stderr}{ended.stdout}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the boards while their page is read."""
    app.connect("source-read", _list)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
