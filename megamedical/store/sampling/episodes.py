"""Episodes: a query and its support, drawn from the tasks of a store.

Every episode has a number, and is drawn from that and a seed alone. So it is the same whoever draws
it, in whatever order, and a run that goes on where it was broken off draws what would have come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.store.sampling.tasks import LEVELS, Examples, Task, TaskChoice, TaskError


@dataclass(frozen=True, eq=False)
class Episode:
    """A query and its support: positions in the arrays of the task's group, the query's first.

    `images` and `masks` are (1 + S,); `subject` is the query's.
    """

    task: Task
    subject: str
    images: NDArray[np.int64]
    masks: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Branch:
    """Tasks that share a level; `shares` adds up how often each child is drawn, to 1."""

    children: Sequence[_Branch | Task]
    shares: Sequence[float]

    def draw(self, rng: np.random.Generator) -> Task:
        child = self.children[int(np.searchsorted(self.shares, rng.random(), side="right"))]
        return child if isinstance(child, Task) else child.draw(rng)


class EpisodeSampler:
    """Draws episodes from tasks, uniformly at each level (paper, section 4.1).

    The levels are dataset, group, modality, plane, label and slicing.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        support_size: int,
        seed: int,
        choice: TaskChoice | None = None,
        queries: Literal["train", "dev"] = "train",
    ) -> None:
        """Prepare to draw.

        Args:
            tasks: at least one.
            support_size: S.
            seed: another seed gives other episodes.
            choice: its weights say where levels are not to be drawn uniformly.
            queries: which examples of a task are its queries.

        Raises:
            TaskError: all tasks have a weight of 0.
        """
        root = _branch(tasks, 0, choice or TaskChoice())
        if root is None:
            raise TaskError("Every task has a weight of 0", "Change tasks.weights.")
        self._root = root
        self._size = support_size
        self._seed = seed
        self._queries = queries

    def __getitem__(self, number: int) -> Episode:
        """An episode, by its number from 0."""
        return self.draw(number, self._size)

    def draw(self, number: int, support_size: int) -> Episode:
        """An episode by its number, with another support size."""
        rng = np.random.default_rng((self._seed, number))
        task = self._root.draw(rng)
        queries: Examples = getattr(task, self._queries)
        return draw_episode(task, queries, int(rng.integers(len(queries))), support_size, rng)


def draw_episode(
    task: Task, queries: Examples, query: int, support_size: int, rng: np.random.Generator
) -> Episode:
    """An episode of a query, with a support from the task's train split.

    The support is of other patients than the query's, each subject once; only where a task has too
    few, subjects come again.

    Args:
        task: the task.
        queries: examples of it.
        query: which of them.
        support_size: S.
        rng: draws the support.
    """
    others = np.flatnonzero(task.train.patients != queries.patients[query])
    drawn = rng.permutation(others)[:support_size]
    if len(drawn) < support_size:
        drawn = np.append(drawn, rng.choice(others, support_size - len(drawn)))
    return Episode(
        task,
        str(queries.subjects[query]),
        np.append(queries.images[query], task.train.images[drawn]),
        np.append(queries.masks[query], task.train.masks[drawn]),
    )


def _branch(tasks: Sequence[Task], depth: int, choice: TaskChoice) -> _Branch | None:
    """The tasks as a tree of levels, without what has no weight; None if nothing is left."""
    level = LEVELS[depth]
    weights = choice.weights.get(level, {})
    children: list[_Branch | Task] = []
    shares: list[float] = []
    by_name: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        by_name[task.levels[level]].append(task)
    for name, inside in sorted(by_name.items()):
        is_last = depth + 1 == len(LEVELS)
        child = inside[0] if is_last else _branch(inside, depth + 1, choice)
        if child is not None and weights.get(name, 1.0) > 0:
            children.append(child)
            shares.append(weights.get(name, 1.0))
    if not children:
        return None
    *_, total = sums = list(accumulate(shares))
    return _Branch(children, [share / total for share in sums])
