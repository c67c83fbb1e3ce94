"""Fields that stand in a small text file beside the images, see `Lookup`."""

from __future__ import annotations

from collections.abc import Mapping

from megamedical.catalogue.annotation import Lookup
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.reading.text_tables import read_text
from megamedical.subjects.subject import Tree


def with_lookups(group: FileGroup, matched: Mapping[str, str], tree: Tree) -> dict[str, str]:
    """The fields of an image and those that are looked up, each with the help of those before.

    Raises:
        SubjectError: a file is missing or no text, or none of its keys has the value.
    """
    fields = dict(matched)
    for name, lookup in group.fields.items():
        fields[name] = _look_up(lookup, fields, tree)
    return fields


def _look_up(lookup: Lookup, fields: Mapping[str, str], tree: Tree) -> str:
    path = Pattern(lookup.file).fill(fields)
    if path not in tree:
        raise SubjectError("match", path, "this file is missing")
    wanted = Pattern(lookup.equals).fill(fields)
    lines = read_text(tree[path]).splitlines()
    entries = {key.strip(): value.strip() for key, _, value in (li.partition(":") for li in lines)}
    for key in lookup.keys:
        if key in entries and _same(entries[key], wanted):
            return key
    raise SubjectError("match", path, f"none of {', '.join(lookup.keys)} is {wanted}")


def _same(a: str, b: str) -> bool:
    return a == b or (a.isdecimal() and b.isdecimal() and int(a) == int(b))
