"""The table of contents of a zip, looked at before it is read as a whole into memory."""

from __future__ import annotations

import os
import struct
from typing import IO

from megamedical.files.disk import in_words
from megamedical.unpacking.safe_folder import BOMB, Limits, Refused, shown

_TAIL = 66_000  # bytes: the longest comment, and the record before it
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = 20  # bytes
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LARGEST = 512 * 1024**2  # bytes
_LONGEST = 8 * 1024  # bytes of a name, of what is added to it, of a comment


def end_record(file: IO[bytes]) -> bytes:
    """The record at the end of a zip, and what comes after it; nothing where there is none."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _TAIL))
    tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    return tail[place:] if place >= 0 else b""


def refuse_large_directory(file: IO[bytes], limits: Limits) -> None:
    """Make sure that a zip lists no more, and at no greater length, than anybody's does.

    A zip whose end is damaged is left to its reader, which says so.

    Raises:
        Refused: it lists more files than `limits` has, or one with an endless name.
    """
    end = end_record(file)
    if len(end) < _END.size:
        return
    size = _END.unpack_from(end)[5]
    place = file.seek(0, os.SEEK_END) - len(end)
    before = place - _LOCATOR_64 - _END_64.size
    if before >= 0:
        file.seek(before)
        record = file.read(_END_64.size)
        if record.startswith(b"PK\x06\x06"):
            size, place = _END_64.unpack(record)[8], before
    if size > _LARGEST:
        raise Refused(f"has a table of contents of {in_words(size)}", BOMB)
    if size <= place:
        file.seek(place - size)
        _count(file, size, limits)
    file.seek(0)


def _count(file: IO[bytes], size: int, limits: Limits) -> None:
    count = passed = 0
    while passed < size:
        entry = file.read(_ENTRY.size)
        if len(entry) < _ENTRY.size or not entry.startswith(b"PK\x01\x02"):
            return
        lengths = _ENTRY.unpack(entry)[10:13]
        rest = file.read(sum(lengths))
        if max(lengths) > _LONGEST:
            raise Refused(
                f"lists {shown(rest[: lengths[0]].decode('utf-8', 'replace'))} with "
                f"{sum(lengths)} bytes of names and notes",
                BOMB,
            )
        passed += len(entry) + len(rest)
        count += 1
        if count > limits.entries:
            raise Refused(f"lists too many files: {limits.entries} are possible", BOMB)
