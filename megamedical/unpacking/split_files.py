"""Archives that come in several files, read as one: `a.z01 … a.zip`, and `a.zip.001 …`."""

from __future__ import annotations

import io
import os
import re
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate, count, takewhile
from pathlib import Path
from typing import IO, Any

from megamedical.unpacking.safe_folder import Refused
from megamedical.unpacking.zip_directory import end_record

_SAID_ELSEWHERE = 0x10000  # in the largest, whose number stands in another record


def parts_of(archive: Path) -> list[Path]:
    """The files of an archive, in their order: itself alone, unless others belong to it.

    `a.zip` comes after `a.z01`, `a.z02` …; `a.zip.001` before `a.zip.002` …
    """
    if archive.suffix == ".001":
        numbered = (archive.with_suffix(f".{number:03}") for number in count(1))
        return list(takewhile(Path.is_file, numbered))
    if archive.suffix.lower() == ".zip" and _files_of(archive) > 1:
        return [*_earlier(archive), archive]
    return [archive]


def size_of(archive: Path) -> int:
    """How many bytes all files of an archive have."""
    return sum(path.stat().st_size for path in parts_of(archive))


def open_parts(paths: Sequence[Path]) -> IO[bytes]:
    """Some files as one, to be read from anywhere."""
    return paths[0].open("rb") if len(paths) == 1 else io.BufferedReader(_Joined(paths))


def refuse_missing(archive: Path, found: int) -> None:
    """Make sure that no part of a split zip is missing.

    Raises:
        Refused: one is.
    """
    needed = _files_of(archive)
    if needed not in (found, _SAID_ELSEWHERE):
        raise Refused(
            f"is the last of {needed} parts, and {found - 1} others are here",
            f"Put {archive.stem}.z01 and so on beside it.",
        )


def _files_of(archive: Path) -> int:
    """How many files a zip was split into, as the record at its end says."""
    with archive.open("rb") as file:
        record = end_record(file)
    return int.from_bytes(record[4:6], "little") + 1 if record else 1


def _earlier(archive: Path) -> list[Path]:
    """`a.z01`, `a.z02` … beside `a.zip`, in small letters or capitals."""
    part = re.compile(re.escape(archive.stem) + r"\.z(\d\d+)", re.IGNORECASE)
    found = ((part.fullmatch(path.name), path) for path in archive.parent.iterdir())
    return [path for _, path in sorted((int(m[1]), path) for m, path in found if m)]


class _Joined(io.RawIOBase):
    """Some files, one after the other."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        with ExitStack() as stack:
            self._files = [stack.enter_context(path.open("rb")) for path in paths]
            self._starts = [0, *accumulate(path.stat().st_size for path in paths)]
            self._opened = stack.pop_all()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        if base + offset < 0:
            raise ValueError(f"there is no place {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (Python 3.12 has a name for it)
        if self._position >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._position) - 1
        file = self._files[number]
        file.seek(self._position - self._starts[number])
        length = file.readinto(buffer)
        self._position += length
        return length

    def close(self) -> None:
        self._opened.close()
        super().close()
