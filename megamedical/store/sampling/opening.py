"""What of a store is asked for by patterns, opened as a dataset of PyTorch's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from megamedical.store.array_reader import Slices
from megamedical.store.sampling.datasets import Augment, EpisodeDataset, SliceDataset, Transform
from megamedical.store.sampling.episodes import EpisodeSampler
from megamedical.store.sampling.tasks import TaskError, named_tasks, tasks_to_query
from megamedical.store.tables import SHARES

if TYPE_CHECKING:
    from megamedical.store.store import Store


def slices_of(
    store: Store,
    patterns: Sequence[str],
    split: str | None,
    role: str | None,
    transform: Transform | None,
) -> SliceDataset:
    """See `Store.dataset`."""
    _expect_split(split)
    tasks = named_tasks(store, patterns, role)
    rows = store.examples[store.examples["task"].isin(tasks["task"])]
    rows = rows if split is None else rows[rows["split"] == split]
    if rows.empty:
        raise TaskError(
            f"{store.location} has no slice of that{f' in its {split} split' if split else ''}",
            "`Store.tasks` says how many subjects each task has in which split.",
        )
    return SliceDataset(rows, _arrays(store, tasks["dataset"] + "/" + tasks["group"]), transform)


def episodes_of(
    store: Store,
    patterns: Sequence[str],
    support_size: int,
    split: str,
    role: str | None,
    length: int,
    seed: int,
    minimum_area: float,
    augment: Augment | None,
) -> EpisodeDataset:
    """See `Store.episodes`."""
    _expect_split(split)
    for name, number in (("support_size", support_size), ("length", length)):
        if number < 1:
            raise TaskError(f"{name} is {number}", "It must be 1 or more.")
    named = named_tasks(store, patterns, role)
    tasks = tasks_to_query(store, named, split, minimum_area)
    if not tasks:
        raise TaskError(
            f"{store.location} has no task of that with a subject in its {split} split and "
            "another patient's in its train split",
            "`Store.tasks` says how many subjects each task has in which split.",
        )
    queries: Literal["train", "dev"] = "train" if split == "train" else "dev"
    sampler = EpisodeSampler(tasks, support_size, seed, queries=queries)
    return EpisodeDataset(
        tasks, _arrays(store, {task.group for task in tasks}), sampler, length, seed, augment
    )


def _arrays(store: Store, groups: Collection[str]) -> Mapping[str, tuple[Slices, Slices]]:
    return {group: store.slices(group) for group in sorted(set(groups))}


def _expect_split(split: str | None) -> None:
    if split is not None and split not in SHARES:
        raise TaskError(f"There is no split {split}", f"There are {', '.join(SHARES)}.")
