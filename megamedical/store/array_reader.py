"""Slices of a store read at random, as fast as the machine copies them.

A shard of the store is one file: chunks, each one slice, and at its end an index of where they
begin. Here the file is mapped and its index parsed once, so that a slice costs one copy, or one
decompression straight into place. Zarr's sharding specification:
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/v1.0.html
"""

from __future__ import annotations

import json
import mmap
import os
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import StoreError
from megamedical.store.location import Location

_ABSENT = 2**64 - 1  # offset and length where the index has no chunk: its slice is all zero
_ENTRY = 16  # bytes: offset and length
_CHECKSUM = 4  # bytes: CRC32C, little-endian
_BLOSC_HEADER = 16  # bytes; also the most that Blosc adds to what it cannot compress
_LARGEST = 2**31  # bytes of a slice; Blosc can hold no more

_LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
_CODECS = {"float16": ["bytes"], "uint8": ["bytes", "blosc"]}

Decode = Callable[[memoryview, memoryview], None]
Chunks = Callable[[int], memoryview | None]


class Slices:
    """An array of a store, (n, H, W): `images` in float16, or `masks` in uint8.

    It may be given to other processes, forked or spawned: files are opened where they are read.

    A shard whose file is missing is an error here, where Zarr reads zeros. A build writes every
    shard, for no mask is empty: the file was lost, and its slices must not look as if they were
    zero. A slice that is zero in a shard that is there is read as such.
    """

    def __init__(self, location: Location, array: str) -> None:
        """Open an array, `<dataset>/<group>/images` or `.../masks`.

        Raises:
            StoreError: there is none, or it is not laid out as `megamedical build` does it.
        """
        self._location = location
        self._array = array
        self._layout = _Layout.of(location, array)
        self._shards: dict[int, _Shard] = {}
        self._process = os.getpid()

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns."""
        return self._layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""
        return self._layout.dtype

    def read(
        self, indices: Sequence[int] | NDArray[np.integer], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Read slices, in any order, any of them any number of times.

        Args:
            indices: positions in the array, from 0.
            out: where to put them, (len(indices), H, W), contiguous and of this type.

        Returns:
            (len(indices), H, W).

        Raises:
            IndexError: there is no such slice.
            StoreError: a shard is missing or damaged; `out` may be written in part.
            ValueError: `out` is not like that.
        """
        wanted = np.asarray(indices, dtype=np.intp)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(self):
            wrong = wanted[(wanted < 0) | (wanted >= len(self))][0]
            raise IndexError(f"{self._array} has {len(self)} slices, and none at {wrong}")
        shape = (len(wanted), *self.shape[1:])
        if out is None:
            out = np.empty(shape, dtype=self.dtype)
        elif out.shape != shape or out.dtype != self.dtype or not out.flags.carray:
            raise ValueError(f"out must be {shape} {self.dtype}, contiguous and writeable")
        shards, numbers = (part.tolist() for part in np.divmod(wanted, self._layout.per_shard))
        self._read(shards, numbers, out.reshape(-1).view(np.uint8).data)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}

    def _shard(self, number: int) -> _Shard:
        if self._process != os.getpid():  # connections do not outlive a fork
            self._location = Location(self._location.absolute)
            self._shards, self._process = {}, os.getpid()
        if number not in self._shards:
            name = f"{self._array}/c/{number}/0/0"
            open_shard = _RemoteShard if self._location.folder is None else _MappedShard
            self._shards[number] = open_shard(self._location, name, self._layout)
        return self._shards[number]

    def _read(self, shards: list[int], numbers: list[int], out: memoryview) -> None:
        asked = defaultdict(list)
        for shard, number in zip(shards, numbers, strict=True):
            asked[shard].append(number)
        chunks = {shard: self._shard(shard).chunks(found) for shard, found in asked.items()}
        decode, size = self._layout.decoder(), self._layout.slice_bytes
        for start, shard, number in zip(range(0, len(out), size), shards, numbers, strict=True):
            chunk, target = chunks[shard](number), out[start : start + size]
            try:
                if chunk is None:
                    target[:] = bytes(size)
                else:
                    decode(chunk, target)
            except (ValueError, RuntimeError) as error:
                raise _unreadable(self._shard(shard).name, error) from error


@dataclass(frozen=True)
class _Layout:
    """What the metadata of an array say about it."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    per_shard: int
    is_compressed: bool

    @classmethod
    def of(cls, location: Location, array: str) -> _Layout:
        if not location.exists(f"{array}/zarr.json"):
            raise StoreError(f"The store at {location} has no {array}", "See `Store.tasks`.")
        try:
            said = json.loads(location.read(f"{array}/zarr.json"))
            count, height, width = map(int, said["shape"])
            per_shard, *sides = said["chunk_grid"]["configuration"]["chunk_shape"]
            (sharding,) = said["codecs"]
            inner = sharding["configuration"]
            codecs = [codec["name"] for codec in inner["codecs"]]
            layout = cls(
                shape=(count, height, width),
                dtype=np.dtype(said["data_type"]),
                per_shard=int(per_shard),
                is_compressed="blosc" in codecs,
            )
            is_ours = (
                layout.per_shard > 0
                and sides == [height, width]
                and said["chunk_key_encoding"]["configuration"]["separator"] == "/"
                and inner["chunk_shape"] == [1, height, width]
                and codecs == _CODECS[said["data_type"]]
                and inner["codecs"][0] in (_LITTLE_ENDIAN, {"name": "bytes"})
                and inner["index_codecs"] == [_LITTLE_ENDIAN, {"name": "crc32c"}]
                and inner["index_location"] == "end"
                and said["fill_value"] == 0
                and 0 < layout.slice_bytes < _LARGEST
            )
        except (KeyError, TypeError, ValueError):
            is_ours = False
        if not is_ours:
            raise StoreError(
                f"{location}/{array} is not laid out as `megamedical build` does it",
                "Open it with plain zarr, or build the store anew.",
            )
        return layout

    @property
    def slice_bytes(self) -> int:
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize

    @property
    def chunk_bytes(self) -> range:
        """The sizes that a chunk may have."""
        size = self.slice_bytes
        if self.is_compressed:
            return range(_BLOSC_HEADER, size + _BLOSC_HEADER + 1)
        return range(size, size + 1)

    def decoder(self) -> Decode:
        return _unblosc(self.slice_bytes) if self.is_compressed else _copy

    @property
    def index_bytes(self) -> int:
        return _ENTRY * self.per_shard + _CHECKSUM


class _Shard(ABC):
    """One file of an array, of which the index is known: an offset and a size for each chunk."""

    def __init__(self, name: str, index: bytes, layout: _Layout) -> None:
        self.name = name
        self._index = _checked(index, name, layout)

    @abstractmethod
    def chunks(self, numbers: Sequence[int]) -> Chunks:
        """Where to get the chunks of some slices: None where a slice is all zero."""

    def _span(self, number: int) -> slice | None:
        offset, size = self._index[2 * number], self._index[2 * number + 1]
        return None if offset == _ABSENT else slice(offset, offset + size)


class _MappedShard(_Shard):
    """A shard on this machine, mapped into memory."""

    def __init__(self, location: Location, name: str, layout: _Layout) -> None:
        path = Path(location.absolute) / name
        try:
            with path.open("rb") as file:
                self._content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise _unreadable(path, error) from error
        super().__init__(str(path), bytes(self._content[-layout.index_bytes :]), layout)
        end = len(self._content) - layout.index_bytes
        spans = filter(None, map(self._span, range(layout.per_shard)))
        if any(span.stop > end for span in spans):
            raise _unreadable(path, "its index names chunks beyond its end")

    def chunks(self, numbers: Sequence[int]) -> Chunks:  # noqa: ARG002
        """See `_Shard`."""
        return self._chunk

    def _chunk(self, number: int) -> memoryview | None:
        span = self._span(number)
        return span and self._content[span]


class _RemoteShard(_Shard):
    """A shard behind a URL, of which only what is asked for is fetched."""

    def __init__(self, location: Location, name: str, layout: _Layout) -> None:
        self._location = location
        self._file = name
        (index,) = self._fetched([(-layout.index_bytes, None)])
        super().__init__(f"{location}/{name}", index, layout)

    def chunks(self, numbers: Sequence[int]) -> Chunks:
        """See `_Shard`."""
        spans = {number: span for number in numbers if (span := self._span(number))}
        contents = self._fetched([(span.start, span.stop) for span in spans.values()])
        chunks = {n: memoryview(found) for n, found in zip(spans, contents, strict=True)}
        if any(len(chunk) != spans[n].stop - spans[n].start for n, chunk in chunks.items()):
            raise _unreadable(self.name, "its index names chunks beyond its end")
        return chunks.get

    def _fetched(self, ranges: Sequence[tuple[int, int | None]]) -> list[bytes]:
        try:
            return self._location.read_ranges(self._file, ranges)
        except Exception as error:  # each file system has errors of its own
            raise _unreadable(f"{self._location}/{self._file}", error) from error


def _checked(index: bytes, name: str, layout: _Layout) -> memoryview:
    """The index of a shard as numbers: offset, size, offset, size, ..."""
    import google_crc32c

    entries, checksum = index[:-_CHECKSUM], index[-_CHECKSUM:]
    if len(index) != layout.index_bytes or int.from_bytes(
        checksum, "little"
    ) != google_crc32c.value(entries):
        raise _unreadable(name, "its index is damaged, or cut off")
    numbers = memoryview(entries).cast("Q")
    sizes = layout.chunk_bytes
    for offset, size in zip(numbers[::2], numbers[1::2], strict=True):
        is_chunk = offset != _ABSENT and size in sizes
        if not is_chunk and not offset == size == _ABSENT:
            raise _unreadable(name, f"its index names a chunk of {size} bytes")
    return numbers


def _unreadable(name: str | Path, reason: object) -> StoreError:
    return StoreError(
        f"{name} cannot be read: {reason}", "Run `megamedical verify`; delete and build it anew."
    )


def _copy(chunk: memoryview, out: memoryview) -> None:
    out[:] = chunk


def _unblosc(size: int) -> Decode:
    from numcodecs.blosc import decompress

    declared = size.to_bytes(4, "little")

    def decode(chunk: memoryview, out: memoryview) -> None:
        if chunk[4:8] != declared:  # Blosc would leave the rest of `out` as it was
            raise ValueError("a chunk is damaged, or holds a slice of another size")
        decompress(chunk, out)

    return decode
