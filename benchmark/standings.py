"""A leaderboard as it stands: its rankings, the methods in them, and what is missing.

The score of a method is the Dice of its ensembles, as in the paper; that of single draws stands
beside it and never enters the same mean. A method that was trained on all that supports are drawn
from is an upper bound: it is shown with every support size, and takes no place among the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.contamination import Contamination
from benchmark.results import Provenance
from benchmark.suite import Suite
from megamedical.task_id import TaskId

if TYPE_CHECKING:
    pass

FEW = 10  # patients of a dataset, below which its interval is too narrow


@dataclass(frozen=True)
class Estimate:
    """A value, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """How a method did with one support size.

    Attributes:
        method: as `Leaderboard.methods` has it.
        uses_pool: it was trained on all that supports are drawn from.
        dice: mean over datasets, of ensembles; None where a case is missing, as in all below.
        datasets: likewise of each dataset.
        tasks: likewise of each task.
        draws: mean Dice of single draws; None also where there was one draw.
        rank: among those that miss no case; none for one that uses the pool beside others.
        to_best: how much more Dice it has than the best of the ranked; none for that one.
        cases: subjects of each task.
        missing: those of them without a score, for whatever reason.
        failed: subjects of all tasks on which the method failed.
        seconds: mean of a query, with all its draws.
        memory: bytes, the peak of the process while a task was run.
    """

    method: str
    uses_pool: bool
    dice: Estimate | None
    datasets: Mapping[str, Estimate | None]
    tasks: Mapping[str, Estimate | None]
    draws: float | None
    rank: Estimate | None
    to_best: Estimate | None
    cases: Mapping[str, int]
    missing: Mapping[str, int]
    failed: int
    seconds: float
    memory: int

    @property
    def scored(self) -> str:
        """How many cases have a score: `77 of 78 cases`."""
        total = sum(self.cases.values())
        return f"{total - sum(self.missing.values())} of {total} cases"


@dataclass(frozen=True)
class Ranking:
    """The methods that were run with one support size, the best first, then what has no rank.

    `support_size` is 0 where there are only methods that were trained on all supports.
    """

    support_size: int
    standings: tuple[Standing, ...]

    @property
    def best(self) -> str | None:
        """The method that the others are compared with."""
        ranked = [standing.method for standing in self.standings if standing.rank]
        return ranked[0] if ranked else None

    @property
    def datasets(self) -> tuple[str, ...]:
        """Those in the mean."""
        return tuple(self.standings[0].datasets)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those in the mean."""
        return tuple(self.standings[0].tasks)


@dataclass(frozen=True)
class Entry:
    """A method on the leaderboard: who made its rows on what, and what its weights have seen."""

    provenance: tuple[Provenance, ...]
    contamination: Contamination


@dataclass(frozen=True)
class Failure:
    """Why a method has no score for some queries of a task."""

    method: str
    support_size: int
    task: str
    reason: str
    queries: int


@dataclass(frozen=True)
class Leaderboard:
    """Methods, ranked.

    Attributes:
        suite: its id.
        protocol: SHA-256 that all rows share.
        settings: the suite, where it is known.
        methods: by the name that tells them apart.
        rankings: of each support size, the largest first.
        data: fingerprint of each task.
        patients: of each dataset.
        missing: tasks of the suite that there are no rows of.
        failures: what went wrong.
        resamples: of the bootstrap that gave the intervals.
        seed: of that.
    """

    suite: str
    protocol: str
    settings: Suite | None
    methods: Mapping[str, Entry]
    rankings: tuple[Ranking, ...]
    data: Mapping[str, str]
    patients: Mapping[str, int]
    missing: tuple[str, ...]
    failures: tuple[Failure, ...]
    resamples: int
    seed: int

    @cached_property
    def suite_datasets(self) -> tuple[str, ...]:
        """Those of the suite, whether there are rows of them or not."""
        return tuple(sorted({TaskId.parse(task).dataset for task in (*self.data, *self.missing)}))

    @property
    def small(self) -> tuple[str, ...]:
        """Datasets with so few patients that their intervals are too narrow."""
        return tuple(name for name, count in self.patients.items() if count < FEW)

    def of_how_many(self, ranking: Ranking) -> str:
        """How many datasets are in the mean: `3 of 6 datasets`."""
        return f"{len(ranking.datasets)} of {len(self.suite_datasets)} datasets"
