"""The leaderboard as tables: on a terminal, in CSV, in Markdown, and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from benchmark.board import beside, wording
from benchmark.judging.secondary import MEASURES
from benchmark.standings import Entry, Estimate, Leaderboard, Ranking, Standing
from benchmark.statistics import ALL
from megamedical.reporting.cleaning import cell
from megamedical.task_id import TaskId

if TYPE_CHECKING:
    from rich.table import Table

_WORDS = ("Method", "Contamination")  # columns of words, the others being of figures


def as_terminal(board: Leaderboard, ranking: Ranking) -> Iterator[Table]:
    """A ranking as tables for Rich: of those that were shown labelled slices, and of bounds."""
    yield _terminal(board, ranking, wording.heading(ranking), ranking.shown)
    if ranking.bounds:
        yield _terminal(board, ranking, wording.BOUNDS, ranking.bounds)


def _terminal(
    board: Leaderboard, ranking: Ranking, title: str, standings: Sequence[Standing]
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    about = Text(f"{board.suite}, {title}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=about, title_justify="left")
    mean = f"Dice, {board.of_how_many(ranking)}"
    figures = [
        mean,
        *(wording.marked(board, name) for name in ranking.datasets),
        "To best",
        "Time / query",
    ]
    for name in ["Rank", "Method", *figures, "Contamination"]:
        table.add_column(Text(name), justify="left" if name in _WORDS else "right")
    for one in standings:
        cells = [
            wording.rank(one.rank),
            _name(one),
            wording.with_interval(one.dice),
            *(wording.dice(found.value if found else None) for found in one.datasets.values()),
            _followed(wording.gain(one.to_best), wording.p_value(one.p_value)),
            wording.duration(one.seconds),
            board.methods[one.method].contamination.in_words,
        ]
        table.add_row(*map(Text, cells))
    return table


def as_csv(board: Leaderboard) -> str:
    """A row for each method, support size and mean: of all, of datasets, of tasks.

    Dice, differences and their intervals are from 0 to 1; what is not known is empty. A text that a
    spreadsheet would take for a formula has a quote before it.
    """
    import pandas as pd

    rows = [row for ranking in board.rankings for row in _tidy(board, ranking)]
    inert = [{k: cell(v) if isinstance(v, str) else v for k, v in row.items()} for row in rows]
    return pd.DataFrame(inert).convert_dtypes().to_csv(index=False, lineterminator="\n")


def as_markdown(board: Leaderboard) -> str:
    """Tables of methods and datasets, and of tasks and methods, with what they depend on."""
    title = board.settings.title if board.settings else board.suite
    parts = [f"# {_plain(title)}"]
    for ranking in board.rankings:
        parts += [
            f"## With {wording.heading(ranking)}",
            *([wording.too_few(ranking.too_few)] if ranking.too_few else []),
            markdown_table(_columns(board, ranking), [_cells(board, one) for one in ranking.shown]),
        ]
        if ranking.bounds:
            cells = [_cells(board, one) for one in ranking.bounds]
            parts += [f"### {wording.BOUNDS}", markdown_table(_columns(board, ranking), cells)]
        others = beside.columns(board, ranking)
        parts += [
            "### Beside Dice",
            markdown_table(
                ["Method", *(f"{each.head}, {each.more}" for each in others)],
                [[one.method, *(each.cell(one) for each in others)] for one in ranking.standings],
            ),
            "### By task",
            markdown_table(
                ["Task", *(standing.method for standing in ranking.standings)],
                [
                    [task, *(wording.with_interval(one.tasks[task]) for one in ranking.standings)]
                    for task in ranking.tasks
                ],
            ),
        ]
    notes = [f"- {_plain(note)}" for note in wording.notes(board)]
    said = [f"- {name}: {_plain(value)}" for name, value in wording.origin(board)]
    return (
        "\n\n".join([*parts, "## Notes", "\n".join(notes), "## Provenance", "\n".join(said)]) + "\n"
    )


def as_json(board: Leaderboard) -> str:
    """All that the leaderboard knows."""
    said = asdict(board)
    said["settings"] = board.settings.model_dump(mode="json") if board.settings else None
    return json.dumps(said, indent=2)


def _columns(board: Leaderboard, ranking: Ranking) -> list[str]:
    mean = f"Dice, {board.of_how_many(ranking)}"
    spent = ["To best", "Time / query", "Memory", "Contamination"]
    return [
        "Rank",
        "Method",
        mean,
        *(wording.marked(board, name) for name in ranking.datasets),
        *spent,
    ]


def _cells(board: Leaderboard, one: Standing) -> list[str]:
    return [
        _followed(wording.rank(one.rank), wording.places(one.place)),
        _name(one),
        wording.with_interval(one.dice),
        *map(wording.with_interval, one.datasets.values()),
        _followed(wording.gain(one.to_best), wording.gains(one.to_best, one.p_value)),
        wording.duration(one.seconds),
        wording.memory(one.memory),
        board.methods[one.method].contamination.in_words,
    ]


def _name(one: Standing) -> str:
    return ", ".join(filter(None, (one.method, wording.remark(one))))


def _followed(value: str, interval: str) -> str:
    return f"{value} ({interval})" if interval else value


def _tidy(board: Leaderboard, ranking: Ranking) -> Iterator[dict[str, Any]]:
    for standing in ranking.standings:
        entry = board.methods[standing.method]
        about = entry.provenance[0].about
        shared = {
            "suite": board.suite,
            "protocol": board.protocol,
            "track": ranking.track,
            "support_size": ranking.support_size,
            "method": standing.method,
            "version": about.version,
            "weights": about.weights,
            "uses_pool": standing.uses_pool,
            "shares_support": standing.shares_support,
            "supports": standing.supports,
        }
        yield {
            **shared,
            "dataset": ALL,
            "task": ALL,
            **_estimate("dice", standing.dice),
            "datasets": len(ranking.datasets),
            "of_datasets": len(board.suite_datasets),
            "cases": sum(standing.cases.values()),
            "missing": sum(standing.missing.values()),
            "rank": standing.rank,
            **_estimate("place", standing.place),
            "first": standing.first,
            "draws": standing.draws,
            **_estimate("to_best", standing.to_best),
            "p_value": standing.p_value,
            **_measures(standing, ALL),
            **_threshold(standing),
            "expected": standing.expected,
            **_expectation(entry),
            "fit_seconds": standing.fit_seconds,
            "seconds": standing.seconds,
            "memory": standing.memory,
            "devices": "; ".join(standing.devices),
            "contamination": entry.contamination.in_words,
        }
        for dataset, estimate in standing.datasets.items():
            own = {"dataset": dataset, "task": ALL, "patients": board.patients[dataset]}
            scores = _estimate("dice", estimate) | _measures(standing, dataset)
            yield {**shared, **own, **scores}
        for task, estimate in standing.tasks.items():
            own = {"dataset": TaskId.parse(task).dataset, "task": task, "data": board.data[task]}
            counts = {"cases": standing.cases[task], "missing": standing.missing[task]}
            scores = _estimate("dice", estimate) | _measures(standing, task)
            yield {**shared, **own, **scores, **counts}


def _measures(standing: Standing, level: str) -> dict[str, float | None]:
    return {name: standing.measures.get(name, {}).get(level) for name in MEASURES}


def _threshold(standing: Standing) -> dict[str, float | None]:
    found = standing.best_threshold
    values = (found.threshold, found.dice) if found else (None, None)
    return dict(zip(("best_threshold", "dice_at_best_threshold"), values, strict=True))


def _expectation(entry: Entry) -> dict[str, float | None]:
    found = entry.expectation
    values = (found.correlation, found.distance, found.points) if found else (None, None, None)
    names = ("expected_correlation", "expected_distance", "expected_points")
    return dict(zip(names, values, strict=True))


def _estimate(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    values = astuple(estimate) if estimate else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown, in whose cells it finds nothing of its own."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(text: str) -> str:
    """Text in which Markdown finds nothing of its own."""
    escaped = "".join(f"\\{sign}" if sign in "\\|*_`[]<>" else sign for sign in text)
    return " ".join(escaped.split())
