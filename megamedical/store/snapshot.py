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

from megamedical.errors import StoreError
from megamedical.store.attributes import ROOT, StoreAttributes, decode_attributes
from megamedical.store.location import Location
from megamedical.store.tables import tables_of

NEXT = "manifests/.next"  # what is on its way into the store
READY = f"{NEXT}/ready.json"
AGAIN = (
    "A build was cut off there, or the file was damaged: run the build again. If that does not "
    "help, delete the store and build it anew; what is staged is not processed again."
)
_ATTEMPTS = 20  # each of them in the way of another build that ended meanwhile


@dataclass(frozen=True)
class Snapshot:
    """Attributes, the tables that they name, as Parquet, and where groups on their way still lie.

    `staged` has a folder of the store for each `<dataset>/<group>` that is being put in its place.
    """

    attributes: StoreAttributes
    tables: Mapping[str, bytes]
    staged: Mapping[str, str]


def take_snapshot(location: Location) -> Snapshot | None:
    """The state of a store, or None where there is none.

    Raises:
        StoreError: something else lies there, or a store of another version; a table is missing,
            or is not the one that the store was finished with.
    """
    earlier = None
    for _ in range(_ATTEMPTS):
        ready, root = ready_state(location), _read(location, ROOT)
        said = root if ready is None else ready[ROOT].encode()
        if said is None:
            return None
        attributes = decode_attributes(said, location)
        folders = ("manifests",) if ready is None else (NEXT, "manifests")
        found = {
            name: _table(location, folders, name, attributes.tables.get(name, ""))
            for name in tables_of(attributes.format)
        }
        tables = {name: content for name, content in found.items() if content is not None}
        if tables.keys() == found.keys():
            return Snapshot(attributes, tables, {} if ready is None else ready["arrays"])
        if (ready, root) == earlier:  # nobody is at work there
            break
        earlier = ready, root
    name = next(name for name, content in found.items() if content is None)
    wrong = "is not the one the store was finished with"
    if _read(location, f"manifests/{name}.parquet") is None:
        wrong = "is missing"
    raise StoreError(f"{location}/manifests/{name}.parquet {wrong}", AGAIN)


def ready_state(location: Location) -> dict[str, Any] | None:
    """What a build has decided to make of the store, and may not have finished.

    Raises:
        StoreError: it is damaged.
    """
    content = _read(location, READY)
    if content is None:
        return None
    try:
        said = json.loads(content)
        return {name: said[name] for name in (ROOT, "arrays", "gone")}
    except (ValueError, LookupError, TypeError) as error:
        raise StoreError(f"{location}/{READY} is damaged: {error}", AGAIN) from error


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
