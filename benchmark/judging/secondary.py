"""What stands beside the score of a method and never enters it: other measures, expectations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.measures.certainty import THRESHOLDS
from benchmark.results import ENSEMBLE
from benchmark.standings import BestThreshold, Expectation
from benchmark.statistics import ALL, nested_means

if TYPE_CHECKING:
    import pandas as pd

MEASURES = (
    *("hd95", "surface_dice", "cldice", "object_f1", "calibration_error"),
    *("native_dice", "native_hd95"),
)
_LEAST = 3  # points that have a correlation

Levels = Mapping[str, float | None]  # the mean of all, by `all`, and of datasets and tasks


def measured(scores: pd.DataFrame, measure: str) -> dict[str, Levels]:
    """The means of a measure, by method; of the tasks alone that it is taken of.

    A method without a value of each case has none, as with Dice.
    """
    known = scores.loc[scores[measure].notna(), "task"].unique()
    own = scores[scores["task"].isin(known)]
    if own.empty:
        return {}
    found: dict[str, dict[str, float | None]] = {}
    for dataset, task, method, mean in nested_means(own.assign(dice=own[measure])).itertuples(
        index=False, name=None
    ):
        name = task if task != ALL else dataset
        found.setdefault(method, {})[name] = None if np.isnan(mean) else float(mean)
    return dict(found)


def best_thresholds(scores: pd.DataFrame) -> dict[str, BestThreshold]:
    """The threshold at which the mean Dice of all cases is highest, and that Dice, by method."""
    known = scores[scores["dice_at"].notna()]
    curves: dict[str, list[float]] = {}
    for place in range(len(THRESHOLDS) if len(known) else 0):
        at = scores.assign(dice=[_at(each, place) for each in scores["dice_at"]])
        table = nested_means(at).dropna()
        overall = table[(table["dataset"] == ALL) & (table["task"] == ALL)]
        for method, mean in zip(overall["method"], overall["mean"], strict=True):
            curves.setdefault(method, []).append(float(mean))
    return {
        method: BestThreshold(THRESHOLDS[int(np.argmax(curve))], max(curve))
        for method, curve in curves.items()
    }


def _at(curve: Sequence[float] | None, place: int) -> float:
    return float("nan") if curve is None else float(curve[place])


def expectations(rows: pd.DataFrame) -> dict[str, Expectation]:
    """How well what methods expected of queries told what came, by method.

    A point is a task with a number of labelled slices and a draw: the means over its queries.
    """
    has_draws = rows.groupby(["method", "support_size"])["draw"].transform("max") != ENSEMBLE
    single = rows[(rows["draw"] != ENSEMBLE) | ~has_draws]
    told = single[single["expected"].notna() & single["dice"].notna()]
    points = told.groupby(["method", "task", "support_size", "draw"])[["expected", "dice"]].mean()
    return {
        str(method): Expectation(len(own), _correlation(own), _distance(own))
        for method, own in points.groupby(level="method")
    }


def _correlation(points: pd.DataFrame) -> float | None:
    """Pearson's, where there are points enough that differ."""
    expected, found = (points[name].to_numpy(float) for name in ("expected", "dice"))
    if len(points) < _LEAST or np.ptp(expected) == 0 or np.ptp(found) == 0:
        return None
    return float(np.corrcoef(expected, found)[0, 1])


def _distance(points: pd.DataFrame) -> float:
    return float((points["expected"] - points["dice"]).abs().mean())
