"""The arrays of a group, written a shard at a time, and the checksums of all their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.store.attributes import group_node
from megamedical.store.location import Location

# Figures of size against random reads are in docs/performance.md.
IMAGE_SHARD = 512  # slices: 16 MB at 128 x 128
MASK_SHARD = 2048  # masks: 32 MB before compression


def create_array(location: Location, name: str, length: int, resolution: int) -> Any:  # noqa: ANN401
    """An empty `images` or `masks` array of a group: sharded, one slice a chunk.

    Images are not compressed, so that a reader can map them; masks are, being almost all zero.
    Every chunk ends with its CRC32C, and is written even if all of it is zero.

    Args:
        location: the folder of the group.
        name: `images` or `masks`.
        length: slices.
        resolution: their height and width, in pixels.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    image = name == "images"
    pack = [] if image else [BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle")]
    return zarr.create_array(
        location.zarr(),
        name=name,
        shape=(length, resolution, resolution),
        dtype="float16" if image else "uint8",
        chunks=(1, resolution, resolution),
        shards=(IMAGE_SHARD if image else MASK_SHARD, resolution, resolution),
        compressors=[*pack, Crc32cCodec()],
        dimension_names=("slice", "row", "column"),
        attributes={"unit": "1" if image else "1/255", "range": [0, 1] if image else [0, 255]},
        config={"write_empty_chunks": True},
    )


class GroupWriter:
    """The two arrays of a group, to the end of which slices are added."""

    def __init__(self, location: Location, images: int, masks: int, resolution: int) -> None:
        self.images = Appender(create_array(location, "images", images, resolution))
        self.masks = Appender(create_array(location, "masks", masks, resolution))


@contextmanager
def group_writer(
    location: Location, fingerprint: str, images: int, masks: int, resolution: int
) -> Iterator[GroupWriter]:
    """Write a group into an empty folder; when all of it is there, its `zarr.json` is written.

    Args:
        location: the folder.
        fingerprint: of what the group is made from.
        images: how many slices there will be.
        masks: how many masks.
        resolution: height and width of them all, in pixels.
    """
    location.remove()
    writer = GroupWriter(location, images, masks, resolution)
    with writer.images, writer.masks:
        yield writer
    names = [name for name in location.files() if name != "zarr.json"]
    files = {name: hashlib.sha256(location.read(name)).hexdigest() for name in names}
    location.write("zarr.json", group_node({"fingerprint": fingerprint, "files": files}))


def checksum_of(location: Location) -> str:
    """The SHA-256 of a group's `zarr.json`, and so of all that is in the group."""
    return hashlib.sha256(location.read("zarr.json")).hexdigest()


class Appender:
    """The end of an array: collects slices and writes them a whole shard at a time."""

    def __init__(self, array: Any) -> None:  # noqa: ANN401
        self._array = array
        self._waiting: list[NDArray[Any]] = []
        self._count = 0
        self._written = 0

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and self._count:
            self._write(self._count)

    def append(self, slices: NDArray[Any]) -> None:
        """Add slices (n, H, W) at the end."""
        self._waiting.append(slices)
        self._count += len(slices)
        shard = self._array.shards[0]
        if self._count >= shard:
            self._write(self._count // shard * shard)

    def _write(self, count: int) -> None:
        waiting = np.concatenate(self._waiting)
        self._array[self._written : self._written + count] = waiting[:count]
        self._written += count
        self._waiting, self._count = [waiting[count:]], self._count - count
