"""Links of pages to other files of the repository, which lie beside the pages on a code host.

Some files have a page of their own in the site; any other file that a page links to, or that lies
in a folder that it links to, is shown as it is, highlighted, below `source/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import escape
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.errors import ExtensionError

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_PAGES = {  # files of the repository that are pages here
    "README.md": "overview",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "weights/README.md": "reference/weights",
    "results/README.md": "project/results",
}
_LINK = re.compile(r"(?P<mark>!?)\[(?P<text>[^]]*)\]\((?P<target>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_TOC = "source"


def _begin(app: Sphinx) -> None:
    app.env.shown_files = set()  # of the repository, that pages link to


def _of_page(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = _mended(source[0], (_DOCS / page).parent, page, app.env.shown_files)


def _of_included(app: Sphinx, path: Path, _page: str, content: list[str]) -> None:
    folder = (_DOCS / path).resolve().parent
    content[0] = _mended(content[0], folder, app.env.docname, app.env.shown_files)


def _merge(_app: Sphinx, env: Any, _pages: Any, other: Any) -> None:  # noqa: ANN401
    env.shown_files |= other.shown_files


def _mended(text: str, folder: Path, page: str, shown: set[Path]) -> str:
    """A page's text with links that lead somewhere in the site; code is left alone."""

    def mend(prose: str) -> str:
        return _LINK.sub(lambda found: _link(found, folder, page, shown), prose)

    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [mend(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, mend(text[end:])])


def _link(found: re.Match[str], folder: Path, page: str, shown: set[Path]) -> str:
    target = (folder / found["target"]).resolve()
    anchor = found["anchor"] or ""
    if not target.is_relative_to(_ROOT) or not target.exists():
        if target.with_suffix(".md").exists():
            return found[0]
        raise ExtensionError(f"{page}: a link leads to {found['target']}, which is not there")
    here = (_DOCS / page).parent
    name = target.relative_to(_ROOT).as_posix()
    if name in _PAGES:
        target = _DOCS / f"{_PAGES[name]}.md"
    if target.is_relative_to(_DOCS):
        return f"{found['mark']}[{found['text']}]({_from(here, target)}{anchor})"
    shown.update(_files(target))
    where = _from(here, _DOCS / _TOC / f"{name}.html")
    return f'<a class="reference internal" href="{where}">{found["text"]}</a>'


def _files(target: Path) -> Iterator[Path]:
    yield target
    if target.is_dir():
        yield from (path for path in sorted(target.iterdir()) if path.is_file())


def _from(here: Path, target: Path) -> str:
    return Path(os.path.relpath(target, here)).as_posix()


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each file, and one for each folder."""
    for path in sorted(app.env.shown_files):
        name = path.relative_to(_ROOT).as_posix()
        if path.is_dir():
            links = (_item(path, each) for each in _files(path) if each != path)
            body = f"<ul>{''.join(links)}</ul>"
        else:
            body = app.builder.highlighter.highlight_block(  # type: ignore[attr-defined]
                path.read_text(encoding="utf-8"), _language(path)
            )
        context = {"title": name, "body": f"<h1><code>{escape(name)}</code></h1>{body}"}
        yield f"{_TOC}/{name}", context, "page.html"


def _item(folder: Path, path: Path) -> str:
    return f'<li><a href="{folder.name}/{path.name}.html"><code>{escape(path.name)}</code></a></li>'


def _language(path: Path) -> str:
    try:
        return str(get_lexer_for_filename(path.name).aliases[0])
    except ClassNotFound:
        return "text"


def setup(app: Sphinx) -> dict[str, Any]:
    """Mend links as pages are read, and add the files that they lead to."""
    app.connect("env-before-read-docs", lambda app, _env, _pages: _begin(app))
    app.connect("env-merge-info", _merge)
    app.connect("source-read", _of_page)
    app.connect("include-read", _of_included)
    app.connect("html-collect-pages", _pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
