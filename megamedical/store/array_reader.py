"""Slices of a store read at random, as fast as the machine copies them.

The files of an array are mapped, so that a slice costs one copy, or one decompression straight
into place; that it is the one that was written is checked when a process first reads it.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cramjam
import numpy as np
from numpy.typing import NDArray

from megamedical.errors import StoreError
from megamedical.store.array_layout import Layout
from megamedical.store.location import Location
from megamedical.store.shards import MappedShard, RemoteShard, Shard, unreadable

Found = TypeVar("Found")

_ATTEMPTS = 3  # while a build moves a group from one place to another, both may seem empty


@dataclass(frozen=True)
class Origin:
    """Which writing of a group its slices must come from.

    `checksum` is the SHA-256 of the group's `zarr.json`, `places` are the folders of the store
    where it may lie: its own, and that from which a build is about to move it there.
    """

    places: tuple[str, ...]
    checksum: str


class Slices:
    """An array of a store, (n, H, W): `images` in float16, or `masks` in uint8.

    It may be given to other processes, forked or spawned: files are opened where they are read.

    A shard whose file is missing is an error here, where Zarr reads zeros. A build writes every
    shard: the file was lost, and its slices must not look as if they were zero. Where a build
    rewrites the group meanwhile, what is read is of the group as it was, or an error.
    """

    def __init__(self, location: Location, array: str, origin: Origin | None = None) -> None:
        """Open an array, `<dataset>/<group>/images` or `.../masks`.

        Args:
            location: where the store is.
            array: its place in the store.
            origin: what it must be a part of; by default whatever lies there now.

        Raises:
            StoreError: there is none, or it is not laid out as `megamedical build` does it, or is
                of another writing than `origin`.
        """
        self._location = location
        self._array = array
        self._origin = origin
        self._name = array.rpartition("/")[2]
        self._layout = Layout.of(self._from_origin(self._metadata), f"{location}/{array}")
        self._shards: dict[int, Shard] = {}
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

    @property
    def per_shard(self) -> int:
        """Slices of a file; the last may have fewer."""
        return self._layout.per_shard

    def read(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        out: NDArray[Any] | None = None,
        places: Sequence[int] | NDArray[np.integer] | None = None,
    ) -> NDArray[Any]:
        """Read slices, in any order, any of them any number of times.

        Args:
            indices: positions in the array, from 0.
            out: where to put them, (len(indices), H, W), contiguous and of this type.
            places: where in `out` each of them comes; it may then have more slices than are read.

        Returns:
            (len(indices), H, W), or `out`.

        Raises:
            IndexError: there is no such slice.
            StoreError: a shard is missing or damaged, or the group was built anew since; `out` may
                be written in part.
            ValueError: `out` is not like that.
        """
        wanted = np.asarray(indices, dtype=np.intp)
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < len(self):
            wrong = wanted[(wanted < 0) | (wanted >= len(self))][0]
            raise IndexError(f"{self._array} has {len(self)} slices, and none at {wrong}")
        count = len(wanted) if out is None or places is None else len(out)
        shape = (count, *self.shape[1:])
        if out is None:
            out = np.empty(shape, dtype=self.dtype)
        elif out.shape != shape or out.dtype != self.dtype or not out.flags.carray:
            raise ValueError(f"out must be {shape} {self.dtype}, contiguous and writeable")
        put = np.arange(len(wanted)) if places is None else np.asarray(places, dtype=np.intp)
        if len(put) != len(wanted) or (put.size and not 0 <= put.min() <= put.max() < count):
            raise ValueError(f"places must be {len(wanted)} positions in out, from 0 to {count}")
        shards, numbers = (part.tolist() for part in np.divmod(wanted, self._layout.per_shard))
        starts = (put * self._layout.slice_bytes).tolist()
        self._read(shards, numbers, starts, out.reshape(-1).view(np.uint8).data)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}

    def _read(
        self, shards: list[int], numbers: list[int], starts: list[int], out: memoryview
    ) -> None:
        asked: dict[int, list[int]] = defaultdict(list)
        for shard, number in zip(shards, numbers, strict=True):
            asked[shard].append(number)
        unpack = {shard: self._shard(shard).ready(found) for shard, found in asked.items()}
        size = self._layout.slice_bytes
        for start, shard, number in zip(starts, shards, numbers, strict=True):
            try:
                unpack[shard](number, out[start : start + size])
            except (ValueError, RuntimeError, cramjam.DecompressionError) as error:
                raise unreadable(self._shard(shard).name, error) from error

    def _shard(self, number: int) -> Shard:
        if self._process != os.getpid():  # connections do not outlive a fork
            self._location = Location(self._location.absolute)
            self._shards, self._process = {}, os.getpid()
        found = self._shards.get(number)
        if found is None:
            kind = RemoteShard if self._location.folder is None else MappedShard
            found = self._from_origin(
                lambda place: kind(self._location, f"{place}/c/{number}/0/0", self._layout)
            )
            self._shards[number] = found
        return found

    def _metadata(self, place: str) -> bytes:
        try:
            return self._location.read(f"{place}/zarr.json")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StoreError(
                f"The store at {self._location} has no {self._array}", "See `Store.tasks`."
            ) from error

    def _from_origin(self, read: Callable[[str], Found]) -> Found:
        """What is read from the folder of the array, if that then still is of its origin.

        A group is put in its place as a whole: what was read while its checksum was the old one,
        or before, is of the old one.
        """
        if self._origin is None:
            return read(self._array)
        home, *_ = self._origin.places
        problem = self._rebuilt()
        for place in self._origin.places * _ATTEMPTS:
            try:
                found = read(f"{place}/{self._name}")
            except StoreError as error:
                if place == home:
                    problem = error if self._is_of_origin(place) else self._rebuilt()
                continue
            if self._is_of_origin(place):
                return found
        raise problem

    def _is_of_origin(self, place: str) -> bool:
        if self._origin is None:
            return True
        try:
            node = self._location.read(f"{place}/zarr.json")
        except (FileNotFoundError, NotADirectoryError):
            return False
        return hashlib.sha256(node).hexdigest() == self._origin.checksum

    def _rebuilt(self) -> StoreError:
        return StoreError(
            f"{self._location}/{self._array} is not what it was when the store was opened: the "
            "group was built anew, or its zarr.json is damaged",
            "Open the store again; if that does not help, run `megamedical verify`.",
        )
