"""Fields that stand in a small text file beside the images or in a table: `Lookup`, `Cell`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from megamedical.catalogue.annotation import Cell, Lookup
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.reading.spreadsheets import find_named_row
from megamedical.reading.text_tables import read_text
from megamedical.subjects.subject import Tree


def with_lookups(group: FileGroup, matched: Mapping[str, str], tree: Tree) -> dict[str, str]:
    """The fields of an image and those that are looked up, each with the help of those before.

    Raises:
        SubjectError: a file is missing or no text, or none of its keys has the value, or no row of
            a table, or several, say what the image's does.
    """
    fields = dict(matched)
    for name, lookup in group.fields.items():
        path = Pattern(lookup.file).fill(fields)
        if path not in tree:
            raise SubjectError("match", path, "this file is missing")
        if isinstance(lookup, Cell):
            fields[name] = _cell(lookup, path, fields, tree)
        else:
            fields[name] = _key(lookup, path, fields, tree)
    return fields


def _cell(lookup: Cell, path: str, fields: Mapping[str, str], tree: Tree) -> str:
    cells = {column: Pattern(text).fill(fields) for column, text in lookup.row.items()}
    row = find_named_row(tree[path], cells, lookup.column)
    if lookup.column not in row:
        said = ", ".join(f"{text} in {column}" for column, text in cells.items())
        raise SubjectError("match", path, f"says nothing in {lookup.column} where it has {said}")
    return re.sub("[0-9]+", lambda number: number[0].zfill(lookup.digits), row[lookup.column])


def _key(lookup: Lookup, path: str, fields: Mapping[str, str], tree: Tree) -> str:
    wanted = Pattern(lookup.equals).fill(fields)
    lines = read_text(tree[path]).splitlines()
    entries = [[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]
    for key in lookup.keys:
        said = {value for name, value in entries if name == key}
        if len(said) > 1:
            raise SubjectError("match", path, f"says {key} twice: {' and '.join(sorted(said))}")
        if any(_same(value, wanted) for value in said):
            return key
    raise SubjectError("match", path, f"none of {', '.join(lookup.keys)} is {wanted}")


def _same(a: str, b: str) -> bool:
    return a == b or (a.isdecimal() and b.isdecimal() and int(a) == int(b))
