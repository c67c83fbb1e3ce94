"""What readers of arrays share: which arrays can be pictures, and how large they may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike, NDArray

from megamedical.reading.contract import Part, Reader
from megamedical.reading.limits import expect_picture, expect_volume

_COLOURS = 4  # red, green, blue and alpha; an axis so short counts channels


def expect_array(shape: Sequence[int], frame: int | None = None) -> None:
    """Make sure that an array, or one picture of it, is no larger than scans are.

    Raises:
        ValueError: it claims to be; or it has no such picture.
    """
    if frame is None:
        expect_volume(shape)
        if len(shape) == 2:
            expect_picture(shape)
        return
    if not shape or not 0 <= frame < shape[0]:
        raise ValueError(f"has no picture {frame}: its array is {tuple(shape)}")
    pixels = shape[1:-1] if len(shape) > 3 and shape[-1] <= _COLOURS else shape[1:]
    if len(pixels) <= 2:
        expect_picture(pixels)
    else:
        expect_volume(pixels)


def expect_numbers(kind: DTypeLike, name: str) -> None:
    """Make sure that an array holds numbers or text.

    Raises:
        ValueError: it holds objects, references or records.
    """
    import numpy as np

    if np.dtype(kind).kind not in "biufcSU":
        raise ValueError(f"{name or 'its array'} holds no numbers, but {np.dtype(kind)}")


class NamedArrays(Reader, ABC):
    """Arrays by name, of which the whole is read."""

    @abstractmethod
    def named(self, path: Path, array: str) -> NDArray[Any]:
        """The array of a name."""

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        found = self.named(path, part.array)
        expect_array(found.shape, part.frame)
        return found if part.frame is None else found[part.frame]

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        return int(self.named(path, array).shape[0])
