"""From result rows to a leaderboard: means, intervals, ranks, and what must not be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from benchmark.contamination import contamination
from benchmark.results import ENSEMBLE, POOL, Provenance, ResultsError
from benchmark.statistics import ALL, Bootstrap, bootstrap, missing_cases, nested_means
from benchmark.suite import Suite, load_suite, suite_names
from megamedical.task_id import home_of

if TYPE_CHECKING:
    import pandas as pd

from benchmark.standings import Entry, Estimate, Failure, Leaderboard, Ranking, Standing

_SHOWN = 3  # of what an error names
_METHOD = ["method", "version", "weights"]


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
