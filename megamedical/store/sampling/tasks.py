"""The tasks of a store that a network may learn from, and those that it is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from megamedical.errors import MegaMedicalError
from megamedical.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["dataset", "group", "modality", "plane", "label", "slicing"]
LEVELS: tuple[Level, ...] = ("dataset", "group", "modality", "plane", "label", "slicing")

Weight = Annotated[float, Field(ge=0)]

_Columns = Mapping[str, NDArray[Any]]

_ALIKE = 0.5  # of 1: a pattern is shorter than the names that it means


class TaskError(MegaMedicalError):
    """A store has no tasks to train on, or those that were asked for must not be."""


class TaskChoice(BaseModel):
    """Which tasks are learnt, and how often each is drawn.

    Attributes:
        roles: of the datasets; what is held out is never trained on.
        include: patterns of task names, as a shell has them.
        exclude: likewise.
        unseen: patterns of tasks that are not trained on: the score during training is theirs.
            Where there are none, it is that of the dev split of what is trained on.
        minimum_area: the least share of a slice that a label covers in training; 0.003 in public
            code of the paper's authors.
        weights: by level, how much more often than others something is drawn: the default is 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: tuple[Literal["train", "dev", "extra"], ...] = ("train",)
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    minimum_area: float = Field(default=0.003, ge=0, lt=1)
    weights: Mapping[Level, Mapping[str, Weight]] = {}


@dataclass(frozen=True, eq=False)
class Examples:
    """Subjects of a task: who they are, and where their slices lie in the arrays of the group.

    All are (n,); `patients` has a number for each patient.
    """

    subjects: NDArray[np.object_]
    patients: NDArray[np.int64]
    images: NDArray[np.int64]
    masks: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.subjects)


@dataclass(frozen=True, eq=False)
class Task:
    """A task: one label of one group, seen in one plane.

    `train` are the examples to learn from, and the support of any query; `dev` are those that the
    training is judged by.
    """

    name: str
    levels: Mapping[Level, str]
    train: Examples
    dev: Examples

    @property
    def group(self) -> str:
        """`<dataset>/<group>`, where its slices lie."""
        return f"{self.levels['dataset']}/{self.levels['group']}"


@dataclass(frozen=True, eq=False)
class Tasks:
    """The tasks that are trained on and those that are not seen, and why others are left out."""

    train: Sequence[Task]
    unseen: Sequence[Task]
    left_out: Mapping[str, int]

    @property
    def judged(self) -> Sequence[Task]:
        """The tasks whose dev split the training is judged by."""
        return [task for task in self.unseen or self.train if len(task.dev)]

    def __str__(self) -> str:
        parts = [f"{len(self.train)} tasks to train on", f"{len(self.unseen)} unseen"]
        parts += [f"{count} {reason}" for reason, count in self.left_out.items()]
        return ", ".join(parts)


def choose_tasks(store: Store, choice: TaskChoice) -> Tasks:
    """The tasks of a store that are to be trained on, and judged by.

    A task needs subjects of two patients in the train split: one is the query, the other its
    support.

    Raises:
        TaskError: none is left, or there is nothing to judge the training by; or the choice names
            what the store does not have.
    """
    _expect_named(store, choice)
    left_out: Counter[str] = Counter()
    train: list[Task] = []
    unseen: list[Task] = []
    columns = _columns(store.examples)
    places = store.examples.groupby("task", sort=False).indices
    for row in store.tasks.itertuples():
        if row.role not in choice.roles:
            left_out[f"of role {row.role}"] += 1
        elif not _fits(row.task, choice.include) or _fits(row.task, choice.exclude):
            left_out["not asked for"] += 1
        else:
            own = {name: column[places[row.task]] for name, column in columns.items()}
            task = _task(row, own, choice.minimum_area)
            if len(np.unique(task.train.patients)) < 2:
                left_out["with too few subjects"] += 1
            else:
                (unseen if _fits(task.name, choice.unseen) else train).append(task)
    tasks = Tasks(train, unseen, left_out)
    if not train:
        raise TaskError(
            f"{store.location} has nothing to train on: {tasks}",
            "Build datasets of role train into it, see `megamedical list`; or set tasks.roles, "
            "tasks.include and tasks.unseen otherwise.",
        )
    if not tasks.judged:
        raise TaskError(
            f"{store.location} has nothing to judge the training by: no subjects in the dev split "
            f"of {'what is unseen' if unseen else 'what is trained on'}",
            "Build datasets with more patients into it, or set tasks.unseen otherwise.",
        )
    return tasks


def named_tasks(store: Store, patterns: Sequence[str], role: str | None = None) -> pd.DataFrame:
    """The rows of `Store.tasks` that are asked for; all of them where nothing is said.

    Args:
        store: what has them.
        patterns: of their names, as a shell has them, or how they begin: `acdc`.
        role: only those of datasets with this role.

    Raises:
        TaskError: a pattern, or the role, is of nothing in the store.
    """
    tasks = store.tasks
    names = list(tasks["task"])
    for pattern in patterns:
        if not any(_is_named(name, pattern) for name in names):
            raise _no_such(store, "The pattern", pattern, {*names, *_branches(names)})
    if role is not None and role not in set(tasks["role"]):
        raise _no_such(store, "The role", role, set(tasks["role"]))
    chosen = [not patterns or any(_is_named(name, each) for each in patterns) for name in names]
    found = tasks[chosen]
    return found if role is None else found[found["role"] == role]


def tasks_to_query(
    store: Store, named: pd.DataFrame, split: str, minimum_area: float
) -> Sequence[Task]:
    """Tasks with queries of a split, each with somebody else of the train split to learn from.

    Args:
        store: what has them.
        named: rows of `Store.tasks`.
        split: of the queries; where it is not `train`, they are the `dev` of a task.
        minimum_area: the least share of a slice that a label covers; at least a pixel.
    """
    columns = _columns(store.examples)
    places = store.examples.groupby("task", sort=False).indices
    tasks = []
    for row in named.itertuples():
        own = {name: column[places[row.task]] for name, column in columns.items()}
        task = _task(row, own, minimum_area, "dev" if split == "train" else split)
        least = 2 if split == "train" else 1
        if len(np.unique(task.train.patients)) >= least and (split == "train" or len(task.dev)):
            tasks.append(task)
    return tasks


def _is_named(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern.rstrip('/')}/")


def _expect_named(store: Store, choice: TaskChoice) -> None:
    """Make sure that every pattern and every weight is of something that the store has."""
    tasks = list(store.tasks["task"])
    for setting in ("include", "exclude", "unseen"):
        for pattern in getattr(choice, setting):
            if tasks and not any(fnmatchcase(name, pattern) for name in tasks):
                raise _no_such(store, f"tasks.{setting}", pattern, {*tasks, *_branches(tasks)})
    for level, weights in choice.weights.items():
        names = set(store.tasks[level])
        for name in sorted(weights.keys() - names):
            raise _no_such(store, f"tasks.weights.{level}", name, names)


def _branches(tasks: Sequence[str]) -> Iterator[str]:
    """Patterns of all that the tasks have in common: `acdc/*`, `acdc/challenge2017/*`."""
    for name in tasks:
        parts = name.split("/")
        yield from ("/".join([*parts[:level], "*"]) for level in range(1, len(parts)))


def _no_such(store: Store, setting: str, name: str, known: Collection[str]) -> TaskError:
    near = get_close_matches(name, sorted(known), cutoff=_ALIKE)
    return TaskError(
        f"{setting} names {name}, and nothing in {store.location} is called so",
        f"The nearest names are {', '.join(near)}." if near else "See `Store.tasks`.",
    )


def _columns(examples: pd.DataFrame) -> _Columns:
    """The examples as arrays: pandas would take milliseconds over each of thousands of tasks."""
    columns = {name: examples[name].to_numpy() for name in ("area", "image", "mask")}
    columns |= {name: examples[name].to_numpy(object) for name in ("subject", "split")}
    return columns | {"patient": examples["patient"].factorize()[0]}


def _task(row: pd.Series, columns: _Columns, minimum_area: float, judged: str = "dev") -> Task:
    area, split = columns["area"], columns["split"]
    is_train = (split == "train") & (area >= minimum_area) & (area > 0)
    is_dev = (split == judged) & (area > 0)
    levels = {level: getattr(row, level) for level in LEVELS}
    return Task(str(row.task), levels, _examples(columns, is_train), _examples(columns, is_dev))


def _examples(columns: _Columns, chosen: NDArray[np.bool_]) -> Examples:
    numbers = (columns[name][chosen].astype(np.int64) for name in ("patient", "image", "mask"))
    return Examples(columns["subject"][chosen], *numbers)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
