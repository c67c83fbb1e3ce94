"""The promise of the site: a page asks no other server for anything, and names no mailbox."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.errors import ExtensionError

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ASKS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=[\"'](?:https?:)?//"
    r"|<link\b(?=[^>]*\brel=[\"'](?:stylesheet|preload|preconnect|icon))[^>]*href=[\"'](?:https?:)?//"
    r"|href=[\"']mailto:"
)
_STYLE_ASKS = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")


def _look(app: Sphinx, error: Exception | None) -> None:
    if error:
        return
    for pattern, kind in ((_ASKS, "*.html"), (_STYLE_ASKS, "*.css")):
        for path in sorted(Path(app.outdir).rglob(kind)):
            if found := pattern.search(path.read_text(encoding="utf-8")):
                raise ExtensionError(f"{path} asks elsewhere, or mails: {found[0]}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Look at every page when all are written."""
    app.connect("build-finished", _look)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
