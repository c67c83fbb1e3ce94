"""The cases of a suite in a store: queries, and the supports that each is shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.method import Support
from benchmark.suite import Suite, SuiteError
from megamedical.store.store import Store
from megamedical.task_id import TaskId, home_of

if TYPE_CHECKING:
    import pandas as pd

_NO_QUERY = ""  # in the place of a subject, which has a name


@dataclass(frozen=True)
class Example:
    """A subject of a task, and where its slices lie in the arrays of the group."""

    subject: str
    patient: str
    image: int
    mask: int


@dataclass(frozen=True)
class TaskCases:
    """A task of a suite: its queries, and the pool that their supports are drawn from.

    `fingerprint` says what the task was made from.
    """

    task: str
    fingerprint: str
    pool: tuple[Example, ...]
    queries: tuple[Example, ...]

    @property
    def dataset(self) -> str:
        """The id of the dataset."""
        return TaskId.parse(self.task).dataset

    @property
    def group(self) -> str:
        """`<dataset>/<group>`, where its slices lie."""
        return home_of(self.task)


@dataclass(frozen=True)
class Cases:
    """The tasks of a suite that a store has, and those that it lacks."""

    tasks: tuple[TaskCases, ...]
    missing: tuple[str, ...]


def find_cases(suite: Suite, store: Store) -> Cases:
    """The cases of a suite in a store.

    Raises:
        SuiteError: the store has none of its tasks, slices of another size, or a group in which no
            subject is like the pattern that the suite has for it.
    """
    if store.resolution != suite.resolution:
        raise SuiteError(
            f"{store.location} has slices of {store.resolution} pixels a side, the suite "
            f"{suite.id} is for {suite.resolution}",
            f"Build a store with --resolution {suite.resolution}.",
        )
    fingerprints = dict(zip(store.tasks["task"], store.tasks["fingerprint"], strict=True))
    by_task = store.examples.groupby("task", sort=False)
    present = [task for task in suite.tasks if task in fingerprints]
    tasks = [_cases(suite, task, fingerprints[task], by_task.get_group(task)) for task in present]
    usable = tuple(task for task in tasks if task.queries and task.pool)
    found = {task.task for task in usable}
    if not usable:
        raise SuiteError(
            f"{store.location} has no task of the suite {suite.id}",
            f"Build {', '.join(sorted({task.split('/')[0] for task in suite.tasks}))} into it.",
        )
    return Cases(usable, tuple(task for task in suite.tasks if task not in found))


def draw_support(
    suite: Suite, cases: TaskCases, query: Example, draw: int, size: int
) -> list[Example]:
    """The support of a query: the same for every method, and a larger one holds the smaller.

    It is drawn from the pool without the query's patient, each subject once; all of it where the
    pool is smaller. The order is that of hashes, which no version of a library will change.
    """
    others = [example for example in cases.pool if example.patient != query.patient]
    return _drawn(suite, cases, query.subject, others, draw, size)


def draw_shared_support(suite: Suite, cases: TaskCases, draw: int, size: int) -> list[Example]:
    """The support that all queries of a task share, drawn as that of a query is.

    No patient of a query is in it.
    """
    patients = {query.patient for query in cases.queries}
    others = [example for example in cases.pool if example.patient not in patients]
    return _drawn(suite, cases, _NO_QUERY, others, draw, size)


def _drawn(
    suite: Suite, cases: TaskCases, query: str, pool: Sequence[Example], draw: int, size: int
) -> list[Example]:
    def lot(example: Example) -> bytes:
        said = (suite.id, suite.seed, cases.task, query, draw, example.subject)
        return hashlib.sha256("\n".join(map(str, said)).encode()).digest()

    return sorted(pool, key=lot)[:size]


class CaseReader:
    """Reads the slices of a task from a store."""

    def __init__(self, store: Store, group: str) -> None:
        self._images, self._masks = store.slices(group)

    def support(self, examples: Sequence[Example]) -> Support:
        """The slices of examples, as a method takes them."""
        images = self._images.read([example.image for example in examples])
        masks = self._masks.read([example.mask for example in examples])
        return Support(images.astype(np.float32), masks.astype(np.float32) / np.float32(255))

    def query(self, example: Example) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The image and the soft mask of a query, (H, W) each."""
        found = self.support([example])
        return found.images[0], found.masks[0]


def _cases(suite: Suite, task: str, fingerprint: str, rows: pd.DataFrame) -> TaskCases:
    group = home_of(task)
    pattern = suite.only.get(group, "*")
    counts = rows["subject"].map(lambda subject: fnmatchcase(subject, pattern))
    if not counts.any():
        raise SuiteError(
            f"No subject of {group} is like {pattern!r}, as the suite {suite.id} wants it",
            f"Its subjects are named like {rows['subject'].min()}: mend `only:` in the suite.",
        )
    rows = rows[counts & (rows["area"] > suite.minimum_area)].sort_values("subject")
    columns = ["subject", "patient", "image", "mask"]
    pool, queries = (
        tuple(
            Example(subject, patient, int(image), int(mask))
            for subject, patient, image, mask in rows.loc[rows["split"] == split, columns].values
        )
        for split in (suite.support, suite.evaluated)
    )
    return TaskCases(task, fingerprint, pool, queries)
