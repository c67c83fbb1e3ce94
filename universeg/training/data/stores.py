"""Several stores that are trained on as if they were one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from megamedical.errors import StoreError
from megamedical.store.array_reader import Slices
from megamedical.store.attributes import StoreAttributes
from megamedical.store.describing.provenance import Provenances
from megamedical.store.location import Location
from megamedical.store.snapshot import Snapshot
from megamedical.store.store import Store
from megamedical.task_id import home_of

if TYPE_CHECKING:
    import pandas as pd


class Stores(Store):
    """Stores of one resolution, none of which has a group that another has."""

    def __init__(self, stores: Sequence[Store]) -> None:
        """Join them; see `joined`."""
        self._home = {group: store for store in stores for group in store.attributes.groups}
        self._stores = stores
        attributes = [store.attributes for store in stores]
        together = StoreAttributes(
            format=max(own.format for own in attributes),
            resolution=attributes[0].resolution,
            seed=attributes[0].seed,
            groups={name: mark for own in attributes for name, mark in own.groups.items()},
            tables={},
            fingerprint=_together([own.fingerprint for own in attributes]),
        )
        super().__init__(_Places(stores), Snapshot(together, tables={}, staged={}))

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """See `Store`."""
        return _concat([store.tasks for store in self._stores])

    @cached_property
    def examples(self) -> pd.DataFrame:
        """See `Store`."""
        return _concat([store.examples for store in self._stores])

    @property
    def provenances(self) -> Provenances:
        """See `Store`."""
        return {name: of for store in self._stores for name, of in store.provenances.items()}

    def table(self, name: str) -> pa.Table:
        """See `Store`."""
        return pa.concat_tables([store.table(name) for store in self._stores])

    def arrays(self, group: str) -> tuple[Any, Any]:
        """See `Store`."""
        return self._home[group].arrays(group)

    def slices(self, group: str) -> tuple[Slices, Slices]:
        """See `Store`."""
        return self._home[group].slices(group)

    def read(self, task: str, subject: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Store`."""
        group = home_of(task)
        if group not in self._home:
            raise StoreError(f"{self.location} have no {group}", "See `Store.tasks`.")
        return self._home[group].read(task, subject)


class _Places(Location):
    """Where the stores lie, for messages; each is read at its own place."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.url = " and ".join(str(store.location) for store in stores)


def joined(stores: Iterable[Store]) -> Store:
    """Stores as one; one alone as it is.

    Raises:
        StoreError: they have slices of several sizes, or one group twice.
    """
    first, *others = stores = list(stores)
    if not others:
        return first
    seen: dict[str, Store] = {}
    for store in stores:
        if store.resolution != first.resolution:
            raise StoreError(
                f"{first.location} has slices of {first.resolution} pixels a side, "
                f"{store.location} of {store.resolution}",
                "Build one of them anew with the --resolution of the other.",
            )
        for group in store.attributes.groups:
            if group in seen:
                raise StoreError(
                    f"{group} is both in {seen[group].location} and in {store.location}",
                    "Name one of the two, or take the group out of one by building it anew.",
                )
            seen[group] = store
    return Stores(stores)


def _together(fingerprints: Iterable[str]) -> str:
    """A fingerprint that depends on those of all stores, in whatever order they are named."""
    return hashlib.sha256(" ".join(sorted(fingerprints)).encode()).hexdigest()


def _concat(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(tables, ignore_index=True)
