"""Arrays as NumPy writes them: `.npy`, and `.npz`, a zip file of them."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.arrays.named import NamedArrays, expect_array
from megamedical.reading.contract import Grey, Part, Reader

_MOST = 1 << 34  # bytes that an array in a .npz may have: those of the largest scan in doubles
_DENSEST = 1032  # times its own size that zlib can make of what is packed


class NpyReader(Reader):
    """One array: a picture, or pictures along its first axis."""

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        del grey  # there are no colours
        array = _mapped(path)
        if array.ndim != 2:
            raise SubjectError("read", path.name, f"has shape {array.shape}, not (H, W)")
        expect_array(array.shape)
        return np.array(array)

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        stored = _mapped(path)
        expect_array(stored.shape, part.frame)
        return np.array(stored if part.frame is None else stored[part.frame])

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        del array  # has no name
        return int(_mapped(path).shape[0])


class NpzReader(NamedArrays):
    """A zip file of arrays, each with its checksum."""

    def named(self, path: Path, array: str) -> NDArray[Any]:
        """See `NamedArrays`."""
        with zipfile.ZipFile(path) as content:
            member = content.getinfo(f"{array}.npy")
            if member.file_size > min(_MOST, _DENSEST * member.compress_size + _DENSEST):
                raise ValueError(f"{array} claims {member.file_size:,} bytes: it is damaged")
            unpacked = content.read(member)
        file = io.BytesIO(unpacked)
        _expect_length(file, len(unpacked))
        found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return found


def _mapped(path: Path) -> NDArray[Any]:
    """The array of a file as it lies on the disk: nothing is read before its pixels are."""
    with path.open("rb") as file:
        _expect_length(file, path.stat().st_size)
    stored: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return stored


def _expect_length(file: IO[bytes], length: int) -> None:
    """Make sure that what a header claims is what follows it; the file is left at its beginning."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, _, kind = read.get(version, read[2, 0])(file)
    if kind.hasobject:
        raise ValueError("Object arrays cannot be loaded: nothing is unpickled")
    claimed = file.tell() + math.prod(shape) * kind.itemsize
    if claimed != length:
        raise ValueError(f"is damaged or cut off: it has {length} bytes, and claims {claimed}")
    file.seek(0)
