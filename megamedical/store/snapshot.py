"""The state of a store at one moment: its attributes, and just the tables that belong to them.

A build puts new tables beside the old ones and then says in one file, `ready.json`, that they are
the store's: with its appearance the store is the new one, whatever of it still has to be moved to
its place. A reader that finds it reads the new state, from wherever it then lies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from megamedical.store.attributes import (
    AGAIN,
    ROOT,
    DamagedStore,
    StoreAttributes,
    decode_attributes,
)
from megamedical.store.location import Location
from megamedical.store.tables import TABLES, tables_of

NEXT = "manifests/.next"  # what is on its way into the store
READY = f"{NEXT}/ready.json"
_ATTEMPTS = 20  # each of them in the way of another build that ended meanwhile


@dataclass(frozen=True)
class Snapshot:
    """Attributes, the tables that they name, as Parquet, and where groups on their way still lie.

    `staged` has a folder of the store for each `<dataset>/<group>` that is being put in its place;
    `root` is the content of the store's `zarr.json`.
    """

    attributes: StoreAttributes
    tables: Mapping[str, bytes]
    staged: Mapping[str, str]
    root: bytes = b""


def take_snapshot(location: Location) -> Snapshot | None:
    """The state of a store, or None where there is none.

    Raises:
        StoreError: something else lies there, or a store of another version.
        DamagedStore: a table is missing, or is not the one that the store was finished with.
    """
    earlier: object = None
    for _ in range(_ATTEMPTS):
        state = ready, root = ready_state(location), _read(location, ROOT)
        said = root if ready is None else ready[ROOT].encode()
        if said is None and not has_table(location):
            return None
        if said is None:
            wrong = f"{location}/{ROOT} is missing"
        else:
            attributes = decode_attributes(said, location)
            folders = ("manifests",) if ready is None else (NEXT, "manifests")
            found = {
                name: _table(location, folders, name, attributes.tables.get(name, ""))
                for name in tables_of(attributes.format)
            }
            tables = {name: content for name, content in found.items() if content is not None}
            if tables.keys() == found.keys():
                staged = {} if ready is None else ready["arrays"]
                return Snapshot(attributes, tables, staged, said)
            wrong = _wrong(location, next(name for name in found if name not in tables))
        if state == earlier:  # nobody is at work there
            break
        earlier = state
    raise DamagedStore(wrong, AGAIN)


def _wrong(location: Location, table: str) -> str:
    name = f"manifests/{table}.parquet"
    there = _read(location, name) is not None
    how = "is not the one the store was finished with" if there else "is missing"
    return f"{location}/{name} {how}"


def ready_state(location: Location) -> dict[str, Any] | None:
    """What a build has decided to make of the store, and may not have finished.

    Raises:
        DamagedStore: nobody can tell.
    """
    content = _read(location, READY)
    if content is None:
        return None
    try:
        said = json.loads(content)
        needed = {name: said[name] for name in (ROOT, "arrays", "gone")}
        return {**needed, "croissant": said.get("croissant")}
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedStore(f"{location}/{READY} is damaged: {error}", AGAIN) from error


def has_table(location: Location) -> bool:
    """Whether a store lies there, or what is left of one."""
    return any(location.exists(f"manifests/{name}.parquet") for name in TABLES)


def _table(location: Location, folders: Sequence[str], name: str, sha256: str) -> bytes | None:
    for folder in folders:
        content = _read(location, f"{folder}/{name}.parquet")
        if content and hashlib.sha256(content).hexdigest() == sha256:
            return content
    return None


def _read(location: Location, name: str) -> bytes | None:
    try:
        return location.read(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
