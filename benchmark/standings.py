"""From result rows to a leaderboard: means, intervals and ranks, and what to know of each method.

The score of a method is the Dice of its ensembles, as in the paper; that of single draws stands
beside it and never enters the same mean. A method that was trained on all that supports are drawn
from is an upper bound: it is shown with every support size, and takes no place among the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING

from benchmark.contamination import Contamination, contamination
from benchmark.results import ENSEMBLE, POOL, Provenance, ResultsError
from benchmark.statistics import ALL, Bootstrap, bootstrap, missing_cases, nested_means
from benchmark.suite import Suite, load_suite, suite_names
from megamedical.task_id import TaskId, home_of

if TYPE_CHECKING:
    import pandas as pd

FEW = 10  # patients of a dataset, below which its interval is too narrow
_SHOWN = 3  # of what an error names
_METHOD = ["method", "version", "weights"]


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


def leaderboard(
    rows: pd.DataFrame,
    provenance: Sequence[Provenance],
    suite: Suite | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Leaderboard:
    """Rank methods.

    Args:
        rows: of all methods, see `benchmark.results.ROWS`.
        provenance: of all methods.
        suite: that the rows are of; by default the one that comes with the package, if it is that.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ResultsError: there are no rows, or they are of different protocols or data, or of another
            suite.
        StatisticsError: two rows are of one prediction.
    """
    if rows.empty:
        raise ResultsError("There are no rows in the results", "Make some with `run`.")
    rows = with_labels(rows)
    _expect_one_protocol(rows)
    _expect_one_data(rows)
    suite = _settings(rows["suite"].iloc[0], rows["protocol"].iloc[0], suite)
    data = dict(sorted(zip(rows["task"], rows["data"], strict=True)))
    expected = suite.tasks if suite else [task for said in provenance for task in said.missing]
    missing = [task for task in dict.fromkeys(expected) if task not in data]
    ensembles = rows[rows["draw"] == ENSEMBLE]
    sizes = sorted({*rows["support_size"]} - {POOL}, reverse=True) or [POOL]
    return Leaderboard(
        suite=rows["suite"].iloc[0],
        protocol=rows["protocol"].iloc[0],
        settings=suite,
        methods=_entries(rows, provenance, {home_of(task) for task in (*data, *missing)}),
        rankings=tuple(
            _ranking(rows[rows["support_size"].isin([size, POOL])], size, resamples, seed)
            for size in map(int, sizes)
        ),
        data=data,
        patients={
            name: int(count)
            for name, count in ensembles.groupby("dataset")["patient"].nunique().items()
        },
        missing=tuple(missing),
        failures=_failures(ensembles),
        resamples=resamples,
        seed=seed,
    )


def with_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with names of methods that tell them apart, where one has several weights.

    The order of the rows makes no difference to the names.
    """
    methods = rows[_METHOD].drop_duplicates()
    names, versions = methods["method"], methods["method"] + methods["weights"]
    labels = {
        (name, version, weights): " ".join(
            part
            for part, is_needed in (
                (name, True),
                (weights[:8], (names == name).sum() > 1),
                (f"v{version}", (versions == name + weights).sum() > 1),
            )
            if is_needed and part
        )
        for name, version, weights in methods.itertuples(index=False)
    }
    return rows.assign(
        name=rows["method"],
        method=[labels[key] for key in rows[_METHOD].itertuples(index=False, name=None)],
    )


def _expect_one_protocol(rows: pd.DataFrame) -> None:
    said = rows.groupby(["suite", "protocol"])["method"].unique()
    if len(said) > 1:
        kinds = [
            f"suite {suite}, protocol {protocol[:8]}: {', '.join(sorted(methods))}"
            for (suite, protocol), methods in said.items()
        ]
        raise ResultsError(
            "\n  ".join(["Rows of different protocols cannot be ranked together:", *kinds]),
            "Name the folder of one of them, or run the methods again with the same suite.",
        )


def _settings(name: str, protocol: str, asked: Suite | None) -> Suite | None:
    """The suite of a protocol, if it is known."""
    if asked and asked.protocol != protocol:
        raise ResultsError(
            f"The rows are of suite {name}, protocol {protocol[:8]}, and not of {asked.id}, "
            f"{asked.protocol[:8]}",
            "Name the file of the suite that they were made with.",
        )
    packaged = load_suite(name) if not asked and name in suite_names() else None
    return packaged if packaged and packaged.protocol == protocol else asked


def _expect_one_data(rows: pd.DataFrame) -> None:
    differing = [
        f"{task}: "
        + "; ".join(
            f"{', '.join(sorted(found['method'].unique()))} on {data[:8]}"
            for data, found in of_task.groupby("data")
        )
        for task, of_task in rows.groupby("task")
        if of_task["data"].nunique() > 1
    ]
    if differing:
        more = [f"and {len(differing) - _SHOWN} more tasks"] if len(differing) > _SHOWN else []
        raise ResultsError(
            "\n  ".join(
                ["Rows of different data cannot be ranked together:", *differing[:_SHOWN], *more]
            ),
            "Run those methods again on one store, with another --out.",
        )


def _entries(
    rows: pd.DataFrame, provenance: Sequence[Provenance], held_out: Iterable[str]
) -> dict[str, Entry]:
    """Each method with rows, by its label."""
    known: dict[tuple[str, ...], list[Provenance]] = defaultdict(list)
    for said in provenance:
        known[said.about.name, said.about.version, said.about.weights].append(said)
    methods = rows[["method", "name", "version", "weights"]].drop_duplicates()
    entries = {}
    for label, *key in sorted(methods.itertuples(index=False, name=None)):
        own = known[tuple(key)]
        if not own:
            raise ResultsError(
                f"There is no method.json of {label}", "Delete its rows; run it again."
            )
        entries[label] = Entry(tuple(own), contamination(own[0].about, held_out))
    return entries


def _ranking(rows: pd.DataFrame, size: int, resamples: int, seed: int) -> Ranking:
    ensembles, single = rows[rows["draw"] == ENSEMBLE], rows[rows["draw"] != ENSEMBLE]
    by_method = ensembles.groupby("method")
    uses_pool = by_method["support_size"].first() == POOL
    found = bootstrap(ensembles, resamples, seed)
    places = _places(found, [name for name in found.methods if size == POOL or not uses_pool[name]])
    to_best = _differences(found, min(places, key=lambda name: places[name].value, default=None))
    draws = _means(single)
    cases = missing_cases(ensembles).set_index(["method", "task"])[["cases", "missing"]]
    standings = [
        Standing(
            method=method,
            uses_pool=bool(uses_pool[method]),
            dice=levels[ALL, ALL],
            datasets={
                name: levels[name, task] for name, task in levels if name != ALL and task == ALL
            },
            tasks={task: levels[name, task] for name, task in levels if task != ALL},
            draws=draws.get(method),
            rank=places.get(method),
            to_best=to_best.get(method),
            cases=cases.loc[method, "cases"].to_dict(),
            missing=cases.loc[method, "missing"].to_dict(),
            failed=int((own["failure"] != "").sum()),
            seconds=float(own["seconds"].mean()),
            memory=int(own["memory"].max()),
        )
        for (method, own), levels in zip(
            by_method, _by_level(found.intervals(), "mean").values(), strict=True
        )
    ]
    return Ranking(size, tuple(sorted(standings, key=_place)))


def _places(found: Bootstrap, methods: Sequence[str]) -> dict[str, Estimate]:
    """The ranks of methods among each other, of those that miss no case."""
    rows = [found.methods.index(method) for method in methods]
    means, resampled = found.means[:1, rows], found.resampled[:1, rows]
    among = replace(
        found, levels=found.levels[:1], methods=methods, means=means, resampled=resampled
    )
    ranks = _by_level(among.ranks(), "rank")
    return {method: place for method in ranks if (place := ranks[method][ALL, ALL])}


def _differences(found: Bootstrap, best: str | None) -> dict[str, Estimate | None]:
    """How much more Dice each other method has than the best."""
    if best is None or len(found.methods) < 2:
        return {}
    overall = replace(
        found, levels=found.levels[:1], means=found.means[:1], resampled=found.resampled[:1]
    )
    table = overall.differences()
    differences = _by_level(table[table["other"] == best], "difference")
    return {method: levels[ALL, ALL] for method, levels in differences.items()}


def _means(single: pd.DataFrame) -> dict[str, float]:
    """The mean Dice of single draws, of methods that miss none."""
    if single.empty:
        return {}
    table = nested_means(single).dropna()
    overall = table[(table["dataset"] == ALL) & (table["task"] == ALL)]
    return dict(zip(overall["method"], overall["mean"].astype(float), strict=True))


def _by_level(
    table: pd.DataFrame, column: str
) -> dict[str, dict[tuple[str, str], Estimate | None]]:
    """A column with its interval, by method and by dataset and task; None where it is NaN."""
    columns = ["method", "dataset", "task", column, "low", "high"]
    found: dict[str, dict[tuple[str, str], Estimate | None]] = defaultdict(dict)
    for method, dataset, task, *values in table[columns].itertuples(index=False, name=None):
        found[method][dataset, task] = None if isnan(values[0]) else Estimate(*map(float, values))
    return found


def _place(standing: Standing) -> tuple[int, float, str]:
    """The order of a ranking."""
    if standing.rank:
        return 0, standing.rank.value, standing.method
    if standing.dice:
        return 1, -standing.dice.value, standing.method
    return 2, 0, standing.method


def _failures(ensembles: pd.DataFrame) -> tuple[Failure, ...]:
    failed = ensembles[ensembles["failure"] != ""]
    counts = failed.groupby(["method", "support_size", "task", "failure"]).size()
    return tuple(
        Failure(method, int(size), task, reason, int(queries))
        for (method, size, task, reason), queries in counts.items()
    )
