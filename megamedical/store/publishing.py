"""Writing into a store, beside its readers and beside other builds.

New groups are written beside the old ones, and new tables beside the old tables; then `ready.json`
says that they are the store's. From then on they are: whoever comes next, a reader or a build, goes
on from there, whenever the one who wrote it was cut off. Behind a URL there are no locks, and
groups are written in their place.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from megamedical.errors import StoreError
from megamedical.files.locking import held
from megamedical.store.attributes import (
    ROOT,
    DamagedStore,
    StoreAttributes,
    attributes_of,
    decode_attributes,
    encode_attributes,
    group_node,
    read_attributes,
)
from megamedical.store.describing.croissant import FILE, croissant, damaged_beside
from megamedical.store.describing.nodes import Nodes, home_of_node, nodes_in, nodes_of
from megamedical.store.describing.provenance import Provenances, as_attribute, provenances_in
from megamedical.store.location import Location
from megamedical.store.snapshot import (
    NEXT,
    READY,
    Snapshot,
    has_table,
    ready_state,
    take_snapshot,
)
from megamedical.store.tables import FORMAT, TABLES, decode_table, encode_table, in_order

LOCK = "manifests/.lock"

# In its place, or on the way there.
_OF_GROUP = re.compile(r"(?:manifests/\.next/[^/]+/)?([^/]+/[^/]+)/(?:images/|masks/|zarr\.json$)")


def begin(location: Location, resolution: int, seed: int) -> StoreAttributes:
    """Make an empty store, or check that the one that is there can be added to.

    Raises:
        StoreError: the store that is there has another resolution, seed or format.
        DamagedStore: one of its tables, or what says of them, is damaged or lost.
    """
    snapshot = take_snapshot(location)
    if snapshot is None or ready_state(location):
        with _held(location, "beginning a build", None), location.explaining_full():
            _roll_forward(location)
            if take_snapshot(location) is None:
                empty = {name: schema.empty_table() for name, schema in TABLES.items()}
                made = attributes_of(resolution, seed, {}, {})
                _finish(location, made, empty, {}, (), {}, {})
        return begin(location, resolution, seed)
    _refuse_unlike(snapshot.attributes, location, resolution, seed)
    if any(damaged_beside(location, snapshot.root)):
        with _held(location, "beginning a build", None), location.explaining_full():
            _describe_again(location)
    return snapshot.attributes


def remains(location: Location, resolution: int, seed: int) -> StoreAttributes:
    """What a damaged store is to be made of again: its groups, of which none has a fingerprint.

    Raises:
        StoreError: it cannot be added to, as far as its root can be read, see `begin`; or what lies
            there is something else.
    """
    try:
        said = read_attributes(location)
    except DamagedStore:
        if not has_table(location):
            raise
        said = None
    groups = {found[1] for name in location.files() if (found := _OF_GROUP.match(name))}
    if said:
        _refuse_unlike(said, location, resolution, seed)
        groups |= said.groups.keys()
    return attributes_of(resolution, seed, dict.fromkeys(groups, ""), {})


def _refuse_unlike(
    attributes: StoreAttributes, location: Location, resolution: int, seed: int
) -> None:
    """Make sure that a store can be added to."""
    if attributes.format != FORMAT:
        raise StoreError(
            f"The store at {location} has format {attributes.format}: it can be read, but this "
            f"version adds only to stores of format {FORMAT}",
            "Build into another --store; what is staged is not processed again.",
        )
    for key, wanted in (("resolution", resolution), ("seed", seed)):
        found = getattr(attributes, key)
        if found != wanted:
            raise StoreError(
                f"The store at {location} has {key} {found}, not {wanted}",
                f"Give --{key} {found}, or another --store.",
            )


@contextmanager
def turn(
    location: Location,
    *,
    doing: str,
    tell: Callable[[str], None] | None = None,
    instead: StoreAttributes | None = None,
) -> Iterator[Turn]:
    """Wait until no other build writes into the store; then it is this one's turn.

    Args:
        location: the store, which `begin` has made.
        doing: what it is for, as others who wait are told: `building wbc`.
        tell: is told, once, for whom it waits.
        instead: what is taken for the attributes of a store that is damaged, see `remains`.

    Raises:
        DamagedStore: the store is damaged, and there is no `instead`.
    """
    with _held(location, doing, tell):
        try:
            with location.explaining_full():
                _roll_forward(location)
            snapshot = take_snapshot(location)
        except DamagedStore:
            if instead is None:
                raise
            empty = {name: encode_table(schema.empty_table()) for name, schema in TABLES.items()}
            snapshot = Snapshot(instead, empty, {})
        location.remove(NEXT)  # what a build that was cut off has left
        if snapshot is None:
            raise StoreError(
                f"There is no store at {location}", "Make one with `megamedical build`."
            )
        yield Turn(location, snapshot, f"{NEXT}/{secrets.token_hex(8)}")
        location.remove(NEXT)


@dataclass(frozen=True)
class Turn:
    """The time in which one build, and no other, writes into a store."""

    location: Location
    snapshot: Snapshot
    staging: str

    @property
    def attributes(self) -> StoreAttributes:
        """Those of the store, as it is before anything is published."""
        return self.snapshot.attributes

    def table(self, name: str) -> pa.Table:
        """A table of the store, as it is before anything is published."""
        return decode_table(self.snapshot.tables[name], name)

    def place(self, group: str) -> str:
        """Where in the store a `<dataset>/<group>` is to be written: no reader looks there yet."""
        return group if self.location.folder is None else f"{self.staging}/{group}"

    def publish(
        self,
        groups: Mapping[str, str],
        rows: Mapping[str, Sequence[pa.Table]],
        replaced: Collection[str] = (),
        provenances: Provenances | None = None,
    ) -> StoreAttributes:
        """Put groups into the store, all at once; it is the last thing that is done in a turn.

        Args:
            groups: the fingerprint of each `<dataset>/<group>`; it lies whole in its `place`.
            rows: for each table, the rows of all of them; those of the same groups go.
            replaced: groups that go too, with their failures, where they are not in `groups`.
            provenances: what is known of datasets; of others, what was known before.
        """
        stale = {*groups, *replaced}
        gone = [path for path in self.attributes.groups if path in stale and path not in groups]
        kept = {path: made for path, made in self.attributes.groups.items() if path not in stale}
        tables = {
            name: in_order(
                pa.concat_tables([_without(self.table(name), name, stale), *rows.get(name, ())]),
                name,
            )
            for name in self.snapshot.tables
        }
        attributes = attributes_of(
            self.attributes.resolution, self.attributes.seed, {**kept, **groups}, {}
        )
        staged = {path: self.place(path) for path in groups if self.place(path) != path}
        known = {**provenances_in(self.snapshot.root), **(provenances or {})}
        datasets = {path.partition("/")[0] for path in attributes.groups}
        before = nodes_in(self.snapshot.root)
        return _finish(
            self.location,
            attributes,
            tables,
            staged,
            gone,
            {name: provenance for name, provenance in known.items() if name in datasets},
            {name: node for name, node in before.items() if home_of_node(name) not in stale},
        )


def _finish(
    location: Location,
    attributes: StoreAttributes,
    tables: Mapping[str, pa.Table],
    staged: Mapping[str, str],
    gone: Sequence[str],
    provenances: Provenances,
    nodes: Nodes,
) -> StoreAttributes:
    encoded = {name: encode_table(table) for name, table in tables.items()}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in encoded.items()}
    whole = attributes_of(attributes.resolution, attributes.seed, attributes.groups, sums)
    described = croissant(whole, provenances, tables)
    root = encode_attributes(
        whole,
        {
            "datasets": as_attribute(provenances),
            "files": {FILE: hashlib.sha256(described).hexdigest()},
        },
        nodes_of(location, list(whole.groups), staged, nodes),
    )
    ready = {
        ROOT: root.decode(),
        "croissant": described.decode(),
        "arrays": dict(staged),
        "gone": list(gone),
    }
    with location.explaining_full():
        for name, content in encoded.items():
            location.write(f"{NEXT}/{name}.parquet", content)
        location.write(READY, json.dumps(ready).encode())
        _roll_forward(location)
    return decode_attributes(root, location)


def _describe_again(location: Location) -> None:
    """Write what others read of a store anew, as it is in the turn of this build."""
    snapshot = take_snapshot(location)
    if snapshot is not None and any(damaged_beside(location, snapshot.root)):
        tables = {name: decode_table(content, name) for name, content in snapshot.tables.items()}
        known, nodes = provenances_in(snapshot.root), nodes_in(snapshot.root)
        _finish(location, snapshot.attributes, tables, {}, (), known, nodes)


def _roll_forward(location: Location) -> None:
    """Put what lies ready in its place; cut off anywhere, it can be done again."""
    ready = ready_state(location)
    if ready is None:
        return
    root = ready[ROOT].encode()
    groups = decode_attributes(root, location).groups
    for dataset in sorted({path.partition("/")[0] for path in groups}):
        node = f"{dataset}/zarr.json"
        if not location.exists(node) or location.read(node) != group_node({}):
            location.write(node, group_node({}))
    for path, place in ready["arrays"].items():
        location.replace(place, path)
    for path in ready["gone"]:
        location.remove(path)
    for name in TABLES:
        location.move(f"{NEXT}/{name}.parquet", f"manifests/{name}.parquet")
    if ready["croissant"] is not None:  # an earlier version may have been cut off here
        location.write(FILE, ready["croissant"].encode())
    location.write(ROOT, root)
    location.remove(READY)  # first, for it is what says that all is ready
    location.remove(NEXT)


def rows_of(table: pa.Table, name: str, groups: Collection[str]) -> pa.Table:
    """The rows of a table that are of some groups."""
    return table.filter(_is_of(table, name, groups))


def _without(table: pa.Table, name: str, groups: Collection[str]) -> pa.Table:
    return table.filter(pc.invert(_is_of(table, name, groups)))


def _is_of(table: pa.Table, name: str, groups: Collection[str]) -> pa.Array:
    if name == "examples":
        ids = pc.list_slice(pc.split_pattern(table["task"], "/"), 0, 2)
        paths = pc.binary_join(ids, "/")
    else:
        paths = pc.binary_join_element_wise(table["dataset"], table["group"], "/")
    return pc.is_in(paths, pa.array(sorted(groups), pa.string()))


@contextmanager
def _held(location: Location, doing: str, tell: Callable[[str], None] | None) -> Iterator[None]:
    if location.folder is None:
        yield
        return
    lock = location.folder / LOCK
    lock.parent.mkdir(parents=True, exist_ok=True)
    with held(lock, what=f"the store at {location}", doing=doing, tell=tell):
        yield
