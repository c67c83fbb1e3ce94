"""Whether the files of a group are those that were written, by the checksums it has of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator

from megamedical.store.attributes import group_node
from megamedical.store.location import Location

EachFile = Callable[[Callable[[str], str | None], Iterable[str]], Iterable[str | None]]


def damaged_node(location: Location, dataset: str) -> str | None:
    """What is wrong with the small file above the groups of a dataset, if anything is."""
    name = f"{dataset}/zarr.json"
    if not location.exists(name):
        return f"{name} is missing"
    return None if location.read(name) == group_node({}) else f"{name} is not as it was written"


def damaged_files(
    location: Location, group: str, checksum: str, fingerprint: str | None, each: EachFile = map
) -> Iterator[str]:
    """Files that are lost, or not the ones that were written, a line for each.

    Args:
        location: the store.
        group: `<dataset>/<group>`.
        checksum: of its `zarr.json`, as the tables have it.
        fingerprint: as the root has it.
        each: applies a function to many names; an executor's does it at once.
    """
    name = f"{group}/zarr.json"
    content = location.read(name) if location.exists(name) else None
    if content is None or checksum != hashlib.sha256(content).hexdigest():
        yield f"{name} is {'missing' if content is None else 'not as it was written'}"
        return
    said = json.loads(content)["attributes"]
    files = said["files"]

    def damage(file: str) -> str | None:
        path = f"{group}/{file}"
        if not location.exists(path):
            return f"{path} is missing"
        if hashlib.sha256(location.read(path)).hexdigest() != files[file]:
            return f"{path} is not as it was written"
        return None

    yield from filter(None, each(damage, files))
    if said["fingerprint"] != fingerprint:
        yield f"{group}: it was made from something else than zarr.json says"
