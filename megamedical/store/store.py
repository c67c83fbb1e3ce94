"""The store: Zarr arrays of slices, and the Parquet tables that say what they are.

```
<store>/zarr.json                     attributes: format, resolution, seed, fingerprints, checksums
<store>/<dataset>/<group>/zarr.json   attributes: fingerprint, checksums of the group's files
<store>/<dataset>/<group>/images      (n, H, W) float16 in [0, 1]
<store>/<dataset>/<group>/masks       (m, H, W) uint8, 255 x soft coverage
<store>/manifests/{groups,tasks,examples,subjects,failures}.parquet
```
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from megamedical.errors import StoreError, needing
from megamedical.store.array_reader import Origin, Slices
from megamedical.store.attributes import StoreAttributes
from megamedical.store.describing.provenance import Provenances, provenances_in
from megamedical.store.examples import ExampleIndex
from megamedical.store.location import Location
from megamedical.store.snapshot import Snapshot, take_snapshot
from megamedical.store.tables import TABLES, decode_table, tables_of
from megamedical.task_id import home_of

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from megamedical.store.notebook.task import StoredTask
    from megamedical.store.sampling.datasets import (
        Augment,
        EpisodeDataset,
        SliceDataset,
        Transform,
    )


_ATTEMPTS = 4  # each of them in the way of another build, or of the same at another step


class Store:
    """A built store, opened for reading, as it was at that moment.

    Its tables stay what they are, whatever a build does to the store meanwhile.
    """

    def __init__(self, location: Location, snapshot: Snapshot) -> None:
        self.location = location
        self._snapshot = snapshot
        self._slices: dict[str, tuple[Slices, Slices]] = {}

    @property
    def attributes(self) -> StoreAttributes:
        """What the store's root says of it."""
        return self._snapshot.attributes

    @property
    def resolution(self) -> int:
        """Height and width of its slices, in pixels."""
        return self.attributes.resolution

    @property
    def provenances(self) -> Provenances:
        """Titles, terms and citations of its datasets; stores of earlier versions have none."""
        return provenances_in(self.root)

    @property
    def root(self) -> bytes:
        """The content of its `zarr.json`."""
        return self._snapshot.root

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row per group; for the columns see `megamedical.store.tables.GROUPS`.

        A store of the first format has no rows here.
        """
        return self.table("groups").to_pandas()

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
            StoreError: it has other columns than this version writes.
        """
        if name not in tables_of(self.attributes.format):
            return TABLES[name].empty_table()
        return decode_table(self._snapshot.tables[name], name)

    def arrays(self, group: str) -> tuple[Any, Any]:
        """The Zarr arrays `images` and `masks` of a `<dataset>/<group>`, as they now are.

        Zarr checks every chunk that it reads, and takes a lost file for zeros.
        """
        import zarr

        found = zarr.open_group(self.location.zarr(), path=group, mode="r")
        return found["images"], found["masks"]

    def slices(self, group: str) -> tuple[Slices, Slices]:
        """The images and the masks of a `<dataset>/<group>`, for many reads at random.

        Raises:
            StoreError: there is no such group, something else than `megamedical build` wrote it, or
                it was built anew since the store was opened.
        """
        origin = self._origin(group)
        images, masks = (f"{group}/{name}" for name in ("images", "masks"))
        return Slices(self.location, images, origin), Slices(self.location, masks, origin)

    def read(self, task: str, subject: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The image and the soft mask of one example, each (H, W) float32 in [0, 1].

        Where a build has rewritten the task meanwhile, it is read as it now is.

        Raises:
            StoreError: the task has no such subject, or its slices are missing or damaged.
        """
        store = self
        for _ in range(_ATTEMPTS - 1):
            try:
                return store._read(task, subject)
            except StoreError:  # which a build may have been the reason of
                store = open_store(self.location.absolute)
        return store._read(task, subject)

    def _read(self, task: str, subject: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found = self._examples.find(task, subject)
        if found is None:
            raise StoreError(
                f"The store has no subject {subject} in {task}", "See `Store.examples`."
            )
        group = home_of(task)
        if group not in self._slices:
            self._slices[group] = self.slices(group)
        images, masks = self._slices[group]
        image, mask = images.read([found[0]])[0], masks.read([found[1]])[0]
        return image.astype(np.float32), mask.astype(np.float32) / np.float32(255)

    def __len__(self) -> int:
        """How many tasks it has."""
        return len(self.tasks)

    def __iter__(self) -> Iterator[str]:
        """The ids of its tasks."""
        return iter(self.tasks["task"])

    def __contains__(self, task: object) -> bool:
        """Whether it has a task of this id."""
        return task in set(self.tasks["task"])

    def __bool__(self) -> bool:
        """A store is one, also while it has no task."""
        return True

    def __getitem__(self, task: str) -> StoredTask:
        """A task by its id: its examples, and how they look.

        Raises:
            StoreError: there is none; the nearest ids are named.
        """
        from megamedical.store.notebook.task import StoredTask

        rows = self.tasks[self.tasks["task"] == task]
        if rows.empty:
            near = get_close_matches(str(task), list(self.tasks["task"]))
            guess = f"Did you mean {' or '.join(near)}?" if near else "See `Store.tasks`."
            raise StoreError(f"{self.location} has no task {task}", guess)
        return StoredTask(self, task, rows.iloc[0])

    def preview(self, *tasks: str, per_task: int = 6, most: int = 24, columns: int = 2) -> Image:
        """A contact sheet: some slices of each task, with the mask as an outline.

        Args:
            tasks: their ids, or how they begin; by default tasks spread over all of the store.
            per_task: slices of each.
            most: draw no more than so many tasks, spread evenly.
            columns: tasks beside each other.

        Raises:
            StoreError: no task begins like that, or the store has none.
        """
        from megamedical.store.preview import preview

        return preview(self, tasks=tasks, per_task=per_task, most=most, columns=columns)

    def __repr__(self) -> str:
        return f"<store {self.location}: {len(self)} tasks, {self.resolution} pixels a side>"

    def _repr_html_(self) -> str:
        from megamedical.store.notebook.page import page_of

        return page_of(self)

    def dataset(
        self,
        *tasks: str,
        split: str | None = None,
        role: str | None = None,
        transform: Transform | None = None,
    ) -> SliceDataset:
        """Slices with their masks, for a `DataLoader` of PyTorch's, which reads a batch at once.

        An item is an `Example`, of which a loader makes a `Batch`: `image` (1, H, W) and `mask`
        (1, H, W), float32 in [0, 1], and `about`, which says task, subject, patient and split.

        Args:
            tasks: patterns of their names, `acdc/*`, or how they begin; all by default.
            split: train, dev or test; all by default.
            role: only datasets of this role.
            transform: is done to each image and mask.

        Raises:
            TaskError: the store has nothing of that.
            NotInstalled: there is no PyTorch.
            StoreError: see `slices`.
        """
        with needing("torch", "universeg", "`Store.dataset`"):
            from megamedical.store.sampling.opening import slices_of

        return slices_of(self, tasks, split, role, transform)

    def episodes(
        self,
        *tasks: str,
        support_size: int = 16,
        split: str = "train",
        role: str | None = None,
        length: int = 10_000,
        seed: int = 0,
        minimum_area: float = 0.003,
        augment: Augment | None = None,
    ) -> EpisodeDataset:
        """In-context episodes: a query, and labelled slices of other patients' to learn it from.

        Each is drawn from its number, first a dataset, then a group of it and so on, so that all
        count alike. An item is an `InContext`, of which a loader makes `Episodes`.

        Args:
            tasks: patterns of their names, `acdc/*`, or how they begin; all by default.
            support_size: S, labelled slices of an episode; all are of the train split.
            split: of the queries.
            role: only datasets of this role.
            length: how many episodes there are.
            seed: another one gives other episodes.
            minimum_area: the least share of a slice of the train split that its label covers.
            augment: changes episodes, as `universeg.Augmentation()` does.

        Raises:
            TaskError: the store has nothing of that.
            NotInstalled: there is no PyTorch.
            StoreError: see `slices`.
        """
        with needing("torch", "universeg", "`Store.episodes`"):
            from megamedical.store.sampling.opening import episodes_of

        return episodes_of(
            self, tasks, support_size, split, role, length, seed, minimum_area, augment
        )

    @cached_property
    def _examples(self) -> ExampleIndex:
        return ExampleIndex(self.table("examples"))

    @cached_property
    def _checksums(self) -> dict[str, str]:
        """Of each group's `zarr.json`."""
        table = self.table("groups").select(["dataset", "group", "checksum"])
        return {f"{row['dataset']}/{row['group']}": row["checksum"] for row in table.to_pylist()}

    def checksum_of(self, group: str) -> str:
        """The SHA-256 of the `zarr.json` of a `<dataset>/<group>`, as the tables have it.

        Raises:
            StoreError: there is no such group.
        """
        if group not in self._checksums:
            raise StoreError(f"The store at {self.location} has no {group}", "See `Store.groups`.")
        return self._checksums[group]

    def places_of(self, group: str) -> tuple[str, ...]:
        """Where in the store a group may lie: in its place, or on its way there."""
        staged = self._snapshot.staged.get(group)
        return (group,) if staged is None else (group, staged)

    def _origin(self, group: str) -> Origin | None:
        if self.attributes.format == 1:
            return None
        return Origin(self.places_of(group), self.checksum_of(group))


def open_store(path: str | Path) -> Store:
    """Open a store that `megamedical build` made.

    All of its tables are checked against the checksums that its attributes have; they are parsed
    when they are asked for.

    Args:
        path: its folder, or a URL that fsspec knows.

    Raises:
        StoreError: there is no store, it is of another version, or it is damaged.
    """
    location = Location(path)
    snapshot = take_snapshot(location)
    if snapshot is None:
        raise StoreError(f"There is no store at {path}", "Make one with `megamedical build`.")
    return Store(location, snapshot)
