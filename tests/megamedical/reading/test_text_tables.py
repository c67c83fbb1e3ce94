"""Tables as people and spreadsheets write them give the same cells, or are refused in words."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megamedical.errors import SubjectError
from megamedical.reading.spreadsheets import find_row
from megamedical.reading.text_tables import read_table, read_text

ROWS = [["image", "mask"], ["Größe 1.png", "m 1.png"], ["é.png", "ü.png"]]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]


def write(folder: Path, rows, delimiter=",", encoding="utf-8", end="\n") -> Path:
    path = folder / "a.csv"
    path.write_bytes("".join(delimiter.join(row) + end for row in rows).encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_cells_are_the_same_however_they_are_written(tmp_path, delimiter, encoding, end):
    path = write(tmp_path, ROWS, delimiter, encoding, end)
    assert read_table(path) == ROWS
    assert find_row(path, {"A": "é.png"}) == {"A": "é.png", "B": "ü.png"}


def test_utf_16_with_the_other_mark(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(codecs.BOM_UTF16_BE + "image,mask\nä,b\n".encode("utf-16-be"))
    assert read_table(path) == [["image", "mask"], ["ä", "b"]]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1,5;2,5\n", [["a", "b"], ["1,5", "2,5"]]),
        ("a,b\n1;5,2;5\n", [["a", "b"], ["1;5", "2;5"]]),
        ('a,b\n"x, y", z \n\n,\n', [["a", "b"], ["x, y", "z"]]),
        ("sep=;\r\na,1;b\r\nc;d\r\n", [["a,1", "b"], ["c", "d"]]),
        ("a,x;y\nb,c\n", [["a", "x;y"], ["b", "c"]]),
        ("a\nb\n", [["a"], ["b"]]),
        ("", []),
    ],
)
def test_what_parts_cells_is_seen(tmp_path, text, rows):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    assert read_table(path) == rows


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a,b;c\n1,2;3\n", "may be parted by commas or semicolons"),
        ("ä,ö\n".encode() + b"\xe4,b\n", "unknown encoding"),
        (b"a,b\n\x81\xe4,c\n", "unknown encoding"),
        (b"a,b\n1,\x00\n", "is no text"),
        (b"PK\x03\x04,\n", "is no text"),
        (b'a,b\n"1,2\n', "unexpected end of data"),
        (codecs.BOM_UTF16_LE + b"a\0,\0b", "unknown encoding"),
    ],
)
def test_what_is_ambiguous_or_damaged_is_refused(tmp_path, content, told):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(SubjectError, match=told) as refused:
        read_table(path)
    assert refused.value.file == "a.csv"


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.truncate(1 << 27)
    with pytest.raises(SubjectError, match="is larger than"):
        read_text(path)


@given(text=st.text(st.characters(codec="cp1252", exclude_categories=["C"])))
def test_any_text_comes_back_from_utf_8(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    assert read_text(path) == text.removeprefix("\ufeff")
