"""Groups of stores brought into another one, each file compared with its checksum on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from megamedical.errors import StoreError
from megamedical.reporting.progress import Listener, Silence
from megamedical.store.checks.tables import in_several_splits
from megamedical.store.location import Location
from megamedical.store.publishing import Turn, begin, rows_of, turn
from megamedical.store.store import Store, open_store
from megamedical.store.tables import FORMAT, TABLES

Parts = Mapping[str, Store]  # by `<dataset>/<group>`, the store that it is taken from


@dataclass(frozen=True)
class Brought:
    """What became of groups that were to be brought into a store."""

    store: str
    copied: tuple[str, ...]
    was_there: tuple[str, ...]
    fingerprint: str


def merge(*stores: str | Path, into: str | Path, listener: Listener | None = None) -> Brought:
    """Bring all groups of some stores into one, which is made or added to, all at once.

    A group that several have is taken once. What comes of it is, byte for byte, what a build of
    all of them gives.

    Args:
        stores: folders or URLs.
        into: folder or URL; it may be one of them.
        listener: hears how it goes.

    Raises:
        StoreError: they differ in format, resolution or seed, or have a group that was made from
            something else in each, or a patient in different splits; or a file is damaged.
    """
    if not stores:
        raise StoreError("No store was named", "Name those that are to be merged.")
    opened = [open_store(store) for store in stores]
    _expect_alike(opened)
    parts: dict[str, Store] = {}
    for store in opened:
        for group, made_from in store.attributes.groups.items():
            other = parts.setdefault(group, store)
            if other.attributes.groups[group] != made_from:
                raise _unlike(group, other, store.location)
    return _bring(parts, opened[0], Location(into), "merging stores", listener or Silence())


def copy(
    store: str | Path, to: str | Path, *names: str, listener: Listener | None = None
) -> Brought:
    """Copy a store, or some of its datasets, to another place; what is there already stays.

    Args:
        store: folder or URL.
        to: folder or URL; a store that is there is added to.
        names: `DATASET` or `DATASET/GROUP`; all by default.
        listener: hears how it goes.

    Raises:
        StoreError: it has nothing of a name; or see `merge`.
    """
    opened = open_store(store)
    _expect_alike([opened])
    groups = list(opened.attributes.groups)
    for name in names:
        if not any(_is_of(group, name) for group in groups):
            known = {*groups, *(group.partition("/")[0] for group in groups)}
            near = get_close_matches(name, sorted(known))
            guess = f"Did you mean {' or '.join(near)}?" if near else "See `megamedical info`."
            raise StoreError(f"The store at {store} has no {name}", guess)
    chosen = [group for group in groups if not names or any(_is_of(group, n) for n in names)]
    parts = dict.fromkeys(chosen, opened)
    return _bring(parts, opened, Location(to), f"copying {store}", listener or Silence())


def _bring(
    parts: Parts, like: Store, location: Location, doing: str, listener: Listener
) -> Brought:
    begin(location, like.resolution, like.attributes.seed)
    with turn(location, doing=doing, tell=listener.say) as own:
        there = own.attributes.groups
        for group, store in parts.items():
            if there.get(group, store.attributes.groups[group]) != store.attributes.groups[group]:
                raise _unlike(group, store, location)
        new = {group: store for group, store in parts.items() if group not in there}
        _expect_one_split(own, new)
        if not new:
            return Brought(str(location), (), tuple(parts), own.attributes.fingerprint)
        files = [*_files(new)]
        with listener.stage("copy", len(files), "files") as step, location.explaining_full():
            for store, group, name, sha256 in files:
                content = _read(store, group, name, sha256)
                _write(location.below(own.place(group)), name, content)
                step(f"{group}/{name}")
        attributes = own.publish(
            {group: store.attributes.groups[group] for group, store in new.items()},
            _rows(new),
            provenances={
                name: of for store in new.values() for name, of in store.provenances.items()
            },
        )
    was_there = tuple(group for group in parts if group not in new)
    return Brought(str(location), tuple(new), was_there, attributes.fingerprint)


def _files(parts: Parts) -> Iterator[tuple[Store, str, str, str]]:
    """Every file of some groups with its SHA-256; that which has those of the others last."""
    for group, store in parts.items():
        checksum = store.checksum_of(group)
        said = json.loads(_read(store, group, "zarr.json", checksum))
        yield from ((store, group, name, sha) for name, sha in said["attributes"]["files"].items())
        yield store, group, "zarr.json", checksum


def _read(store: Store, group: str, name: str, sha256: str) -> bytes:
    """A file of a group, from wherever a build has just put it."""
    for place in store.places_of(group):
        try:
            content = store.location.read(f"{place}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    raise StoreError(
        f"{store.location}/{group}/{name} is missing, or is not as it was written",
        "Run `megamedical verify` there; if a build is at work there, try again when it has ended.",
    )


def _write(folder: Location, name: str, content: bytes) -> None:
    folder.write(name, content)
    if folder.read(name) != content:
        raise StoreError(f"{folder}/{name} is not what was written there", "Look at the disk.")


def _rows(parts: Parts) -> dict[str, list[pa.Table]]:
    """For each table, the rows of some groups."""
    stores = {id(store): store for store in parts.values()}
    rows: dict[str, list[pa.Table]] = {}
    for key, store in stores.items():
        own = [group for group, of in parts.items() if id(of) == key]
        for name in TABLES:
            rows.setdefault(name, []).append(rows_of(store.table(name), name, own))
    return rows


def _expect_one_split(own: Turn, parts: Parts) -> None:
    """Make sure that no patient of a dataset comes into two splits."""
    brought = _rows(parts)["subjects"] if parts else []
    subjects = pa.concat_tables([own.table("subjects"), *brought]).to_pandas()
    for dataset, patient in in_several_splits(subjects):
        raise StoreError(
            f"Patient {patient} of {dataset} would be in two splits: the stores have other groups "
            "of that dataset, which were built apart",
            f"Build {dataset} as a whole into one of them.",
        )


def _expect_alike(stores: Sequence[Store]) -> None:
    first, *_ = stores
    for store in stores:
        if store.attributes.format != FORMAT:
            raise StoreError(
                f"The store at {store.location} has format {store.attributes.format}, and only "
                f"those of format {FORMAT} are brought together",
                "Build it anew.",
            )
        for key in ("resolution", "seed"):
            one, other = getattr(first.attributes, key), getattr(store.attributes, key)
            if one != other:
                raise StoreError(
                    f"{first.location} has {key} {one}, {store.location} has {other}",
                    f"Build one of them anew with --{key} of the other.",
                )


def _unlike(group: str, one: Store, other: Location) -> StoreError:
    return StoreError(
        f"{group} was made from something else in {one.location} than in {other}",
        f"Build it anew in one of them: `megamedical build {group}`.",
    )


def _is_of(group: str, name: str) -> bool:
    return group == name or group.startswith(f"{name.rstrip('/')}/")
