"""Rows of a table, a cell of which is known by its column: a text file, or a sheet of `.xlsx`.

Of an `.xlsx` file openpyxl reads the first sheet.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from string import ascii_uppercase

from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.reading.library_errors import blaming
from megamedical.reading.text_tables import read_table

Row = Mapping[str, str]  # the text of each cell that is not empty, by its column: A to Z, or a name

_LARGEST = 1 << 28  # bytes unpacked
_TEXT = (".csv", ".tsv", ".txt")
_MOST = 1 << 16  # rows


def find_row(path: Path, cells: Row) -> Row:
    """The one row in which some cells say just this.

    Raises:
        SubjectError: the file is damaged or too large; or no row says it, or several do.
        MegaMedicalError: openpyxl is not installed.
    """
    with blaming(path):
        rows = _rows(path, path.stat().st_mtime_ns)
    return _only(rows, cells, path)


def find_named_row(path: Path, cells: Row, wanted: str) -> Row:
    """The one row in which some cells say just this, by columns that have the first row's names.

    Args:
        path: the table.
        cells: what is said, by column.
        wanted: the column that will be read of it.

    Raises:
        SubjectError: as `find_row`; or there is no such column, or two of one name.
        MegaMedicalError: openpyxl is not installed.
    """
    with blaming(path):
        names, *rows = _rows(path, path.stat().st_mtime_ns) or [{}]
    for name in cells:
        if name not in names.values():
            there = ", ".join(names.values()) or "none"
            raise SubjectError("match", path.name, f"has no column {name}; its columns: {there}")
    for name in (*cells, wanted):
        if [*names.values()].count(name) > 1:
            raise SubjectError("match", path.name, f"has two columns {name}: which is meant?")
    named = [{names[c]: text for c, text in row.items() if c in names} for row in rows]
    return _only(named, cells, path)


def _only(rows: Sequence[Row], cells: Row, path: Path) -> Row:
    wanted = {column: text.strip() for column, text in cells.items()}
    found = [row for row in rows if wanted.items() <= row.items()]
    if len(found) != 1:
        said = ", ".join(f"{text} in {column}" for column, text in wanted.items())
        count = f"{len(found)} rows have" if found else "no row has"
        raise SubjectError("match", path.name, f"{count} {said}")
    return found[0]


@lru_cache(maxsize=1)  # one file says it of all images
def _rows(path: Path, _changed: int) -> list[Row]:
    if path.suffix.lower() in _TEXT:
        rows = read_table(path)
        return [
            {column: text for column, text in zip(ascii_uppercase, row, strict=False) if text}
            for row in rows
        ]
    return _rows_of_sheet(path)


def _rows_of_sheet(path: Path) -> list[Row]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise MegaMedicalError(
            "Spreadsheets are read by openpyxl, which is not installed",
            "pip install 'megamedical[video]'",
        ) from None
    with zipfile.ZipFile(path) as content:
        if sum(member.file_size for member in content.infolist()) > _LARGEST:
            raise SubjectError("match", path.name, f"unpacks to more than {_LARGEST} bytes")
    with path.open("rb") as file:
        sheet = load_workbook(file, read_only=True, data_only=True).worksheets[0]
        sheet.reset_dimensions()  # a wrong one would hide rows
        rows = sheet.iter_rows(max_row=_MOST, max_col=len(ascii_uppercase), values_only=True)
        return [
            {
                column: _text(value)
                for column, value in zip(ascii_uppercase, row, strict=False)
                if value is not None
            }
            for row in rows
        ]


def _text(value: object) -> str:
    """What a cell shows: a whole number has no point."""
    is_whole = isinstance(value, float) and value.is_integer()
    return f"{value:.0f}" if is_whole else str(value).strip()
