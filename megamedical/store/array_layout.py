"""How a build lays out an array: what its `zarr.json` must say for its shards to be read here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from megamedical.errors import StoreError

ENTRY = 16  # bytes: offset and length
CHECKSUM = 4  # bytes: CRC32C, little-endian

_BLOSC_HEADER = 16  # bytes; also the most that Blosc adds to what it cannot compress
_LARGEST = 2**31  # bytes of a slice; Blosc can hold no more

_LITTLE_ENDIAN = {"name": "bytes", "configuration": {"endian": "little"}}
_CODECS = {"float16": ["bytes"], "uint8": ["bytes", "blosc"]}


@dataclass(frozen=True)
class Layout:
    """What the metadata of an array say about it."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    per_shard: int
    is_compressed: bool
    is_checked: bool

    @classmethod
    def of(cls, metadata: bytes, array: str) -> Layout:
        """The layout that an array's `zarr.json` describes.

        Raises:
            StoreError: it is not what `megamedical build` writes.
        """
        try:
            said = json.loads(metadata)
            count, height, width = map(int, said["shape"])
            per_shard, *sides = said["chunk_grid"]["configuration"]["chunk_shape"]
            (sharding,) = said["codecs"]
            inner = sharding["configuration"]
            codecs = [codec["name"] for codec in inner["codecs"]]
            known = _CODECS[said["data_type"]]
            layout = cls(
                shape=(count, height, width),
                dtype=np.dtype(said["data_type"]),
                per_shard=int(per_shard),
                is_compressed="blosc" in codecs,
                is_checked=codecs[-1] == "crc32c",
            )
            is_ours = (
                layout.per_shard > 0
                and sides == [height, width]
                and said["chunk_key_encoding"]["configuration"]["separator"] == "/"
                and inner["chunk_shape"] == [1, height, width]
                and codecs in (known, [*known, "crc32c"])  # the first format checked no chunk
                and inner["codecs"][0] in (_LITTLE_ENDIAN, {"name": "bytes"})
                and inner["index_codecs"] == [_LITTLE_ENDIAN, {"name": "crc32c"}]
                and inner["index_location"] == "end"
                and said["fill_value"] == 0
                and 0 < layout.slice_bytes < _LARGEST
            )
        except (KeyError, TypeError, ValueError, IndexError):
            is_ours = False
        if not is_ours:
            raise StoreError(
                f"{array} is not laid out as `megamedical build` does it",
                "Open it with plain zarr, or build the store anew.",
            )
        return layout

    @property
    def shards(self) -> int:
        """Files of the array."""
        return -(-self.shape[0] // self.per_shard)

    @property
    def slice_bytes(self) -> int:
        """Bytes of a slice as it is given to its reader."""
        return int(np.prod(self.shape[1:])) * self.dtype.itemsize

    @property
    def chunk_bytes(self) -> range:
        """The sizes that a chunk may have, its checksum included."""
        size, more = self.slice_bytes, CHECKSUM if self.is_checked else 0
        least = _BLOSC_HEADER if self.is_compressed else size
        most = size + _BLOSC_HEADER if self.is_compressed else size
        return range(least + more, most + more + 1)

    @property
    def index_bytes(self) -> int:
        """Bytes of the index at the end of a shard."""
        return ENTRY * self.per_shard + CHECKSUM
