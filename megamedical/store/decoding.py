"""A chunk of a shard into the slice that it holds: checked once, then copied or decompressed.

Masks are Blosc's LZ4 in almost always one block, the stream of which begins at a fixed place: it is
decompressed without the microseconds that the general way takes to prepare for one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import cramjam

from megamedical.store.array_layout import CHECKSUM, Layout

Unpack = Callable[[memoryview, memoryview], None]  # a chunk, and where its slice is wanted

_HEADER = struct.Struct("<4B3I")  # of Blosc: versions, flags, size of a value; sizes in bytes
_LENGTH = struct.Struct("<i")  # where a block begins; how long its stream is
_STREAM = _HEADER.size + 2 * _LENGTH.size  # where that of a single block begins
_LZ4 = 1 << 5
_OTHERWISE = 0xE0 | 0x01 | 0x02 | 0x04  # bits of another compressor, shuffling, none at all


class Decoder:
    """Reads the chunks of an array."""

    def __init__(self, layout: Layout) -> None:
        self._size = layout.slice_bytes
        self._is_compressed = layout.is_compressed
        self._end = -CHECKSUM if layout.is_checked else None
        self._copy, self._lz4, self._blosc = self._ways()

    def check(self, chunk: memoryview) -> Unpack:
        """Make sure that a chunk is the one that was written, and say how it is unpacked.

        Raises:
            ValueError: it is damaged.
        """
        if self._end is not None:
            import google_crc32c

            stated = int.from_bytes(chunk[self._end :], "little")
            if google_crc32c.value(bytes(chunk[: self._end])) != stated:
                raise ValueError("a chunk does not have the checksum it was written with")
        if not self._is_compressed:
            return self._copy
        content = chunk[: self._end]
        *_, flags, _, stated, block, length = _HEADER.unpack_from(content)
        if stated != self._size:  # Blosc would leave the rest of a slice as it was
            raise ValueError(_ANOTHER)
        is_one = block == self._size and length == len(content) > _STREAM
        if flags & _OTHERWISE == _LZ4 and is_one:
            begin, packed = struct.unpack_from("<2i", content, _HEADER.size)
            if begin == _STREAM - _LENGTH.size and packed == len(content) - _STREAM < self._size:
                return self._lz4
        return self._blosc

    def _ways(self) -> tuple[Unpack, Unpack, Unpack]:
        """Functions of what they need, and nothing more: they are called for every slice."""
        from numcodecs.blosc import decompress

        size, end, decompress_lz4 = self._size, self._end, cramjam.lz4.decompress_block_into

        def copy(chunk: memoryview, out: memoryview) -> None:
            out[:] = chunk[:end]

        def lz4(chunk: memoryview, out: memoryview) -> None:
            if decompress_lz4(chunk[_STREAM:end], out, size) != size:
                raise ValueError(_ANOTHER)

        def blosc(chunk: memoryview, out: memoryview) -> None:
            decompress(chunk[:end], out)

        return copy, lz4, blosc


_ANOTHER = "a chunk is damaged, or holds a slice of another size"


def zeros(_chunk: memoryview, out: memoryview) -> None:
    """The slice of a chunk that Zarr left out."""
    out[:] = bytes(len(out))
