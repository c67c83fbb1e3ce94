"""YAML in which nothing is lost, and that is bounded, whoever wrote it.

A key that comes twice is an error, not the end of the first. So is what no file of facts has: very
many values, be they written down or repeated by aliases, deep nesting, dates that are none, numbers
beyond 64 bits, and characters that are orders.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1_000_000
_MOST_VALUES = 20_000  # keys among them, and what aliases repeat
_DEEPEST = 50
_LARGEST = 2**63

_MERGE = "tag:yaml.org,2002:merge"  # `<<: *other`, whose keys may come again
_ORDER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def read(path: Path) -> Any:  # noqa: ANN401
    """What safe YAML in a file says.

    Raises:
        OSError: it cannot be read.
        yaml.YAMLError: see `load`.
    """
    return load(read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or so many of them that `load` refuses it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def load(content: str | bytes) -> Any:  # noqa: ANN401
    """What safe YAML says.

    Raises:
        yaml.YAMLError: it is none, or not UTF-8; a key comes twice; or it is more, or odder, than
            facts are. The message has the line.
    """
    text = _text(content)
    _bound(text)
    try:
        return yaml.load(text, _Loader)  # noqa: S506
    except (ValueError, TypeError) as error:  # of a collection with a tag that it does not fit
        raise yaml.YAMLError(f"it cannot be read: {error}") from error


def _text(content: str | bytes) -> str:
    if len(content) > MOST_BYTES:
        raise yaml.YAMLError(f"it is longer than {MOST_BYTES:,} bytes")
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise yaml.YAMLError(f"line {line} is not UTF-8") from error
    if found := _ORDER.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise yaml.YAMLError(f"line {line} has a control character ({found[0]!r})")
    return text


def _bound(text: str) -> None:
    """Count the values of a text, as if all aliases were written out, before any is made."""
    open_: list[tuple[str | None, int]] = []  # anchors, and how many values came before
    sizes: dict[str, int] = {}  # how many an anchored one holds
    total = 0
    for event in yaml.parse(text, _Parser):
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _refused(
                    f"`*{event.anchor}` stands for nothing that is whole before it", mark
                )
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > _MOST_VALUES:
            raise _refused(f"it has more than {_MOST_VALUES:,} values, repeated ones counted", mark)
        if len(open_) > _DEEPEST:
            raise _refused(f"it is nested more than {_DEEPEST} deep", mark)


def _refused(problem: str, mark: Any) -> yaml.MarkedYAMLError:  # noqa: ANN401
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Parser):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for place in (key for key, _ in node.value if key.tag != _MERGE):
            key = self.construct_object(place, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise _refused(f"`{key}:` comes twice here", place.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401
        try:
            value = super().construct_object(node, deep)
        except (ValueError, OverflowError, LookupError, TypeError, AttributeError) as error:
            raise _refused(f"{_short(node)} is nothing that there is", node.start_mark) from error
        if isinstance(value, int) and abs(value) >= _LARGEST:
            raise _refused(f"{_short(node)} is too large a number", node.start_mark)
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(f"{_short(node)} is no number", node.start_mark)
        if isinstance(value, str) and (found := _ORDER.search(value)):
            raise _refused(f"it has a control character ({found[0]!r})", node.start_mark)
        return value


def _short(node: yaml.Node) -> str:
    return f"`{str(node.value)[:40]}`" if isinstance(node, yaml.ScalarNode) else "this"
