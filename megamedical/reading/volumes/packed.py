"""The bytes of a volume: unpacked once, checked on the way, never more than its header claims."""

from __future__ import annotations

import bz2
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError

Packing = Literal["", "gzip", "zlib", "bzip2"]

_AT_ONCE = 1 << 20  # bytes
_DENSEST = 1 << 16  # bytes at the most that come out of one, with bzip2; gzip makes 1032 of it
_GZIP = b"\x1f\x8b"


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file as it is, or what is packed in it with gzip: its name says nothing of that.

    Raises:
        SubjectError: what is packed in it is damaged, or is cut off.
    """
    with path.open("rb") as file:
        is_packed = file.read(2) == _GZIP
        file.seek(0)
        with unpacked(file, "gzip" if is_packed else "", path) as content:
            yield content


@contextmanager
def unpacked(file: BinaryIO, packing: Packing, path: Path) -> Iterator[BinaryIO]:
    """What follows in a file, unpacked, with its checksums tested on the way.

    Raises:
        SubjectError: it is damaged, or is cut off; or something else follows on it.
    """
    from isal import igzip, igzip_lib, isal_zlib

    content: Any = file
    broken: Any = isal_zlib.error
    of_zlib: Any = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_ZLIB)
    if packing == "gzip":
        content = igzip.IGzipFile(fileobj=file)
    elif packing == "zlib":
        content = _Unpacked(file, of_zlib)
    elif packing == "bzip2":
        content = _Unpacked(file, bz2.BZ2Decompressor())
    try:
        yield content
    except (EOFError, broken, BadGzipFile) as error:
        what = f"is damaged: {str(error).partition(' 0x')[0]}"
        if isinstance(error, EOFError):
            what = "is cut off, or ends in something else"
        elif "Not a gzipped file" in str(error):  # after what was one
            what = "is damaged, or ends in something else"
        raise SubjectError("read", path.name, f"{what}, while {packing} unpacks it") from error


def voxels_in(
    content: BinaryIO, kind: np.dtype[Any], shape: Sequence[int], path: Path
) -> NDArray[Any]:
    """The voxels that follow in a stream, in this machine's order of bytes.

    Args:
        content: the stream, where the first voxel begins.
        kind: the type of voxels as they are stored.
        shape: what the header claims, the axis that varies fastest last.
        path: the file.

    Raises:
        SubjectError: there are fewer bytes than the header claims.
    """
    voxels = np.empty(shape, kind)
    into = memoryview(voxels.reshape(-1).view(np.uint8).data)
    found = 0
    while found < len(into):
        count = content.readinto(into[found : found + _AT_ONCE])  # type: ignore[attr-defined]
        if not count:
            raise SubjectError(
                "read", path.name, f"is cut off: {found} bytes of voxels, {len(into)} are claimed"
            )
        found += count
    return voxels if kind.isnative else voxels.byteswap(inplace=True).view(kind.newbyteorder("="))


def expect_end(content: BinaryIO, least: int, path: Path) -> None:
    """Make sure that nothing follows on the voxels but padding: a few zeros.

    Args:
        content: the stream, after the last voxel.
        least: how many bytes would be left at least, had the header claimed one row, column or
            slice less than there is.
        path: the file.

    Raises:
        SubjectError: something does.
    """
    rest = content.read(least)
    if any(rest) or len(rest) == least or content.read(1):
        raise SubjectError("read", path.name, "holds more voxels than its header claims")


def expect_room(claimed: int, file: Path, path: Path) -> None:
    """Make sure that a file may hold what a header claims, before room is made for it.

    Args:
        claimed: bytes of voxels.
        file: where they are, packed or not.
        path: the file with the header.

    Raises:
        SubjectError: the file is too small, or this machine has less memory.
    """
    import psutil

    if claimed > file.stat().st_size * _DENSEST:
        raise SubjectError(
            "read", path.name, f"is cut off: {claimed} bytes of voxels are claimed, it has no room"
        )
    if claimed > psutil.virtual_memory().total:
        raise SubjectError("read", path.name, f"claims {claimed} bytes, more than the memory here")


class _Unpacked(io.RawIOBase):
    """A stream of what a decompressor makes of a file. Zeros may follow, as they do on tapes."""

    def __init__(self, file: BinaryIO, decompressor: bz2.BZ2Decompressor) -> None:
        self._file = file
        self._decompressor = decompressor

    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]
        unpacker = self._decompressor
        if not len(into):
            return 0
        while not unpacker.eof:
            packed = self._file.read(_AT_ONCE) if unpacker.needs_input else b""
            if unpacker.needs_input and not packed:
                raise EOFError
            content = unpacker.decompress(packed, len(into))
            if content:
                into[: len(content)] = content
                return len(content)
        if any(unpacker.unused_data) or any(self._file.read(_AT_ONCE)):
            raise BadGzipFile("something else follows on what is packed")
        return 0
