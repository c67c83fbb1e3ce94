"""The store: Zarr arrays of slices, and the Parquet tables that say what they are.

```
<store>/zarr.json                     attributes: format, resolution, seed, fingerprints
<store>/<dataset>/<group>/images      (n, H, W) float16 in [0, 1]
<store>/<dataset>/<group>/masks       (m, H, W) uint8, 255 x soft coverage
<store>/manifests/{tasks,examples,subjects,failures}.parquet
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from megamedical.errors import StoreError
from megamedical.store.array_reader import Slices
from megamedical.store.location import Location
from megamedical.store.tables import FORMAT, TABLES, decode_table, encode_table, in_order
from megamedical.task_id import home_of

if TYPE_CHECKING:
    import pandas as pd


_NEXT = "manifests/.next"  # tables on their way into the store
_AGAIN = (
    "A build is at work there or was cut off: run it (again) to its end. If that does not help, "
    "delete the store and build it anew; what is staged is not processed again."
)


@dataclass(frozen=True)
class StoreAttributes:
    """What the root of a store says of it, under `megamedical` in its Zarr attributes.

    `groups` has the fingerprint of each group by `<dataset>/<group>`, `tables` the SHA-256 of each
    Parquet file; `fingerprint` sums them up.
    """

    format: int
    resolution: int
    seed: int
    groups: Mapping[str, str]
    tables: Mapping[str, str]
    fingerprint: str


class Store:
    """A built store, opened for reading."""

    def __init__(self, location: Location, attributes: StoreAttributes) -> None:
        self.location = location
        self.attributes = attributes

    @property
    def resolution(self) -> int:
        """Height and width of its slices, in pixels."""
        return self.attributes.resolution

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """One row per task; for the columns see `megamedical.store.tables.TASKS`."""
        return self.table("tasks").to_pandas()

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row per task and subject; for the columns see `megamedical.store.tables.EXAMPLES`."""
        return self.table("examples").to_pandas()

    @cached_property
    def subjects(self) -> pd.DataFrame:
        """One row per subject; for the columns see `megamedical.store.tables.SUBJECTS`."""
        return self.table("subjects").to_pandas()

    @cached_property
    def failures(self) -> pd.DataFrame:
        """One row per subject that could not be processed; for the columns see `FAILURES`."""
        return self.table("failures").to_pandas()

    def table(self, name: str) -> pa.Table:
        """A table as Arrow has it.

        Raises:
            StoreError: it is missing or damaged, or not the one the store was finished with.
        """
        return _read_table(self.location, self.attributes, name)

    def arrays(self, group: str) -> tuple[Any, Any]:
        """The Zarr arrays `images` and `masks` of a `<dataset>/<group>`."""
        import zarr

        found = zarr.open_group(self.location.zarr(), path=group, mode="r")
        return found["images"], found["masks"]

    def slices(self, group: str) -> tuple[Slices, Slices]:
        """The images and the masks of a `<dataset>/<group>`, for many reads at random.

        Raises:
            StoreError: there is no such group, or something else than `megamedical build` wrote it.
        """
        return Slices(self.location, f"{group}/images"), Slices(self.location, f"{group}/masks")

    def read(self, task: str, subject: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The image and the soft mask of one example, each (H, W) float32 in [0, 1].

        Raises:
            StoreError: the task has no such subject.
        """
        rows = self.examples
        found = rows[(rows["task"] == task) & (rows["subject"] == subject)]
        if found.empty:
            raise StoreError(
                f"The store has no subject {subject} in {task}", "See `Store.examples`."
            )
        images, masks = self.arrays(home_of(task))
        image = images[int(found["image"].iloc[0])].astype(np.float32)
        mask = masks[int(found["mask"].iloc[0])].astype(np.float32) / 255
        return image, mask


def open_store(path: str | Path) -> Store:
    """Open a store that `megamedical build` made.

    Args:
        path: its folder, or a URL that fsspec knows.

    Raises:
        StoreError: there is no store, it is of another version, or its build was cut off while its
            tables were written.
    """
    location = Location(path)
    attributes = read_attributes(location)
    if attributes is None:
        raise StoreError(f"There is no store at {path}", "Make one with `megamedical build`.")
    for name in TABLES:
        _read_table(location, attributes, name)
    return Store(location, attributes)


def read_attributes(location: Location) -> StoreAttributes | None:
    """The attributes of a store, or None where there is none.

    Raises:
        StoreError: something else lies there, or a store of another version.
    """
    import zarr

    if not location.exists("zarr.json"):
        return None
    try:
        said = zarr.open_group(location.zarr(), mode="r").attrs.get("megamedical")
    except ValueError as error:  # an array, or a damaged file
        raise StoreError(f"{location} is not a MegaMedical store: {error}") from error
    if said is None:
        raise StoreError(f"{location} is a Zarr group, but not a MegaMedical store.")
    if said["format"] != FORMAT:
        raise StoreError(
            f"{location} has format {said['format']}, this version reads {FORMAT}",
            "Build it anew, or use the version that built it.",
        )
    return StoreAttributes(**said)


def begin(location: Location, resolution: int, seed: int) -> StoreAttributes:
    """Make an empty store, or check that the one that is there can be added to.

    Raises:
        StoreError: the store that is there has another resolution or seed, or is not whole.
    """
    _roll_forward(location)
    attributes = read_attributes(location)
    if attributes is None:
        empty = {name: schema.empty_table() for name, schema in TABLES.items()}
        return _finish(location, resolution, seed, {}, empty)
    for key, wanted in (("resolution", resolution), ("seed", seed)):
        found = getattr(attributes, key)
        if found != wanted:
            raise StoreError(
                f"The store at {location} has {key} {found}, not {wanted}",
                f"Give --{key} {found}, or another --store.",
            )
    return attributes


def withdraw(location: Location, groups: Sequence[str]) -> None:
    """Take groups out of the store, failures too, before they are written anew."""
    attributes = read_attributes(location)
    if attributes is None or not groups:
        return
    kept = {path: found for path, found in attributes.groups.items() if path not in groups}
    tables = _tables_without(location, attributes, groups)
    _finish(location, attributes.resolution, attributes.seed, kept, tables)
    for path in groups:
        location.remove(path)


def make_datasets(location: Location, groups: Sequence[str]) -> None:
    """The nodes that groups are written into, made before many write: a race would stop a build."""
    import zarr

    root = zarr.open_group(location.zarr(), mode="a")
    for dataset in sorted({path.split("/")[0] for path in groups}):
        root.require_group(dataset)


def publish(
    location: Location, groups: Mapping[str, str], rows: Mapping[str, Sequence[pa.Table]]
) -> StoreAttributes:
    """Put groups into the tables; from then on the store has them.

    Args:
        location: where the store is.
        groups: the fingerprint of each `<dataset>/<group>`; rows of the same groups are replaced.
        rows: for each table, the rows of all of them.
    """
    attributes = read_attributes(location)
    if attributes is None:
        raise StoreError(f"There is no store at {location}")
    tables = {
        name: in_order(pa.concat_tables([table, *rows[name]]), name)
        for name, table in _tables_without(location, attributes, list(groups)).items()
    }
    return _finish(
        location, attributes.resolution, attributes.seed, {**attributes.groups, **groups}, tables
    )


def _finish(
    location: Location,
    resolution: int,
    seed: int,
    groups: Mapping[str, str],
    tables: Mapping[str, pa.Table],
) -> StoreAttributes:
    encoded = {name: encode_table(table) for name, table in tables.items()}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in encoded.items()}
    made_of = "".join(f"{path} {found}\n" for path, found in sorted(groups.items()))
    attributes = StoreAttributes(
        format=FORMAT,
        resolution=resolution,
        seed=seed,
        groups=dict(sorted(groups.items())),
        tables=sums,
        fingerprint=hashlib.sha256(made_of.encode()).hexdigest(),
    )
    with location.explaining_full():
        for name, content in encoded.items():
            location.write(f"{_NEXT}/{name}.parquet", content)
        location.write(f"{_NEXT}/attributes.json", json.dumps(asdict(attributes)).encode())
        _roll_forward(location)
    return attributes


def _roll_forward(location: Location) -> None:
    """Put tables that lie ready in their place; cut off anywhere, it can be done again."""
    import zarr

    if not location.exists(f"{_NEXT}/attributes.json"):
        return
    for name in TABLES:
        location.move(f"{_NEXT}/{name}.parquet", f"manifests/{name}.parquet")
    attributes = json.loads(location.read(f"{_NEXT}/attributes.json"))
    zarr.open_group(location.zarr(), mode="a").attrs.put({"megamedical": attributes})
    location.remove(f"{_NEXT}/attributes.json")  # first, for it is what says that all is ready
    location.remove(_NEXT)


def _tables_without(
    location: Location, attributes: StoreAttributes, groups: Sequence[str]
) -> dict[str, pa.Table]:
    tables = {}
    for name in TABLES:
        table = _read_table(location, attributes, name)
        if name == "examples":
            ids = pc.list_slice(pc.split_pattern(table["task"], "/"), 0, 2)
            paths = pc.binary_join(ids, "/")
        else:
            paths = pc.binary_join_element_wise(table["dataset"], table["group"], "/")
        tables[name] = table.filter(pc.invert(pc.is_in(paths, pa.array(groups, pa.string()))))
    return tables


def _read_table(location: Location, attributes: StoreAttributes, name: str) -> pa.Table:
    try:
        content = location.read(f"manifests/{name}.parquet")
    except FileNotFoundError as error:
        raise StoreError(f"{location}/manifests/{name}.parquet is missing", _AGAIN) from error
    if hashlib.sha256(content).hexdigest() != attributes.tables[name]:
        raise StoreError(
            f"{location}/manifests/{name}.parquet is not the one the store was finished with",
            _AGAIN,
        )
    return decode_table(content, name)
