"""How good methods are, how sure that is, and whether one is better than another.

Scores come as a table with a row for each prediction: `method`, `dataset`, `task`, `subject`,
`draw`, `dice`, and `patient`, unique within the dataset; without that column each subject is a
patient. Dice is averaged over the draws of a subject, the subjects of a task, the tasks of a
dataset, and datasets, each time without weights.

A method is to have a score for each subject that any method has in a task, and there for each draw
that it has for any of them. Where it lacks one, or one is NaN, its means are NaN, in that task and
in all means that the task is part of: cases on which a method fails are seldom its easy ones, so
leaving them out would favour it, here and for every method it is compared with. `missing_cases`
counts them.

Intervals are percentiles of a hierarchical bootstrap (Davison and Hinkley 1997, DOI
10.1017/CBO9780511802843, section 3.8): patients are drawn with replacement, then for each subject
of a drawn patient as many of its draws as it has. Tasks that share patients draw them together.
All methods see the same patients, and those with the same draws in a task the same draws. Tasks
and datasets are taken as they are. As in every such bootstrap, the variance of draws counts up to
twice, so intervals err on the wide side where draws differ more than subjects do; with fewer than
about ten patients they are too narrow, by the root of (n - 1) / n and more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import MegaMedicalError

if TYPE_CHECKING:
    import pandas as pd

ALL = "all"  # stands for a dataset or a task in the rows of a mean over all of them
_INTERVAL = (0.025, 0.975)
_AT_ONCE = 1_000_000  # draws in memory

Floats = NDArray[np.float64]
Counts = NDArray[np.intp]


class StatisticsError(MegaMedicalError):
    """Scores cannot be averaged as they are."""


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The mean Dice of methods in the data and in resamples of them.

    Attributes:
        levels: (dataset, task) of each mean: the mean of all, of datasets, of tasks.
        methods: their names, sorted.
        means: (L, M), by level and method.
        resampled: (L, M, R), likewise in each resample.
    """

    levels: Sequence[tuple[str, str]]
    methods: Sequence[str]
    means: Floats
    resampled: Floats

    def intervals(self) -> pd.DataFrame:
        """The means and their 95 % intervals: dataset, task, method, mean, low, high."""
        low, high = _interval(self.resampled)
        return self._by_method(mean=self.means, low=low, high=high)

    def ranks(self) -> pd.DataFrame:
        """The place of each method among those that miss no case, the best being 1.

        Methods that are level share the mean of their places. Columns: dataset, task, method, rank,
        and over resamples mean_rank and its 95 % interval low, high.
        """
        ranks = _ranks(self.resampled)
        low, high = _interval(ranks)
        rank = _ranks(self.means[..., None])[..., 0]
        return self._by_method(rank=rank, mean_rank=ranks.mean(axis=-1), low=low, high=high)

    def differences(self) -> pd.DataFrame:
        """How much better each method is than each other one, in the same resamples.

        Columns: dataset, task, method, other, difference, its 95 % interval low, high, and above,
        the share of resamples in which it is above zero.
        """
        import pandas as pd

        return pd.concat(
            [self._difference(*pair) for pair in permutations(range(len(self.methods)), 2)]
            or [pd.DataFrame()],
            ignore_index=True,
        )

    def _difference(self, one: int, other: int) -> pd.DataFrame:
        import pandas as pd

        difference = self.means[:, one] - self.means[:, other]
        resampled = self.resampled[:, one] - self.resampled[:, other]
        low, high = _interval(resampled)
        return pd.DataFrame(self.levels, columns=["dataset", "task"]).assign(
            method=self.methods[one],
            other=self.methods[other],
            difference=difference,
            low=low,
            high=high,
            above=np.where(np.isnan(difference), np.nan, (resampled > 0).mean(axis=-1)),
        )

    def _by_method(self, **columns: Floats) -> pd.DataFrame:
        import pandas as pd

        rows = [(*level, method) for level in self.levels for method in self.methods]
        keys = pd.DataFrame(rows, columns=["dataset", "task", "method"])
        return keys.assign(**{name: values.ravel() for name, values in columns.items()})


def nested_means(scores: pd.DataFrame) -> pd.DataFrame:
    """The mean Dice of each method in all, in datasets and in tasks.

    Returns:
        dataset, task (`all` in a mean over datasets or tasks), method, mean.

    Raises:
        StatisticsError: there are no scores, or two of one prediction.
    """
    return bootstrap(scores, resamples=1).intervals()[["dataset", "task", "method", "mean"]]


def missing_cases(scores: pd.DataFrame) -> pd.DataFrame:
    """How many subjects of each task each method lacks a score for, or one of its draws.

    Returns:
        dataset, task, method, cases, missing.

    Raises:
        StatisticsError: see `nested_means`.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            (task.dataset, task.name, method, len(dice), int(np.isnan(dice).any(axis=1).sum()))
            for task in _tasks(scores)
            for method, dice in task.dice.items()
        ],
        columns=["dataset", "task", "method", "cases", "missing"],
    )


def bootstrap(scores: pd.DataFrame, resamples: int = 10_000, seed: int = 0) -> Bootstrap:
    """Resample patients, and draws within their subjects.

    Args:
        scores: a row for each prediction, in any order.
        resamples: how many.
        seed: the same gives the same.

    Raises:
        StatisticsError: see `nested_means`.
    """
    tasks = _tasks(scores)
    methods = sorted(scores["method"].unique())
    rng = np.random.default_rng(seed)
    means = np.array([[task.dice[method].mean() for method in methods] for task in tasks])
    resampled = np.full((len(tasks), len(methods), resamples), np.nan)
    for pool in _pools(tasks):
        patients = np.unique(np.concatenate([tasks[place].patients for place in pool]))
        occurring = _drawn(np.ones((resamples, 1), np.intp), len(patients), rng)
        for place in pool:
            task = tasks[place]
            times = _times_of_subjects(task, patients, occurring, rng)
            for alike in task.methods_by_draws():
                dice = np.stack([task.dice[method] for method in alike])
                rows = [methods.index(method) for method in alike]
                resampled[place, rows] = _resampled_means(dice, times, rng)
    datasets = [task.dataset for task in tasks]
    levels = [(ALL, ALL), *((name, ALL) for name in sorted(set(datasets)))]
    return Bootstrap(
        levels=[*levels, *((task.dataset, task.name) for task in tasks)],
        methods=methods,
        means=_nested(datasets, means),
        resampled=_nested(datasets, resampled),
    )


@dataclass(frozen=True, eq=False)
class _Task:
    """The scores of a task: `dice` (S, K) by method, NaN where missing; `patients` (S,)."""

    dataset: str
    name: str
    patients: NDArray[np.intp]
    draws: Mapping[str, tuple[int, ...]]
    dice: Mapping[str, Floats]

    def methods_by_draws(self) -> Iterator[Sequence[str]]:
        """The methods, those that have the same draws together."""
        alike = defaultdict(list)
        for method, draws in self.draws.items():
            alike[draws].append(method)
        yield from alike.values()


def _tasks(scores: pd.DataFrame) -> list[_Task]:
    """The tasks of scores, in the order of their names.

    A board asks for the means of twenty columns: all is told apart by whole numbers, not names.
    """
    import pandas as pd

    if scores.empty:
        raise StatisticsError("There are no scores", "Make some with `run`.")
    person = "patient" if "patient" in scores else "subject"
    names, numbers = {}, {"draw": scores["draw"].to_numpy(np.intp)}
    for column in {"dataset", "task", "method", "subject", person}:
        numbers[column], names[column] = pd.factorize(scores[column], sort=True)
    _expect_each_once(scores, numbers)
    dice = scores["dice"].to_numpy(float, na_value=np.nan)
    task = np.stack([numbers["dataset"], numbers["task"]])
    (dataset_of, name_of), of_task = np.unique(task, axis=1, return_inverse=True)
    people = np.stack([numbers["dataset"], numbers[person]])
    numbers["person"] = np.unique(people, axis=1, return_inverse=True)[1].ravel()
    methods = list(enumerate(names["method"].tolist()))
    found = []
    for number, (dataset, name) in enumerate(zip(dataset_of, name_of, strict=True)):
        rows = np.flatnonzero(of_task.ravel() == number)
        own = {column: values[rows] for column, values in numbers.items()}
        about = str(names["dataset"][dataset]), str(names["task"][name])
        found.append(_task(*about, own, dice[rows], methods))
    return found


def _expect_each_once(scores: pd.DataFrame, numbers: Mapping[str, Counts]) -> None:
    import pandas as pd

    prediction = ["dataset", "task", "method", "subject", "draw"]
    is_again = pd.DataFrame({name: numbers[name] for name in prediction}).duplicated().to_numpy()
    if is_again.any():
        said = ", ".join(str(value) for value in scores[is_again].iloc[0][prediction])
        raise StatisticsError(f"There are two scores of {said}", "Keep one of them.")


def _task(
    dataset: str,
    name: str,
    numbers: Mapping[str, Counts],
    dice: Floats,
    methods: Sequence[tuple[int, str]],
) -> _Task:
    _, first, subjects = np.unique(numbers["subject"], return_index=True, return_inverse=True)
    draws_of, dice_of = {}, {}
    for number, method in methods:
        rows = numbers["method"] == number
        draws, places = np.unique(numbers["draw"][rows], return_inverse=True)
        table = np.full((max(len(draws), 1), len(first)), np.nan).T
        table[subjects[rows], places] = dice[rows]
        draws_of[method], dice_of[method] = tuple(draws.tolist()), table
    return _Task(dataset, name, numbers["person"][first], draws_of, dice_of)


def _pools(tasks: Sequence[_Task]) -> Iterator[list[int]]:
    """The places of tasks that share patients, directly or through others, together."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    task = np.repeat(np.arange(len(tasks)), [len(task.patients) for task in tasks])
    patient = np.concatenate([task.patients for task in tasks])
    takes_part = csr_array((np.ones(len(task), np.intp), (task, patient)))
    count, pool = connected_components(takes_part @ takes_part.T, directed=False)
    for number in range(count):
        yield np.flatnonzero(pool == number).tolist()


def _drawn(times: Counts, members: int, rng: np.random.Generator) -> Counts:
    """How often each member of each unit is drawn, (R, U x members).

    Each unit draws as many members as it has, with replacement, as often as it occurs: `times`
    (R, U).
    """
    copies = np.repeat(np.arange(times.size), times.ravel())
    picked = rng.integers(members, size=(len(copies), members), dtype=np.uint32)
    places = copies[:, None] * members + picked
    counts = np.bincount(places.ravel(), minlength=times.size * members)
    return counts.reshape(len(times), times.shape[1] * members)


def _times_of_subjects(
    task: _Task, patients: Counts, occurring: Counts, rng: np.random.Generator
) -> Counts:
    """How often each subject of a task occurs (R, S), where its pool's patients do (R, P).

    Where none of the task's patients was drawn, they are drawn on their own.
    """
    own, of_subject = np.unique(task.patients, return_inverse=True)
    times = occurring[:, np.searchsorted(patients, own)]
    without = ~times.any(axis=1)
    times[without] = _drawn(np.ones((np.count_nonzero(without), 1), np.intp), len(own), rng)
    return times[:, of_subject]


def _resampled_means(dice: Floats, times: Counts, rng: np.random.Generator) -> Floats:
    """The means (M, R) of dice (M, S, K) where subjects occur `times` (R, S)."""
    methods, _, draws = dice.shape
    weights = dice.reshape(methods, -1)
    parts = np.array_split(times, -(-times.size * draws // _AT_ONCE))
    sums = []
    for part in parts:
        counts = _drawn(part, draws, rng).astype(float)
        # one method at a time: equal scores give equal sums, to the last bit
        sums.append([counts @ of_method for of_method in weights])
    return np.concatenate(sums, axis=1) / (draws * times.sum(axis=1))


def _nested(datasets: Sequence[str], of_tasks: Floats) -> Floats:
    """Means of tasks (T, ...) below those of all and of datasets: (1 + D + T, ...)."""
    places = defaultdict(list)
    for place, dataset in enumerate(datasets):
        places[dataset].append(place)
    of_datasets = np.stack([of_tasks[places[name]].mean(axis=0) for name in sorted(places)])
    return np.concatenate([of_datasets.mean(axis=0)[None], of_datasets, of_tasks])


def _interval(resampled: Floats) -> Floats:
    """The ends (2, ...) of the 95 % interval of values (..., R)."""
    return np.quantile(resampled, _INTERVAL, axis=-1)


def _ranks(means: Floats) -> Floats:
    """The places of methods by their means (L, M, R): 1 is the best; NaN where there is none."""
    ranks = np.empty_like(means)
    for method in range(means.shape[1]):
        own = means[:, method, None]
        better, level = (means > own).sum(axis=1), (means == own).sum(axis=1)
        ranks[:, method] = np.where(np.isnan(own[:, 0]), np.nan, better + (level + 1) / 2)
    return ranks
