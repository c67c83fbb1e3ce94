"""What the root of a store says of it, and how that is kept from being changed unseen.

The root's `zarr.json` is written here as Zarr writes it. It has the SHA-256 of every table, and
its own, counted over the file with that one left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from megamedical.errors import StoreError
from megamedical.store.location import Location
from megamedical.store.tables import FORMAT, READABLE

ROOT = "zarr.json"
AGAIN = (
    "Run `megamedical build` for all that is in the store: it is made anew, from what is staged as "
    "far as that is there."
)


class DamagedStore(StoreError):
    """A file on which a whole store rests is damaged or lost."""


@dataclass(frozen=True)
class StoreAttributes:
    """The attribute `megamedical` of a store's root.

    `groups` has the fingerprint of each group by `<dataset>/<group>`, `tables` the SHA-256 of each
    Parquet file; `fingerprint` sums up the groups; `checksum` is that of the file it stands in.
    """

    format: int
    resolution: int
    seed: int
    groups: Mapping[str, str]
    tables: Mapping[str, str]
    fingerprint: str
    checksum: str = field(default="", compare=False)


def attributes_of(
    resolution: int, seed: int, groups: Mapping[str, str], tables: Mapping[str, str]
) -> StoreAttributes:
    """The attributes of a store with some groups."""
    return StoreAttributes(
        format=FORMAT,
        resolution=resolution,
        seed=seed,
        groups=dict(sorted(groups.items())),
        tables=dict(tables),
        fingerprint=store_fingerprint(groups),
    )


def store_fingerprint(groups: Mapping[str, str]) -> str:
    """The fingerprint of a store, from those of its groups by their paths."""
    made_of = "".join(f"{path} {found}\n" for path, found in sorted(groups.items()))
    return hashlib.sha256(made_of.encode()).hexdigest()


def encode_attributes(
    attributes: StoreAttributes,
    beside: Mapping[str, Any] | None = None,
    nodes: Mapping[str, Any] | None = None,
) -> bytes:
    """The root's `zarr.json`, with its checksum.

    Args:
        attributes: of the store.
        beside: further attributes, for others to read.
        nodes: of all groups and arrays, by their place.
    """

    def encoded(checksum: str) -> bytes:
        said = {**asdict(attributes), "checksum": checksum}
        return group_node({"megamedical": said, **(beside or {})}, nodes)

    return encoded(hashlib.sha256(encoded("")).hexdigest())


def group_node(attributes: Mapping[str, Any], nodes: Mapping[str, Any] | None = None) -> bytes:
    """The `zarr.json` of a Zarr group; `nodes` are those below it, where they stand in it too."""
    node: dict[str, Any] = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    if nodes is not None:
        kind = {"kind": "inline", "must_understand": False}
        node["consolidated_metadata"] = {**kind, "metadata": nodes}
    return json.dumps(node, indent=2).encode()


def read_attributes(location: Location) -> StoreAttributes | None:
    """The attributes of a store, or None where there is none.

    Raises:
        StoreError: something else lies there, or a store of another version, or a damaged one.
    """
    try:
        content = location.read(ROOT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return decode_attributes(content, location)


def decode_attributes(content: bytes, location: Location) -> StoreAttributes:
    """The attributes of a store from its root's `zarr.json`.

    Raises:
        StoreError: see `read_attributes`.
    """
    try:
        node = json.loads(content)
        said = node["attributes"]["megamedical"] if node["node_type"] == "group" else None
    except KeyError:
        said = None
    except (ValueError, TypeError) as error:
        raise DamagedStore(
            f"{location} is not a MegaMedical store, or its {ROOT} is damaged: {error}", AGAIN
        ) from error
    if not isinstance(said, dict) or "format" not in said:
        raise DamagedStore(
            f"{location} holds Zarr arrays or groups, but it is not a MegaMedical store."
        )
    if said["format"] not in READABLE:
        raise StoreError(
            f"{location} has format {said['format']}, this version reads "
            f"{' and '.join(map(str, READABLE))}",
            "Build it anew, or use the version that built it.",
        )
    try:
        attributes = StoreAttributes(**said)
        is_whole = _is_as_written(content, attributes.checksum)
    except TypeError:
        is_whole = False
    if not is_whole:
        raise DamagedStore(f"{location}/{ROOT} is damaged, or was changed by hand", AGAIN)
    return attributes


def _is_as_written(content: bytes, stated: object) -> bool:
    """Whether a root has the checksum that it states; the first format had none."""
    if not isinstance(stated, str):
        return False
    without = content.replace(stated.encode(), b"") if stated else content
    return stated == (hashlib.sha256(without).hexdigest() if b'"checksum"' in content else "")
