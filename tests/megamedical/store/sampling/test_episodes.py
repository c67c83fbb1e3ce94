"""Episodes: tasks as often as they should, support of other patients, the same by their number."""

from __future__ import annotations

import multiprocessing
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from tiny_store import Discs, write_store

from megamedical.store.sampling.episodes import EpisodeSampler, draw_episode
from megamedical.store.sampling.tasks import (
    LEVELS,
    Examples,
    Task,
    TaskChoice,
    TaskError,
    choose_tasks,
)

DRAWS = 4000
LABELS = tuple(f"organ {number}" for number in range(20))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A tree that leans: a dataset with one task, one with twenty, one with branches of its own."""
    return write_store(
        tmp_path_factory.mktemp("episodes") / "store",
        Discs("one"),
        Discs("many", labels=LABELS),
        Discs("branched", group="ct", modality="ct", planes=("axial", "coronal", "sagittal")),
        Discs("branched", group="mri", slicings=("mid", "max"), labels=("kidney", "liver")),
    )


@pytest.fixture(scope="module")
def tasks(store):
    return choose_tasks(store, TaskChoice()).train


def drawn(sampler, count=DRAWS):
    return [sampler[number] for number in range(count)]


def counts(episodes, *levels: str):
    return Counter(tuple(episode.task.levels[level] for level in levels) for episode in episodes)


def assert_drawn(found, shares):
    """As often as the shares say, by a test that a right sampler fails once in 10,000 seeds."""
    assert set(found) == {name for name, share in shares.items() if share}
    expected = {name: share for name, share in shares.items() if share}
    total = sum(found.values())
    wanted = [total * share / sum(expected.values()) for share in expected.values()]
    assert chisquare([found[name] for name in expected], wanted).pvalue > 1e-4


@pytest.fixture(scope="module")
def episodes(tasks):
    return drawn(EpisodeSampler(tasks, support_size=1, seed=0))


class TestASampler:
    def test_draws_datasets_alike_however_many_tasks_they_have(self, episodes):
        assert_drawn(
            counts(episodes, "dataset"), {(name,): 1 for name in ("one", "many", "branched")}
        )

    def test_draws_labels_alike(self, episodes):
        many = [episode for episode in episodes if episode.task.levels["dataset"] == "many"]
        assert_drawn(counts(many, "label"), {(label,): 1 for label in LABELS})

    def test_draws_alike_at_every_level_of_a_branch(self, episodes):
        branched = [episode for episode in episodes if episode.task.levels["dataset"] == "branched"]
        planes = {("ct", plane, "disc", "mid"): 1 / 3 for plane in ("axial", "coronal", "sagittal")}
        leaves = {
            ("mri", "axial", label, slicing): 1 / 4
            for label in ("kidney", "liver")
            for slicing in ("mid", "max")
        }
        assert_drawn(counts(branched, "group", "plane", "label", "slicing"), {**planes, **leaves})

    def test_draws_each_subject_as_the_query_alike(self, episodes):
        subjects = Counter(e.subject for e in episodes if e.task.levels["dataset"] == "one")
        assert_drawn(subjects, dict.fromkeys(subjects, 1))
        assert len(subjects) == 8  # of four patients, two scans each

    def test_draws_by_weights_where_they_are_given(self, tasks):
        weights = {
            "dataset": {"one": 3, "many": 0},
            "plane": {"axial": 2},
            "group": {"mri": 0.5},
        }
        episodes = drawn(EpisodeSampler(tasks, 1, 0, TaskChoice(weights=weights)))
        assert_drawn(counts(episodes, "dataset"), {("one",): 3, ("branched",): 1})
        branched = [e for e in episodes if e.task.levels["dataset"] == "branched"]
        assert_drawn(counts(branched, "group"), {("ct",): 1, ("mri",): 0.5})
        ct = [e for e in branched if e.task.levels["group"] == "ct"]
        assert_drawn(counts(ct, "plane"), {("axial",): 2, ("coronal",): 1, ("sagittal",): 1})

    @pytest.mark.parametrize("level", LEVELS)
    def test_never_draws_what_weighs_nothing(self, tasks, level):
        names = sorted({task.levels[level] for task in tasks})
        choice = TaskChoice(weights={level: {names[0]: 0}})
        found = counts(drawn(EpisodeSampler(tasks, 1, 0, choice), 500), level)
        assert (names[0],) not in found

    def test_says_that_nothing_has_any_weight(self, tasks):
        names = {task.levels["dataset"] for task in tasks}
        choice = TaskChoice(weights={"dataset": dict.fromkeys(names, 0)})
        with pytest.raises(TaskError, match="weight of 0") as error:
            EpisodeSampler(tasks, 1, 0, choice)
        assert "tasks.weights" in error.value.remedy

    def test_never_draws_a_task_that_is_not_to_be_seen(self, store):
        chosen = choose_tasks(store, TaskChoice(unseen=("*/organ*1*", "branched/ct/*")))
        unseen = {task.name for task in chosen.unseen}
        assert len(unseen) == 14
        found = {e.task.name for e in drawn(EpisodeSampler(chosen.train, 1, 0, TaskChoice()))}
        assert found == {task.name for task in chosen.train}
        assert found.isdisjoint(unseen)


class TestASupport:
    @pytest.mark.parametrize("size", [1, 6, 20])
    def test_is_of_other_patients_of_the_train_split_and_of_the_same_task(self, store, tasks, size):
        table = {name: rows.set_index("image") for name, rows in store.examples.groupby("task")}
        for episode in drawn(EpisodeSampler(tasks, size, 3), 300):
            rows = table[episode.task.name].loc[episode.images]
            query, support = rows.iloc[0], rows.iloc[1:]
            assert len(support) == size
            assert list(rows["mask"]) == list(episode.masks)
            assert episode.subject == query["subject"]
            assert set(rows["split"]) == {"train"}
            assert query["patient"] not in set(support["patient"])

    @given(
        patients=st.lists(st.integers(0, 5), min_size=2, max_size=12).filter(
            lambda numbers: len(set(numbers)) > 1
        ),
        size=st.integers(1, 16),
        seed=st.integers(0, 2**63),
        data=st.data(),
    )
    @settings(max_examples=60, deadline=None)
    def test_repeats_subjects_only_where_a_task_has_too_few(self, patients, size, seed, data):
        count = len(patients)
        examples = Examples(
            np.array([f"s{n}" for n in range(count)], object),
            np.array(patients),
            np.arange(count),
            100 + np.arange(count),
        )
        task = Task("task", {}, examples, examples)
        query = data.draw(st.integers(0, count - 1))
        episode = draw_episode(task, examples, query, size, np.random.default_rng(seed))
        others = [n for n in range(count) if patients[n] != patients[query]]
        times = Counter(episode.images[1:].tolist())
        assert set(times) <= set(others)
        assert sum(times.values()) == size
        if size <= len(others):
            assert set(times.values()) == {1}
        else:
            assert set(times) == set(others)
        assert np.array_equal(episode.masks, 100 + episode.images)
        assert episode.images[0] == query


def described(sampler, numbers):
    return {
        number: (episode.task.name, episode.images.tolist(), episode.masks.tolist())
        for number in numbers
        for episode in [sampler[number]]
    }


class TestAnEpisode:
    NUMBERS = (0, 1, 7, 2**40)

    def test_depends_on_the_seed_and_its_number_alone(self, tasks):
        sampler = EpisodeSampler(tasks, 2, seed=5)
        first = described(sampler, self.NUMBERS)
        assert described(sampler, reversed(self.NUMBERS)) == first
        assert described(EpisodeSampler(list(reversed(tasks)), 2, seed=5), self.NUMBERS) == first
        assert described(EpisodeSampler(tasks, 2, seed=6), self.NUMBERS) != first
        assert len({str(episode) for episode in first.values()}) == len(first)

    def test_is_the_same_in_another_process(self, tasks):
        sampler = EpisodeSampler(tasks, 2, seed=5)
        with multiprocessing.get_context("fork").Pool(1) as pool:
            elsewhere = pool.apply(described, (sampler, self.NUMBERS))
        assert elsewhere == described(sampler, self.NUMBERS)
