"""The table of what stands beside Dice: other measures, thresholds, expectations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmark.board import wording
from benchmark.standings import Leaderboard, Ranking, Standing
from benchmark.statistics import ALL


@dataclass(frozen=True)
class Column:
    """A column: its head, what is to be known of it, and the value of a method, written out.

    `is_lower_better` says which end a reader wants to see first.
    """

    head: str
    more: str
    value: Callable[[Standing], float | None]
    write: Callable[[float], str]
    is_lower_better: bool = False

    def cell(self, one: Standing) -> str:
        """What is written of a method."""
        value = self.value(one)
        return wording.NOTHING if value is None else self.write(value)


def columns(board: Leaderboard, ranking: Ranking) -> list[Column]:
    """The columns for which some method has a value."""
    return [
        column
        for column in _all(board)
        if any(column.value(one) is not None for one in ranking.standings)
    ]


def _all(board: Leaderboard) -> Iterator[Column]:
    yield Column("Single draws", "Dice", lambda one: one.draws, wording.dice)
    yield Column("HD95", "pixels", _measure("hd95"), _distance, is_lower_better=True)
    yield Column("Surface Dice", "within a pixel", _measure("surface_dice"), wording.dice)
    yield Column("clDice", "of vessels", _measure("cldice"), wording.dice)
    yield Column("F1 of objects", "of cells, IoU 0.5", _measure("object_f1"), wording.dice)
    yield Column("Dice on scans", "their own grids", on_scan, wording.dice)
    far = _measure("native_hd95")
    yield Column("HD95 on scans", "mm", far, _distance, is_lower_better=True)
    error = _measure("calibration_error")
    yield Column("Calibration error", "× 100", error, wording.dice, is_lower_better=True)
    yield Column(
        "Best threshold",
        "of 0.1 to 0.9",
        lambda one: one.best_threshold.threshold if one.best_threshold else None,
        "{:.1f}".format,
    )
    yield Column(
        "Dice there",
        "sensitivity to it",
        lambda one: one.best_threshold.dice if one.best_threshold else None,
        wording.dice,
    )
    yield Column("Expected", "Dice, beforehand", lambda one: one.expected, wording.dice)
    yield Column(
        "Its correlation", "with Dice", lambda one: _correlation(board, one), "{:.2f}".format
    )
    yield Column("First", "in resamples", lambda one: one.first, wording.share)
    yield Column(
        "Shared fit",
        "of a task, all draws",
        lambda one: one.fit_seconds or None,
        wording.duration,
        is_lower_better=True,
    )


def on_scan(one: Standing) -> float | None:
    """The mean Dice of a method on the grids of the scans, where it was scored there."""
    return _measure("native_dice")(one)


def any_on_scan(ranking: Ranking) -> bool:
    """Whether a method was scored there."""
    return any(on_scan(one) is not None for one in ranking.standings)


def _measure(name: str) -> Callable[[Standing], float | None]:
    return lambda one: one.measures.get(name, {}).get(ALL)


def _correlation(board: Leaderboard, one: Standing) -> float | None:
    found = board.methods[one.method].expectation
    return found.correlation if found else None


def _distance(value: float) -> str:
    return f"{value:.1f}"
