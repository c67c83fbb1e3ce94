"""Means, intervals, differences, ranks: by hand, by formula, by a bootstrap in plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from benchmark.statistics import (
    ALL,
    StatisticsError,
    bootstrap,
    missing_cases,
    nested_means,
)

COLUMNS = ["method", "dataset", "task", "subject", "draw", "dice"]


pytestmark = pytest.mark.filterwarnings("error")


def simulated(rng, tasks, subjects, draws, methods=("unet",), between=0.1, within=0.05):
    """Scores about 0.7 of tasks `(dataset, task)`, whose subjects are other people in each."""
    rows = []
    for dataset, task in tasks:
        for subject in range(subjects):
            level = 0.7 + between * rng.standard_normal()
            for method in methods:
                for draw in range(draws):
                    dice = level + within * rng.standard_normal()
                    rows.append((method, dataset, task, f"{task}-{subject}", draw, dice))
    return pd.DataFrame(rows, columns=COLUMNS)


def row(table, method, dataset=ALL, task=ALL, **more):
    """The one row of a table that is of a method, and of a dataset or a task."""
    wanted = {"method": method, "dataset": dataset, "task": task, **more}
    (place,) = np.flatnonzero(np.all([table[name] == value for name, value in wanted.items()], 0))
    return table.iloc[place]


def of_one(method, scores):
    """A table of a method, from (dataset, task, subject, dice of each draw)."""
    rows = [
        (method, dataset, task, subject, draw, value)
        for dataset, task, subject, dice in scores
        for draw, value in enumerate(dice)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


HAND = [
    ("acdc", "rv", "a", [0.2, 0.4]),  # 0.3
    ("acdc", "rv", "b", [0.5, 0.5]),  # 0.5: the task 0.4
    ("acdc", "lv", "a", [0.8]),  # the dataset (0.4 + 0.8) / 2
    ("wbc", "nucleus", "c", [0.9]),
    ("wbc", "nucleus", "d", [1.0]),
    ("wbc", "nucleus", "e", [0.8]),  # 0.9
]


def test_draws_subjects_tasks_and_datasets_are_averaged_in_turn():
    means = nested_means(of_one("unet", HAND))
    found = {(dataset, task): mean for dataset, task, _, mean in means.to_numpy().tolist()}
    assert found == pytest.approx(
        {
            ("acdc", "rv"): 0.4,
            ("acdc", "lv"): 0.8,
            ("acdc", ALL): 0.6,
            ("wbc", "nucleus"): 0.9,
            ("wbc", ALL): 0.9,
            (ALL, ALL): 0.75,
        }
    )


@pytest.mark.parametrize("lost", ["the row", "the score", "the subject", "the task"])
def test_a_method_that_misses_something_has_no_mean_that_it_is_part_of(lost):
    whole = of_one("whole", HAND)
    poor = of_one("poor", HAND)
    gone = {
        "the row": (poor["subject"] == "b") & (poor["draw"] == 1),
        "the score": (poor["subject"] == "b") & (poor["draw"] == 1),
        "the subject": poor["subject"] == "b",
        "the task": poor["task"] == "rv",
    }[lost]
    poor = poor.assign(dice=poor["dice"].mask(gone)) if lost == "the score" else poor[~gone]
    scores = pd.concat([whole, poor])
    found = bootstrap(scores, resamples=50)
    intervals, ranks, differences = found.intervals(), found.ranks(), found.differences()
    for dataset, task in ((ALL, ALL), ("acdc", ALL), ("acdc", "rv")):
        assert row(intervals, "poor", dataset, task)[["mean", "low", "high"]].isna().all()
        assert row(ranks, "poor", dataset, task)[["rank", "mean_rank", "low", "high"]].isna().all()
        difference = row(differences, "whole", dataset, task, other="poor")
        assert difference[["difference", "low", "high", "above"]].isna().all()
        assert row(intervals, "whole", dataset, task).notna().all()
        assert row(ranks, "whole", dataset, task)["rank"] == 1
    for dataset, task in (("acdc", "lv"), ("wbc", ALL), ("wbc", "nucleus")):
        mean = row(intervals, "whole", dataset, task)["mean"]
        assert row(intervals, "poor", dataset, task)["mean"] == mean
        assert row(ranks, "poor", dataset, task)["rank"] == 1.5
    missing = missing_cases(scores)
    assert row(missing, "poor", "acdc", "rv")["missing"] == (2 if lost == "the task" else 1)
    assert missing["missing"].sum() == row(missing, "poor", "acdc", "rv")["missing"]
    assert row(missing, "poor", "acdc", "rv")["cases"] == 2


def test_a_method_may_have_fewer_draws_than_another_and_in_another_task():
    fewer = [(*case, dice[:1]) for *case, dice in HAND]
    scores = pd.concat([of_one("ten", HAND), of_one("one", fewer)])
    assert nested_means(scores)["mean"].notna().all()
    assert missing_cases(scores)["missing"].sum() == 0


def test_the_variance_is_what_the_formula_says():
    rng = np.random.default_rng(1)
    scores = simulated(rng, [("acdc", "rv")], subjects=9, draws=4, within=0.1)
    dice = scores["dice"].to_numpy().reshape(9, 4)
    expected = (dice.mean(axis=1).var() + dice.var(axis=1).mean() / 4) / 9
    found = bootstrap(scores, seed=2)
    assert found.resampled[0, 0].var() == pytest.approx(expected, rel=0.06)
    assert found.resampled[0, 0].mean() == pytest.approx(dice.mean(), abs=3e-3)


def in_plain_loops(scores, resamples, rng):
    """Patients, then draws, one after the other; the mean of two tasks that share patients."""
    cases = {
        key: rows["dice"].to_numpy() for key, rows in scores.groupby(["patient", "task", "subject"])
    }
    patients = sorted({patient for patient, _, _ in cases})
    means = []
    while len(means) < resamples:
        drawn = rng.choice(patients, len(patients))
        tasks = {"rv": [], "lv": []}
        for one in drawn:
            for (patient, task, _), dice in cases.items():
                if patient == one:
                    tasks[task].append(rng.choice(dice, len(dice)).mean())
        means.append(np.mean([np.mean(found) for found in tasks.values()]))
    return np.array(means)


def test_patients_bring_all_their_subjects_and_tasks_as_in_plain_loops():
    rng = np.random.default_rng(3)
    rows = []
    for patient in range(6):
        level = rng.normal(0.7, 0.1)
        for task in ("rv", "lv"):
            for frame in range(1 + (patient % 3 == 0)):
                for draw in range(3):
                    dice = level + rng.normal(0, 0.05)
                    rows.append(
                        (f"p{patient}", "unet", "acdc", task, f"{patient}-{frame}", draw, dice)
                    )
    scores = pd.DataFrame(rows, columns=["patient", *COLUMNS])
    plain = in_plain_loops(scores, 1500, rng)
    found = bootstrap(scores).resampled[0, 0]
    apart = bootstrap(scores.assign(patient=scores["task"] + scores["subject"])).resampled[0, 0]
    assert found.std() == pytest.approx(plain.std(), rel=0.08)
    assert found.mean() == pytest.approx(plain.mean(), abs=0.15 * plain.std())
    assert apart.std() < 0.85 * found.std()


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    tasks = [("acdc", "rv"), ("wbc", "nucleus")]
    worlds = [simulated(rng, tasks, 20, 3).assign(method=f"unet {n}") for n in range(200)]
    found = bootstrap(pd.concat(worlds), resamples=300).intervals()
    intervals = found[(found["dataset"] == ALL) & (found["task"] == ALL)]
    assert len(intervals) == 200
    held = (intervals["low"] <= 0.7) & (intervals["high"] >= 0.7)
    assert 0.88 <= held.mean() <= 0.99


def test_the_interval_of_a_difference_leaves_out_what_both_methods_share():
    scores = simulated(np.random.default_rng(5), [("acdc", "rv")], 30, 4, ("a", "b"), 0.2, 0.01)
    found = bootstrap(scores, resamples=500)
    difference = row(found.differences(), "a", other="b")
    interval = row(found.intervals(), "a")
    assert difference["high"] - difference["low"] < 0.1 * (interval["high"] - interval["low"])


@pytest.mark.parametrize("draws", [1, 5])
def test_methods_that_score_the_same_do_not_differ_and_a_shift_is_found(draws):
    own = simulated(np.random.default_rng(6), [("acdc", "rv"), ("acdc", "lv")], 13, draws)
    others = [own.assign(method="again"), own.assign(method="better", dice=own["dice"] + 0.1)]
    found = bootstrap(pd.concat([own, *others]), resamples=400)
    differences = found.differences()
    same = row(differences, "unet", other="again")
    assert same[["difference", "low", "high", "above"]].tolist() == [0, 0, 0, 0]
    shifted = row(differences, "better", other="unet")
    assert shifted[["difference", "low", "high"]].tolist() == pytest.approx([0.1] * 3)
    assert shifted["above"] == 1
    back = row(differences, "unet", other="better")
    assert back["difference"] == -shifted["difference"]
    assert back["above"] == 0
    ranks = found.ranks()
    assert row(ranks, "better")[["rank", "mean_rank", "low", "high"]].tolist() == [1] * 4
    for method in ("unet", "again"):
        assert row(ranks, method)[["rank", "mean_rank", "low", "high"]].tolist() == [2.5] * 4


def test_the_share_above_zero_is_that_of_resamples():
    found = bootstrap(simulated(np.random.default_rng(7), [("wbc", "cell")], 5, 2, ("a", "b")))
    a, b = found.resampled[0]
    assert row(found.differences(), "a", other="b")["above"] == np.mean(a > b)
    assert 0 < np.mean(a > b) < 1


@given(
    st.lists(
        st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=4, max_size=4), min_size=1, max_size=3
    )
)
@settings(max_examples=20, deadline=None)
def test_ranks_are_those_of_scipy(dice):
    rows = [
        (f"m{method}", "wbc", "cell", subject, 0, value)
        for subject, values in enumerate(dice)
        for method, value in enumerate(values)
    ]
    found = bootstrap(pd.DataFrame(rows, columns=COLUMNS), resamples=20)
    expected = rankdata(-found.resampled[0], axis=0).mean(axis=1)
    ranks = found.ranks()
    assert [row(ranks, f"m{number}")["mean_rank"] for number in range(4)] == pytest.approx(
        expected.tolist()
    )


@given(seed=st.integers(0, 2**32), order=st.randoms(use_true_random=False))
@settings(max_examples=10, deadline=None)
def test_the_order_of_rows_makes_no_difference_and_the_seed_does(seed, order):
    tasks = [("acdc", "rv"), ("wbc", "nucleus")]
    scores = simulated(np.random.default_rng(8), tasks, 4, 3, ("a", "b"))
    shuffled = scores.iloc[order.sample(range(len(scores)), len(scores))]
    first, second = (bootstrap(table, 30, seed) for table in (scores, shuffled))
    np.testing.assert_array_equal(first.resampled, second.resampled)
    pd.testing.assert_frame_equal(first.intervals(), second.intervals())
    assert (first.resampled != bootstrap(scores, 30, seed + 1).resampled).any()


def test_a_task_that_few_patients_have_is_in_every_resample():
    common = [("acdc", "rv", f"p{number}", [0.5]) for number in range(12)]
    rare = [("acdc", "lv", "p0", [0.2]), ("acdc", "lv", "p1", [0.4])]
    found = bootstrap(of_one("unet", common + rare), resamples=500)
    lv = found.resampled[found.levels.index(("acdc", "lv")), 0]
    assert np.unique(lv.round(6)).min() == 0.2
    assert np.isfinite(found.resampled).all()


def test_what_cannot_be_averaged_is_refused():
    scores = of_one("unet", HAND)
    with pytest.raises(StatisticsError, match="two scores of acdc, rv, unet, a, 0"):
        nested_means(pd.concat([scores, scores.iloc[:1]]))
    with pytest.raises(StatisticsError, match="no scores"):
        nested_means(scores.iloc[:0])
