"""Voxels that a text header describes: in which file they are, where in it, and how packed."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.volumes.packed import (
    Packing,
    expect_end,
    expect_room,
    unpacked,
    voxels_in,
)

_LONGEST = 1 << 22  # bytes of a header


@dataclass(frozen=True)
class Stored:
    """Where voxels are.

    `begins` is the byte at which they, or what they are packed in, begin in the file; None says
    that they end with it. `skipped` counts the bytes before them in what is unpacked, `packed`
    those in which they are packed, where more may follow. `size` has the lengths of the axes, the
    fastest first.
    """

    file: Path
    begins: int | None
    packing: Packing
    is_text: bool
    kind: np.dtype[Any]
    size: tuple[int, ...]
    skipped: int = 0
    packed: int | None = None

    def read(self, path: Path) -> NDArray[Any]:
        """All voxels, the axis that varies fastest last, in this machine's order of bytes.

        Args:
            path: the file with the header.

        Raises:
            SubjectError: they are damaged, or are fewer or more than the header claims.
        """
        length = math.prod(self.size) * self.kind.itemsize
        expect_room(length, self.file, path)
        with self.file.open("rb") as file:
            total = self.file.stat().st_size
            begins = total - length if self.begins is None else self.begins
            if not 0 <= begins <= total:
                raise SubjectError("read", path.name, f"is cut off: its voxels begin at {begins}")
            file.seek(begins)
            if self.is_text:
                return self._from_text(file.read(), path)
            within = file if self.packed is None else io.BytesIO(file.read(self.packed))
            with unpacked(within, self.packing, path) as content:
                if len(content.read(self.skipped)) < self.skipped:
                    raise SubjectError("read", path.name, "is cut off before its voxels")
                voxels = voxels_in(content, self.kind, self.size[::-1], path)
                expect_end(content, length // max(self.size), path)
        return voxels

    def _from_text(self, text: bytes, path: Path) -> NDArray[Any]:
        numbers = text.split()
        if len(numbers) != math.prod(self.size):
            claimed = math.prod(self.size)
            raise SubjectError(
                "read", path.name, f"holds {len(numbers)} voxels, its header claims {claimed}"
            )
        read = float if self.kind.kind == "f" else int
        voxels = np.array([read(number) for number in numbers], self.kind.newbyteorder("="))
        return voxels.reshape(self.size[::-1])


def header_lines(path: Path) -> tuple[list[str], int]:
    """The lines of text with which a file begins, to an empty one or `ElementDataFile`; its length.

    Raises:
        SubjectError: there is no end to them, or bytes among them are no text.
    """
    lines: list[str] = []
    with path.open("rb") as file:
        while line := file.readline(_LONGEST):
            text = line.decode("utf-8", errors="replace").rstrip("\r\n")
            if not text.strip():
                break
            if "\0" in text:  # in the place of what was lost, which may be whole lines
                raise SubjectError("read", path.name, "is damaged: its header has bytes of zero")
            lines.append(text)
            if file.tell() > _LONGEST:
                raise SubjectError("read", path.name, "is damaged: its header does not end")
            if text.partition("=")[0].strip() == "ElementDataFile":
                break
        return lines, file.tell()


def numbers_of(said: str, count: int, path: Path) -> list[float]:
    """So many numbers, as a header says them.

    Raises:
        SubjectError: it says others.
    """
    try:
        numbers = [float(text) for text in said.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise SubjectError("read", path.name, f"its header says {said!r}, not {count} numbers")
    return numbers


def sizes_of(said: str, count: int, path: Path) -> tuple[int, ...]:
    """So many whole numbers, as a header says them.

    Raises:
        SubjectError: it says others.
    """
    numbers = numbers_of(said, count, path)
    if any(number != int(number) for number in numbers):
        raise SubjectError("read", path.name, f"its header says {said!r}, not {count} lengths")
    return tuple(int(number) for number in numbers)
