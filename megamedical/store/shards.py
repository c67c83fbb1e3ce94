"""The files of an array: where each chunk begins is parsed once, and each chunk checked once.

A shard is chunks, each one slice, and at its end an index of where they begin. Zarr's
specification: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/v1.0.html
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from megamedical.errors import StoreError
from megamedical.store.array_layout import CHECKSUM, Layout
from megamedical.store.decoding import Decoder, Unpack, zeros
from megamedical.store.location import Location

_ABSENT = 2**64 - 1  # offset and length where the index has no chunk: its slice is all zero


UnpackNumber = Callable[[int, memoryview], None]  # which chunk, and where its slice is wanted


class Shard(ABC):
    """One file of an array, of which the index is known: an offset and a size for each chunk."""

    def __init__(self, name: str, index: bytes, layout: Layout) -> None:
        self.name = name
        self._index = _checked(index, name, layout)
        self._decoder = Decoder(layout)

    @abstractmethod
    def ready(self, numbers: Sequence[int]) -> UnpackNumber:
        """What unpacks some of its slices.

        Raises:
            StoreError: a chunk cannot be read, or is not the one that was written.
        """

    def _span(self, number: int) -> slice | None:
        offset, size = self._index[2 * number], self._index[2 * number + 1]
        return None if offset == _ABSENT else slice(offset, offset + size)

    def _check(self, chunk: memoryview) -> Unpack:
        try:
            return self._decoder.check(chunk)
        except ValueError as error:
            raise unreadable(self.name, error) from error


class MappedShard(Shard):
    """A shard on this machine, mapped into memory; a chunk is checked when it is first read."""

    def __init__(self, location: Location, name: str, layout: Layout) -> None:
        path = Path(location.absolute) / name
        try:
            with path.open("rb") as file:
                self._content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise unreadable(path, error) from error
        super().__init__(str(path), bytes(self._content[-layout.index_bytes :]), layout)
        end = len(self._content) - layout.index_bytes
        spans = filter(None, map(self._span, range(layout.per_shard)))
        if any(span.stop > end for span in spans):
            raise unreadable(path, "its index names chunks beyond its end")
        self._how: list[Unpack | None] = [None] * layout.per_shard

    def ready(self, numbers: Sequence[int]) -> UnpackNumber:  # noqa: ARG002
        """See `Shard`."""
        return self._unpack

    def _unpack(self, number: int, out: memoryview) -> None:
        how = self._how[number] or self._first(number)
        begin = self._index[2 * number]
        how(self._content[begin : begin + self._index[2 * number + 1]], out)

    def _first(self, number: int) -> Unpack:
        span = self._span(number)
        how = zeros if span is None else self._check(self._content[span])
        self._how[number] = how
        return how


class RemoteShard(Shard):
    """A shard behind a URL, of which only what is asked for is fetched, and checked."""

    def __init__(self, location: Location, name: str, layout: Layout) -> None:
        self._location = location
        self._file = name
        (index,) = self._fetched([(-layout.index_bytes, None)])
        super().__init__(f"{location}/{name}", index, layout)

    def ready(self, numbers: Sequence[int]) -> UnpackNumber:
        """See `Shard`."""
        spans = {number: span for number in numbers if (span := self._span(number))}
        contents = self._fetched([(span.start, span.stop) for span in spans.values()])
        chunks = {n: memoryview(found) for n, found in zip(spans, contents, strict=True)}
        if any(len(chunk) != spans[n].stop - spans[n].start for n, chunk in chunks.items()):
            raise unreadable(self.name, "its index names chunks beyond its end")

        def unpack(number: int, out: memoryview) -> None:
            chunk = chunks.get(number)
            how = zeros if chunk is None else self._check(chunk)
            how(memoryview(b"") if chunk is None else chunk, out)

        return unpack

    def _fetched(self, ranges: Sequence[tuple[int, int | None]]) -> list[bytes]:
        try:
            return self._location.read_ranges(self._file, ranges)
        except Exception as error:  # each file system has errors of its own
            raise unreadable(f"{self._location}/{self._file}", error) from error


def unreadable(name: str | Path, reason: object) -> StoreError:
    """The error of a file that is missing or damaged."""
    return StoreError(
        f"{name} cannot be read: {reason}",
        "Run `megamedical build --mend` of its group.",
    )


def _checked(index: bytes, name: str, layout: Layout) -> memoryview:
    """The index of a shard as numbers: offset, size, offset, size, ..."""
    import google_crc32c

    entries, checksum = index[:-CHECKSUM], index[-CHECKSUM:]
    if len(index) != layout.index_bytes or int.from_bytes(
        checksum, "little"
    ) != google_crc32c.value(entries):
        raise unreadable(name, "its index is damaged, or cut off")
    numbers = memoryview(entries).cast("Q")
    sizes = layout.chunk_bytes
    for offset, size in zip(numbers[::2], numbers[1::2], strict=True):
        is_chunk = offset != _ABSENT and size in sizes
        if not is_chunk and not offset == size == _ABSENT:
            raise unreadable(name, f"its index names a chunk of {size} bytes")
    return numbers
