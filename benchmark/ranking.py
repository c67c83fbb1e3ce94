"""From result rows to a leaderboard: means, intervals, ranks, and what must not be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from benchmark.contamination import contamination
from benchmark.judging.comparison import holm, paired_p_values, shared_ranks
from benchmark.judging.labels import with_labels
from benchmark.judging.secondary import MEASURES, best_thresholds, expectations, measured
from benchmark.method import Track
from benchmark.results import ENSEMBLE, OF_TASK, POOL, Provenance, ResultsError, completed
from benchmark.standings import (
    FEW,
    Entry,
    Estimate,
    Failure,
    Leaderboard,
    Ranking,
    Standing,
)
from benchmark.statistics import ALL, Bootstrap, bootstrap, missing_cases, nested_means
from benchmark.suite import Suite, load_suite, suite_names
from megamedical.task_id import home_of

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 3  # of what an error names


def leaderboard(
    rows: pd.DataFrame,
    provenance: Sequence[Provenance],
    suite: Suite | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    least: int = FEW,
) -> Leaderboard:
    """Rank methods.

    Args:
        rows: of all methods, see `benchmark.results.ROWS`.
        provenance: of all methods.
        suite: that the rows are of; by default the one that comes with the package, if it is that.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        least: patients, below which nothing is ranked.

    Raises:
        ResultsError: there are no rows, or they are of different protocols or data, or of another
            suite.
        StatisticsError: two rows are of one prediction.
    """
    if rows.empty:
        raise ResultsError("There are no rows in the results", "Make some with `run`.")
    rows = with_labels(completed(rows), provenance)
    _expect_one_protocol(rows)
    _expect_one_data(rows)
    suite = _settings(rows["suite"].iloc[0], rows["protocol"].iloc[0], suite)
    data = dict(sorted(zip(rows["task"], rows["data"], strict=True)))
    expected = suite.tasks if suite else [task for said in provenance for task in said.missing]
    missing = [task for task in dict.fromkeys(expected) if task not in data]
    ensembles = rows[rows["draw"] == ENSEMBLE]
    patients = ensembles.groupby("dataset")["patient"].nunique()
    return Leaderboard(
        suite=rows["suite"].iloc[0],
        protocol=rows["protocol"].iloc[0],
        settings=suite,
        methods=_entries(rows, provenance, {home_of(task) for task in (*data, *missing)}),
        rankings=tuple(_ranking(own, *kind, resamples, seed, least) for kind, own in _kinds(rows)),
        data=data,
        patients={str(name): int(count) for name, count in patients.items()},
        missing=tuple(missing),
        failures=_failures(ensembles),
        resamples=resamples,
        seed=seed,
        least=least,
    )


def _kinds(rows: pd.DataFrame) -> Iterator[tuple[tuple[str, int, bool], pd.DataFrame]]:
    """What is ranked together, with the rows of those that were trained on the pool.

    Tracks are kept apart, numbers of labelled slices, and ensembles from single draws.
    """
    is_of_pool = rows["support_size"] == POOL
    shown = rows[~is_of_pool]
    if shown.empty:
        yield (rows["track"].min(), POOL, True), rows
        return
    has_draws = shown.groupby(["method", "support_size"])["draw"].transform("max") != ENSEMBLE
    kinds = shown.groupby(["track", "support_size", ~has_draws])
    for (track, size, is_single), own in sorted(kinds, key=lambda kind: _order(*kind[0])):
        yield (track, int(size), bool(is_single)), rows[is_of_pool | rows.index.isin(own.index)]


def _order(track: str, size: int, is_single: bool) -> tuple[bool, bool, int]:
    return track != Track.IN_CONTEXT, is_single, -size


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
    expected = expectations(rows)
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
        seen = contamination(own[0].about, held_out)
        entries[label] = Entry(tuple(own), seen, expected.get(label))
    return entries


def _ranking(
    rows: pd.DataFrame,
    track: str,
    size: int,
    is_single: bool,
    resamples: int,
    seed: int,
    least: int,
) -> Ranking:
    ensembles, single = rows[rows["draw"] == ENSEMBLE], rows[rows["draw"] != ENSEMBLE]
    by_method = ensembles.groupby("method")
    uses_pool = by_method["support_size"].first() == POOL
    found = bootstrap(ensembles, resamples, seed)
    dice = _by_level(found.intervals(), "mean")
    places = _places(found, [name for name in found.methods if size == POOL or not uses_pool[name]])
    best = min(places, key=lambda name: places[name][0].value, default=None)
    to_best = _differences(found, best)
    tested = paired_p_values(ensembles, best, resamples, seed) if best else {}
    p_values = holm({name: value for name, value in tested.items() if name in places})
    patients = ensembles[["dataset", "patient"]].drop_duplicates()
    too_few = len(patients) if len(patients) < least else 0
    ranks = {} if too_few else shared_ranks({name: _sure(dice[name][ALL, ALL]) for name in places})
    draws, expected = _means(single, "dice"), _means(ensembles, "expected")
    measures = {name: measured(ensembles, name) for name in MEASURES}
    thresholds = best_thresholds(ensembles)
    cases = missing_cases(ensembles).set_index(["method", "task"])[["cases", "missing"]]
    standings = [
        Standing(
            method=method,
            uses_pool=bool(uses_pool[method]),
            shares_support=bool((own["support"] == OF_TASK).all()),
            supports=_supports(rows[rows["method"] == method]),
            dice=dice[method][ALL, ALL],
            datasets={
                name: levels for (name, task), levels in dice[method].items() if _of_one(name, task)
            },
            tasks={task: levels for (_, task), levels in dice[method].items() if task != ALL},
            draws=draws.get(method),
            expected=expected.get(method),
            rank=ranks.get(method),
            place=places[method][0] if method in places else None,
            first=places[method][1] if method in places else None,
            to_best=to_best.get(method),
            p_value=p_values.get(method),
            measures={
                name: of_all[method] for name, of_all in measures.items() if method in of_all
            },
            best_threshold=thresholds.get(method),
            cases=cases.loc[method, "cases"].to_dict(),
            missing=cases.loc[method, "missing"].to_dict(),
            failed=int((own["failure"] != "").sum()),
            fit_seconds=float(own.groupby("task")["fit_seconds"].max().fillna(0).mean()),
            seconds=float(own["seconds"].mean()),
            memory=int(own["memory"].max()),
            devices=tuple(sorted(own["device"].dropna().unique())),
        )
        for method, own in by_method
    ]
    return Ranking(track, size, is_single, too_few, tuple(sorted(standings, key=_place)))


def _of_one(dataset: str, task: str) -> bool:
    """Whether a mean is that of one dataset."""
    return dataset != ALL and task == ALL


def _supports(own: pd.DataFrame) -> int:
    """How many draws an ensemble is of, as the rows of its draws say: one where there are none."""
    return int(max(own["draw"].max() + 1, 1))


def _sure(estimate: Estimate | None) -> Estimate:
    """The score of a method that misses no case."""
    if estimate is None:
        raise ValueError("it misses cases")
    return estimate


def _places(found: Bootstrap, methods: Sequence[str]) -> dict[str, tuple[Estimate, float]]:
    """The places of methods among each other, of those that miss no case.

    With each is the share of resamples in which it is first, or level with the first.
    """
    rows = [found.methods.index(method) for method in methods]
    means, resampled = found.means[:1, rows], found.resampled[:1, rows]
    among = replace(
        found, levels=found.levels[:1], methods=methods, means=means, resampled=resampled
    )
    ranks = _by_level(among.ranks(), "rank")
    complete = [method for method in ranks if ranks[method][ALL, ALL]]
    if not complete:
        return {}
    of_complete = resampled[0, [methods.index(method) for method in complete]]
    firsts = (of_complete == of_complete.max(axis=0)).mean(axis=1)
    return {
        method: (place, float(first))
        for method, first in zip(complete, firsts, strict=True)
        if (place := ranks[method][ALL, ALL])
    }


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


def _means(scores: pd.DataFrame, column: str) -> dict[str, float]:
    """The mean of a column over tasks and datasets, of methods that miss none."""
    if scores[column].isna().all():
        return {}
    table = nested_means(scores.assign(dice=scores[column])).dropna()
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
    if standing.place:
        return 0, standing.place.value, standing.method
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
