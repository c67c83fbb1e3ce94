"""Small text files as people and spreadsheets write them: UTF-8, UTF-16 or cp1252; `,` `;` or tabs.

The encoding is that of the mark at the beginning, or UTF-8; what is not UTF-8 at all is cp1252, as
Windows writes it. Cells are parted by what parts the first line, which names the columns.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from itertools import islice
from pathlib import Path

from megamedical.errors import SubjectError

_LARGEST = 1 << 26  # bytes
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SAID = re.compile(r"sep=([,;\t])\r?\n")  # a line that Excel writes and hides
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def read_text(path: Path) -> str:
    """The text of a small file.

    Raises:
        SubjectError: it is large, or no text; or nothing tells its encoding.
    """
    if path.stat().st_size > _LARGEST:
        raise SubjectError("read", path.name, f"is larger than {_LARGEST:,} bytes")
    text = _decoded(path.read_bytes(), path)
    if found := _NO_TEXT.search(text):
        raise SubjectError("read", path.name, f"is no text: it holds the character {found[0]!r}")
    return text


def read_table(path: Path) -> list[list[str]]:
    """The cells of each line of a table, the first line first, without the blanks around them.

    A line may have fewer cells than the first, or more; lines without any are left out.

    Raises:
        SubjectError: as `read_text`; or a quotation has no end, or two characters may part cells.
    """
    text = read_text(path)
    said = _SAID.match(text)
    if said:
        return _rows(text[said.end() :], said[1], path)
    return _rows(text, _parting(text, path), path)


def _parting(text: str, path: Path) -> str:
    """What parts the first line; where several may, the one that parts all lines alike."""
    found = [each for each in _DELIMITERS if max(_widths(text, each, most=1), default=0) > 1]
    if len(found) > 1:
        names = " or ".join(_DELIMITERS[each] for each in found)
        found = [each for each in found if len(_widths(text, each)) == 1]
        if len(found) != 1:
            raise SubjectError(
                "read", path.name, f"may be parted by {names}: save it with one of them only"
            )
    return found[0] if found else ","


def _widths(text: str, delimiter: str, most: int | None = None) -> set[int]:
    """How many cells the lines have, or the first so many; none where they make no sense."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return {len(row) for row in islice(filter(any, reader), most)}
    except csv.Error:
        return set()


def _decoded(content: bytes, path: Path) -> str:
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    for encoding in (marked,) if marked else (_unmarked(content), "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            if any(ord(letter) > 127 for letter in content.decode("utf-8", errors="ignore")):
                break  # most of it is UTF-8: it would be misread
    raise SubjectError("read", path.name, "is damaged, or of an unknown encoding: save it as UTF-8")


def _unmarked(content: bytes) -> str:
    """UTF-8, or UTF-16 where every second byte of the first letters is zero."""
    start = content[:64]
    if start and start.count(0) == len(start) // 2:
        if not any(start[1::2]):
            return "utf-16-le"
        if not any(start[::2]):
            return "utf-16-be"
    return "utf-8"


def _rows(text: str, delimiter: str, path: Path) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise SubjectError("read", path.name, f"line {reader.line_num}: {error}") from error
    return [row for row in rows if any(row)]
