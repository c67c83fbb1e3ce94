"""Whether a group is the files that were written, and its arrays hold what its examples say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from megamedical.errors import StoreError
from megamedical.store.array_reader import Slices
from megamedical.store.checks.files import damaged_files, damaged_node
from megamedical.store.describing.croissant import damaged_beside
from megamedical.store.store import Store

_ONE = np.float16(1).view(np.uint16)  # floats from 0 to 1 are in the order of their bits

Found = tuple[NDArray[np.float64] | None, list[str]]


class GroupCheck(NamedTuple):
    """What a group has, and all that is wrong with it."""

    images: int
    masks: int
    problems: list[str]


def problems_of_nodes(store: Store) -> Iterator[str]:
    """Damage of the small files between the root and the groups."""
    if store.attributes.format == 1:
        return
    datasets = sorted({path.partition("/")[0] for path in store.attributes.groups})
    yield from filter(None, (damaged_node(store.location, dataset) for dataset in datasets))
    yield from damaged_beside(store.location, store.root)


def check_group(store: Store, group: str, examples: pd.DataFrame, executor: Executor) -> GroupCheck:
    """Read all of a group.

    Args:
        store: an open store.
        group: `<dataset>/<group>`.
        examples: those of the group.
        executor: what does many files at once.
    """
    damaged = list(_damaged_files(store, group, executor))
    try:
        images, masks = store.slices(group)
    except StoreError as error:
        return GroupCheck(0, 0, [*damaged, f"{group}: its arrays cannot be read: {error.problem}"])
    counts = len(images), len(masks)
    unlike = list(_unlike(store, group, images, masks))
    if unlike:
        return GroupCheck(*counts, [*damaged, *unlike])
    problems = [*damaged, *_counts(_row_of(store, group), group, examples, counts)]
    starts = range(0, len(images), images.per_shard)
    for _, found in executor.map(partial(_images, images, group), starts):
        problems += found
    areas = np.full(len(masks), np.nan)
    starts = range(0, len(masks), masks.per_shard)
    for start, (area, found) in zip(
        starts, executor.map(partial(_masks, masks, group), starts), strict=True
    ):
        problems += found
        if area is not None:
            areas[start : start + len(area)] = area
    return GroupCheck(*counts, [*problems, *_areas(group, examples, areas)])


def _damaged_files(store: Store, group: str, executor: Executor) -> Iterable[str]:
    """Files that are not the ones that were written, by the checksums of the group."""
    if store.attributes.format == 1:
        return ()
    stated = _row_of(store, group)["checksum"].tolist()
    return damaged_files(
        store.location,
        group,
        stated[0] if len(stated) == 1 else "",
        store.attributes.groups.get(group),
        executor.map,
    )


def _row_of(store: Store, group: str) -> pd.DataFrame:
    dataset, _, name = group.partition("/")
    return store.groups[(store.groups["dataset"] == dataset) & (store.groups["group"] == name)]


def _unlike(store: Store, group: str, images: Slices, masks: Slices) -> Iterator[str]:
    side = store.resolution
    for name, array, dtype in (("images", images, "float16"), ("masks", masks, "uint8")):
        if array.dtype != dtype or array.shape[1:] != (side, side):
            yield (
                f"{group}/{name}: {array.dtype} {array.shape}, expected {dtype} (n, {side}, {side})"
            )


def _counts(
    row: pd.DataFrame, group: str, examples: pd.DataFrame, counts: tuple[int, int]
) -> Iterator[str]:
    for stated in zip(row["images"], row["masks"], strict=True):
        if stated != counts:
            yield (
                f"groups: {group} has {stated[0]} images and {stated[1]} masks, its arrays "
                f"{counts[0]} and {counts[1]}"
            )
    for name, count in zip(("image", "mask"), counts, strict=True):
        used = examples[name].unique()
        if used.size and not 0 <= used.min() <= used.max() < count:
            yield f"{group}: examples use {name}s that are not among its {count}"
        if not np.isin(np.arange(count), used).all():
            yield f"{group}: examples do not use each {name} of {count}"


def _images(images: Slices, group: str, start: int) -> Found:
    def found(block: NDArray[np.float16]) -> Found:
        bits = block.view(np.uint16).reshape(len(block), -1)
        suspects = np.flatnonzero(bits.max(axis=1) > _ONE)
        inside = (np.isfinite(block[suspects]) & (block[suspects] >= 0)).all(axis=(1, 2))
        bad = suspects[~(inside & (block[suspects] <= 1).all(axis=(1, 2)))]
        return None, [f"{group}/images[{start + n}]: not in [0, 1]" for n in bad]

    return _read(images, f"{group}/images", start, found)


def _masks(masks: Slices, group: str, start: int) -> Found:
    def found(block: NDArray[np.uint8]) -> Found:
        return block.reshape(len(block), -1).mean(axis=1, dtype=np.float64) / 255, []

    return _read(masks, f"{group}/masks", start, found)


def _read(slices: Slices, name: str, start: int, found: Callable[[NDArray[Any]], Found]) -> Found:
    """What is found in the slices of one file, or that they cannot be read."""
    try:
        return found(slices.read(range(start, min(start + slices.per_shard, len(slices)))))
    except StoreError as error:
        return None, [f"{name}[{start}] and what follows cannot be read: {error.problem}"]


def _areas(group: str, examples: pd.DataFrame, areas: NDArray[np.float64]) -> Iterator[str]:
    """Examples whose area is not that of their mask's pixels."""
    inside = examples[(examples["mask"] >= 0) & (examples["mask"] < len(areas))]
    found = areas[inside["mask"].to_numpy()]
    stated = inside["area"].to_numpy()
    wrong = np.isfinite(found) & ~np.isclose(found, stated, atol=1e-6)
    told = inside[wrong].drop_duplicates(["mask", "area"])
    for mask, area in zip(told["mask"], told["area"], strict=True):
        yield f"{group}/masks[{mask}]: covers {areas[mask]:.4f}, examples say {area:.4f}"
