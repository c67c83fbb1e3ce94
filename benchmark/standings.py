"""A leaderboard as it stands: its rankings, the methods in them, and what is missing.

The score of a method is the Dice of its ensembles, as in the paper; that of single draws stands
beside it and never enters the same mean. A method that was trained on all that supports are drawn
from is an upper bound: it is shown with every support size, and takes no place among the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from benchmark.contamination import Contamination
from benchmark.results import POOL, Provenance
from benchmark.suite import Suite
from megamedical.task_id import TaskId

FEW = 20  # patients, below which nothing is ranked and intervals are too narrow


@dataclass(frozen=True)
class Estimate:
    """A value, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BestThreshold:
    """The threshold that would have suited a method best, and its mean Dice there."""

    threshold: float
    dice: float


@dataclass(frozen=True)
class Expectation:
    """How what a method expected agrees with what came, over tasks, support sizes and draws.

    Attributes:
        points: of which each has a mean of what was expected and of what came.
        correlation: Pearson's; None of too few points, or where nothing differs.
        distance: the mean of how far apart both are, in Dice.
    """

    points: int
    correlation: float | None
    distance: float


@dataclass(frozen=True)
class Standing:
    """How a method did with one support size.

    Attributes:
        method: as `Leaderboard.methods` has it.
        uses_pool: it was trained on all that supports are drawn from.
        shares_support: all queries of a task had the same supports.
        supports: draws of each query, or of the task, that its ensembles are of.
        dice: mean over datasets, of ensembles; None where a case is missing, as in all below.
        datasets: likewise of each dataset.
        tasks: likewise of each task.
        draws: mean Dice of single draws; None also where there was one draw.
        expected: mean of the Dice that it expected; None also where it cannot say.
        rank: one more than the methods whose whole interval lies above, so that those which
            overlap with the best of a rank share it; none where a case is missing, where patients
            are too few, and for one that uses the pool beside others.
        place: its place by the mean, and in resamples.
        first: the share of resamples in which it is first.
        to_best: how much more Dice it has than the best; none for that one.
        p_value: of that difference, paired and corrected for the number of methods.
        measures: by measure, the means of all (`all`), of datasets and of tasks.
        best_threshold: that would have suited it.
        cases: subjects of each task.
        missing: those of them without a score, for whatever reason.
        failed: subjects of all tasks on which the method failed.
        fit_seconds: mean over tasks of the fits that queries share, all draws; 0 without such.
        seconds: mean of a query, with all its draws.
        memory: bytes, the peak of the process while a task was run.
        devices: where it computed.
    """

    method: str
    uses_pool: bool
    shares_support: bool
    supports: int
    dice: Estimate | None
    datasets: Mapping[str, Estimate | None]
    tasks: Mapping[str, Estimate | None]
    draws: float | None
    expected: float | None
    rank: int | None
    place: Estimate | None
    first: float | None
    to_best: Estimate | None
    p_value: float | None
    measures: Mapping[str, Mapping[str, float | None]]
    best_threshold: BestThreshold | None
    cases: Mapping[str, int]
    missing: Mapping[str, int]
    failed: int
    fit_seconds: float
    seconds: float
    memory: int
    devices: tuple[str, ...]

    @property
    def scored(self) -> str:
        """How many cases have a score: `77 of 78 cases`."""
        total = sum(self.cases.values())
        return f"{total - sum(self.missing.values())} of {total} cases"


@dataclass(frozen=True)
class Ranking:
    """Methods of one track with one support size, the best first, then what has no rank.

    What was trained on all supports stands behind them, as an upper bound.

    Attributes:
        track: whether weights of the methods change with the support.
        support_size: 0 where there are only methods that were trained on all supports.
        is_single: methods had one draw each; otherwise scores are of ensembles.
        too_few: so many patients there are, which are too few to rank; 0 where they are enough.
    """

    track: str
    support_size: int
    is_single: bool
    too_few: int
    standings: tuple[Standing, ...]

    @property
    def best(self) -> str | None:
        """The method that the others are compared with."""
        placed = [standing.method for standing in self.standings if standing.place]
        return placed[0] if placed else None

    @property
    def level(self) -> tuple[str, ...]:
        """Those that cannot be told from the best: they share its rank."""
        return tuple(
            one.method for one in self.standings if one.rank == 1 and one.method != self.best
        )

    @property
    def shown(self) -> tuple[Standing, ...]:
        """Those that were shown so many labelled slices."""
        is_of_pool = self.support_size == POOL
        return tuple(one for one in self.standings if is_of_pool or not one.uses_pool)

    @property
    def bounds(self) -> tuple[Standing, ...]:
        """Those that were trained on all supports, where others were shown a few."""
        return tuple(one for one in self.standings if one not in self.shown)

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
    """A method on the leaderboard.

    Attributes:
        provenance: who made its rows, on what.
        contamination: what its weights have seen.
        expectation: how well it foresees its Dice, if it says what it expects.
    """

    provenance: tuple[Provenance, ...]
    contamination: Contamination
    expectation: Expectation | None


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
        rankings: of each track, in context first, and support size, the largest first.
        data: fingerprint of each task.
        patients: of each dataset.
        missing: tasks of the suite that there are no rows of.
        failures: what went wrong.
        resamples: of the bootstrap that gave the intervals.
        seed: of that.
        least: patients, below which nothing is ranked.
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
    least: int

    @cached_property
    def suite_datasets(self) -> tuple[str, ...]:
        """Those of the suite, whether there are rows of them or not."""
        return tuple(sorted({TaskId.parse(task).dataset for task in (*self.data, *self.missing)}))

    @property
    def small(self) -> tuple[str, ...]:
        """Datasets with so few patients that their intervals are too narrow."""
        return tuple(name for name, count in self.patients.items() if count < self.least)

    def of_how_many(self, ranking: Ranking) -> str:
        """How many datasets are in the mean: `3 of 6 datasets`."""
        return f"{len(ranking.datasets)} of {len(self.suite_datasets)} datasets"
