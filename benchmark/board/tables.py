"""The leaderboard as tables: on a terminal, in CSV, in Markdown, and as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple
from typing import TYPE_CHECKING, Any

from benchmark.board import wording
from benchmark.standings import Estimate, Leaderboard, Ranking, Standing
from benchmark.statistics import ALL
from megamedical.reporting.cleaning import cell
from megamedical.task_id import TaskId

if TYPE_CHECKING:
    from rich.table import Table

_WORDS = ("Method", "Contamination")  # columns of words, the others being of figures


def as_terminal(board: Leaderboard, ranking: Ranking) -> Table:
    """A ranking as a table for Rich."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = f"{board.suite}, {wording.support(ranking.support_size)}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(title), title_justify="left")
    mean = f"Dice, {board.of_how_many(ranking)}"
    figures = [
        mean,
        *(wording.marked(board, name) for name in ranking.datasets),
        "To best",
        "Time / query",
    ]
    for name in ["Rank", "Method", *figures, "Contamination"]:
        table.add_column(Text(name), justify="left" if name in _WORDS else "right")
    for one in ranking.standings:
        cells = [
            wording.rank(one.rank),
            _name(one),
            wording.with_interval(one.dice),
            *(wording.dice(found.value if found else None) for found in one.datasets.values()),
            wording.gain(one.to_best),
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
            f"## With {wording.support(ranking.support_size)}",
            markdown_table(
                _columns(board, ranking), [_cells(board, one) for one in ranking.standings]
            ),
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
    spent = ["Single draws", "To best", "Time / query", "Memory", "Contamination"]
    return [
        "Rank",
        "Method",
        mean,
        *(wording.marked(board, name) for name in ranking.datasets),
        *spent,
    ]


def _cells(board: Leaderboard, one: Standing) -> list[str]:
    return [
        _followed(wording.rank(one.rank), wording.ranks(one.rank)),
        _name(one),
        wording.with_interval(one.dice),
        *map(wording.with_interval, one.datasets.values()),
        wording.dice(one.draws),
        _followed(wording.gain(one.to_best), wording.gains(one.to_best)),
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
            "support_size": ranking.support_size,
            "method": standing.method,
            "version": about.version,
            "weights": about.weights,
            "uses_pool": standing.uses_pool,
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
            **_estimate("rank", standing.rank),
            "draws": standing.draws,
            **_estimate("to_best", standing.to_best),
            "seconds": standing.seconds,
            "memory": standing.memory,
            "contamination": entry.contamination.in_words,
        }
        for dataset, estimate in standing.datasets.items():
            own = {"dataset": dataset, "task": ALL, "patients": board.patients[dataset]}
            yield {**shared, **own, **_estimate("dice", estimate)}
        for task, estimate in standing.tasks.items():
            own = {"dataset": TaskId.parse(task).dataset, "task": task, "data": board.data[task]}
            counts = {"cases": standing.cases[task], "missing": standing.missing[task]}
            yield {**shared, **own, **_estimate("dice", estimate), **counts}


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
