"""Whether methods can be told apart: paired tests, corrected for how many there are; shared ranks.

A test asks of two methods on the same patients whether one is better than the other, or whether
chance made it so: were they alike, each patient's difference might as well have had the other sign.
Signs are drawn at random for patients, all subjects of one together, and the share of draws whose
mean difference is as far from nothing as the one that was found is the p-value (Good 2005,
Permutation, Parametric and Bootstrap Tests, DOI 10.1007/b138696, section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.standings import Estimate


def paired_p_values(
    scores: pd.DataFrame, other: str, draws: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """The p-value of each method's difference to another one, two-sided.

    Args:
        scores: a row for each prediction, as `benchmark.statistics` takes them.
        other: the method that all are compared with.
        draws: of signs.
        seed: the same gives the same.

    Returns:
        By method, of those that have a score wherever the other has one, and nowhere else.
    """
    subjects = ["dataset", "patient", "task", "subject"]
    table = scores.pivot_table("dice", subjects, "method", dropna=False, aggfunc="mean")
    table = table[scores.groupby(subjects).size().reindex(table.index).notna()]
    weights = _weights(table.reset_index()[subjects])
    patients = table.index.droplevel(["task", "subject"])
    found = {}
    rng = np.random.default_rng(seed)
    signs = rng.choice((-1.0, 1.0), (draws, patients.nunique()))
    for method in table.columns.drop(other):
        parts = (table[method] - table[other]) * weights
        if parts.notna().all():
            of_patients = parts.groupby(["dataset", "patient"]).sum().to_numpy()
            as_far = np.abs(signs @ of_patients) >= abs(of_patients.sum()) - 1e-12
            found[method] = float((1 + as_far.sum()) / (1 + draws))
    return found


def _weights(subjects: pd.DataFrame) -> pd.Series:
    """What each subject of a task counts in the mean of all."""
    in_task = subjects.groupby("task")["subject"].transform("size")
    tasks = subjects.groupby("dataset")["task"].transform("nunique")
    return (1 / (in_task * tasks * subjects["dataset"].nunique())).to_numpy()


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values corrected for their number (Holm 1979): the chance of one false find stays 5 %."""
    adjusted, highest = {}, 0.0
    for place, (name, value) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        highest = max(highest, min(1.0, (len(p_values) - place) * value))
        adjusted[name] = highest
    return adjusted


def shared_ranks(scores: Mapping[str, Estimate]) -> dict[str, int]:
    """One more than the methods whose whole interval lies above: what overlaps the best is first.

    None has a better rank than one that is better in the mean, however wide its interval. Two
    methods of different ranks may overlap each other, but never with the best of the better rank.
    """
    ranks, lowest = {}, 1
    for name, own in sorted(scores.items(), key=lambda each: -each[1].value):
        lowest = max(lowest, 1 + sum(other.low > own.high for other in scores.values()))
        ranks[name] = lowest
    return ranks
