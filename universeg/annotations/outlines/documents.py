"""JSON and XML from strangers: bounded in size and depth, and never more than they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

from megamedical.errors import SubjectError
from megamedical.files.disk import in_words

_LARGEST = 1 << 28  # bytes
_DEEPEST = 64  # elements in each other


def read_json(path: Path) -> Any:  # noqa: ANN401  (whatever it holds)
    """What a JSON file holds; numbers are finite.

    Raises:
        SubjectError: it is no JSON, or larger or deeper than annotations are.
    """
    try:
        return parse_json(_text(path))
    except RecursionError:
        reason = "is nested deeper than annotations are"
    except ValueError as error:
        reason = f"is no JSON, or a damaged one: {error}"
    raise SubjectError("read", path.name, reason)


def parse_json(text: str) -> Any:  # noqa: ANN401  (whatever it holds)
    """What a text in JSON holds.

    Raises:
        ValueError: it is none, or holds NaN.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, parse_constant=_no_number)


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file. One that declares a document type is refused, with all its entities.

    Raises:
        SubjectError: it is no XML, declares a type, or is larger or deeper than annotations are.
    """
    parser = ElementTree.XMLParser(target=_Careful())  # noqa: S314  (see above)
    try:
        parser.feed(_text(path))
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        raise SubjectError("read", path.name, f"is no XML that is read: {error}") from error
    return root


class _Careful(ElementTree.TreeBuilder):
    """Refuses what could make a small document a large one."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        del name, pubid, system
        raise ValueError("it declares a document type, which annotations need not")

    def start(self, tag: str, attrs: dict[str, str]) -> ElementTree.Element:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("it is nested deeper than annotations are")
        return super().start(tag, attrs)

    def end(self, tag: str) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)


def _text(path: Path) -> str:
    size = path.stat().st_size
    if size > _LARGEST:
        raise SubjectError(
            "read",
            path.name,
            f"has {in_words(size)}, more than the {in_words(_LARGEST)} that are read",
        )
    content = path.read_bytes()
    is_wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    return content.decode("utf-16" if is_wide else "utf-8-sig")


def _no_number(said: str) -> NoReturn:
    raise ValueError(f"it holds {said}, which is no number")
