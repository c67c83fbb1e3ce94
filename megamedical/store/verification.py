"""Is a store whole, and does it hold what it says? Every slice is read and every row checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from megamedical.reporting.progress import Listener, Silence
from megamedical.store.store import Store, open_store
from megamedical.store.tables import SHARES
from megamedical.task_id import home_of


@dataclass(frozen=True)
class Verdict:
    """What a verification found: how much it looked at, and all that is wrong."""

    groups: int
    images: int
    masks: int
    examples: int
    problems: tuple[str, ...]


def verify(path: str | Path, listener: Listener | None = None) -> Verdict:
    """Check a store against itself.

    Its tables must be the ones it was finished with and agree with each other; images must be
    finite and lie in [0, 1]; every mask must cover the area its example states; no patient may be
    in two splits.

    Raises:
        StoreError: there is no whole store at the path, see `open_store`.
    """
    store = open_store(path)
    problems = list(_tables(store))
    images = masks = 0
    groups = store.attributes.groups
    with (listener or Silence()).stage("verify", len(groups), "groups") as step:
        for group in groups:
            counted, found = _arrays_or_why_not(store, group)
            images, masks = images + counted[0], masks + counted[1]
            problems += found
            step(group)
    return Verdict(len(groups), images, masks, len(store.examples), tuple(problems))


def _tables(store: Store) -> Iterator[str]:
    tasks, examples, subjects = store.tasks, store.examples, store.subjects
    if tasks["task"].duplicated().any():
        yield "tasks: an id comes twice"
        tasks = tasks.drop_duplicates("task")
    unknown = set(examples["task"]) ^ set(tasks["task"])
    if unknown:
        yield f"tasks and examples differ in {sorted(unknown)[0]} and {len(unknown) - 1} more"
    foreign = set(tasks["dataset"] + "/" + tasks["group"]) - set(store.attributes.groups)
    if foreign:  # the other way round, a group may be without a task
        yield f"tasks has groups that the store does not have: {', '.join(sorted(foreign))}"
    for (dataset, patient), splits in subjects.groupby(["dataset", "patient"])["split"]:
        if splits.nunique() > 1:
            yield f"{dataset}: patient {patient} is in several splits: {sorted(splits.unique())}"
    stated = tasks.set_index("task")[list(SHARES)]
    counted = pd.crosstab(examples["task"], examples["split"])
    counted = counted.reindex(index=stated.index, columns=stated.columns, fill_value=0)
    for split in SHARES:
        if (counted[split] != stated[split]).any():
            yield f"tasks: the numbers of {split} subjects are not those of examples"
    home = examples["task"].map(home_of)
    known = pd.Series(
        subjects["split"].to_numpy(),
        index=subjects["dataset"] + "/" + subjects["group"] + "/" + subjects["subject"],
    )
    if known.index.duplicated().any():
        yield "subjects: one comes twice"
        known = known[~known.index.duplicated()]
    if not (known.reindex(home + "/" + examples["subject"]).to_numpy() == examples["split"]).all():
        yield "examples: a subject is not in subjects, or in another split there"


def _arrays_or_why_not(store: Store, group: str) -> tuple[tuple[int, int], list[str]]:
    try:
        return _arrays(store, group)
    except Exception as error:  # whatever a lost or damaged file makes its readers raise
        return (0, 0), [f"{group}: its arrays cannot be read: {error}"]


def _arrays(store: Store, group: str) -> tuple[tuple[int, int], list[str]]:
    images, masks = store.arrays(group)
    examples = store.examples[store.examples["task"].str.startswith(f"{group}/")]
    shape = (store.resolution, store.resolution)
    problems = [
        f"{group}/{name}: {array.dtype} {array.shape}, expected {dtype} (n, {shape[0]}, {shape[1]})"
        for name, array, dtype in (("images", images, "float16"), ("masks", masks, "uint8"))
        if array.dtype != dtype or array.shape[1:] != shape
    ]
    if problems:
        return (images.shape[0], masks.shape[0]), problems
    for name, array in (("image", images), ("mask", masks)):
        if set(examples[name]) != set(range(array.shape[0])):
            problems.append(f"{group}: examples do not use each {name} of {array.shape[0]}")
    for start, block in _shards(images):
        if not store.location.exists(f"{group}/images/c/{start // images.shards[0]}/0/0"):
            problems.append(f"{group}/images[{start}]: the file it is in is missing")
        bad = ~(np.isfinite(block) & (block >= 0) & (block <= 1)).all(axis=(1, 2))
        problems += [f"{group}/images[{start + n}]: not in [0, 1]" for n in np.flatnonzero(bad)]
    means = [block.mean(axis=(1, 2), dtype=np.float64) for _, block in _shards(masks)]
    areas = np.concatenate([np.empty(0), *means]) / 255
    stated = examples.drop_duplicates("mask").set_index("mask")["area"].reindex(range(len(areas)))
    wrong = np.flatnonzero(~np.isclose(areas, stated.to_numpy(), atol=1e-6))
    problems += [
        f"{group}/masks[{n}]: covers {areas[n]:.4f}, examples say {stated.iloc[n]:.4f}"
        for n in wrong
    ]
    return (images.shape[0], masks.shape[0]), problems


def _shards(array: Any) -> Iterator[tuple[int, Any]]:  # noqa: ANN401
    for start in range(0, array.shape[0], array.shards[0]):
        yield start, array[start : start + array.shards[0]]
