"""Which tasks are learnt, and which never are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tiny_store import Discs, write_store

from megamedical.store.sampling.tasks import TaskChoice, TaskError, choose_tasks
from universeg.training.config import ConfigError, resolve

KIDNEY = "plain/discs/mri/axial/mid/kidney"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(
        tmp_path_factory.mktemp("tasks") / "store",
        Discs("plain", labels=("kidney", "liver"), slicings=("mid", "max")),
        Discs("alone", patients=(1, 2, 1), scans=9),
        Discs("hidden", role="heldout"),
        Discs("more", role="extra"),
    )


def chosen(store, **choice):
    return choose_tasks(store, TaskChoice(**choice))


def names(tasks):
    return [task.name for task in tasks]


def test_learns_the_tasks_of_its_roles_that_two_patients_have(store):
    tasks = chosen(store)
    wanted = store.tasks[store.tasks["dataset"] == "plain"]
    assert names(tasks.train) == list(wanted["task"])
    assert tasks.left_out == {"of role heldout": 1, "of role extra": 1, "with too few subjects": 1}
    said = str(tasks)
    assert "4 tasks to train on" in said
    assert "1 with too few subjects" in said


def test_each_split_has_its_own_subjects_and_slices(store):
    for task in chosen(store, roles=("train", "extra")).train:
        rows = store.examples[store.examples["task"] == task.name]
        for split in ("train", "dev"):
            found, wanted = getattr(task, split), rows[rows["split"] == split]
            assert list(found.subjects) == list(wanted["subject"])
            assert np.array_equal(found.images, wanted["image"])
            assert np.array_equal(found.masks, wanted["mask"])
            numbers = dict(zip(wanted["patient"], found.patients, strict=True))
            assert [numbers[patient] for patient in wanted["patient"]] == list(found.patients)
            assert len(set(numbers.values())) == len(numbers)
        assert set(task.train.patients).isdisjoint(task.dev.patients)


@pytest.mark.parametrize("roles", ["[heldout]", "[train, heldout]", "heldout"])
def test_settings_cannot_ask_for_what_is_held_out(roles):
    with pytest.raises(ConfigError, match=r"tasks\.roles"):
        resolve("demo", changes=[f"tasks.roles={roles}"])


@pytest.mark.parametrize("role", ["train", "dev", "extra"])
def test_what_is_held_out_is_in_no_choice(store, role):
    named = {"include": ("*", "hidden/*"), "unseen": ("hidden/*", "*/kidney")}
    tasks = chosen(store, roles=(role, "train"), **named)
    found = [*tasks.train, *tasks.unseen, *tasks.judged]
    assert found
    assert not [task for task in found if task.levels["dataset"] == "hidden"]


def test_learns_what_is_asked_for_but_not_what_is_unseen(store):
    tasks = chosen(store, include=("plain/*",), exclude=("*/max/*",), unseen=("*/kidney",))
    assert names(tasks.train) == ["plain/discs/mri/axial/mid/liver"]
    assert names(tasks.unseen) == names(tasks.judged) == [KIDNEY]
    assert tasks.left_out["not asked for"] == 3  # max of both labels, and the other dataset


def test_is_judged_by_what_it_learns_where_nothing_is_unseen(store):
    tasks = chosen(store)
    assert tasks.judged == tasks.train


def test_a_label_must_cover_enough_of_a_slice_in_training_only(store):
    area = store.examples["area"]
    least = float(area.median())
    tasks = chosen(store, minimum_area=least)
    for task in tasks.train:
        rows = store.examples[store.examples["task"] == task.name].set_index("subject")
        kept = rows.loc[list(task.train.subjects)]
        left = rows[rows["split"] == "train"].drop(list(task.train.subjects))
        assert (kept["area"] >= least).all()
        assert (left["area"] < least).all()
        assert len(task.dev) == (rows["split"] == "dev").sum()
    assert sum(len(task.train) for task in tasks.train) < sum(
        len(task.train) for task in chosen(store).train
    )


@pytest.mark.parametrize(
    "choice",
    [
        {"roles": ("dev",)},
        {"exclude": ("*",)},
        {"unseen": ("*",)},
        {"minimum_area": 0.9},
    ],
)
def test_says_why_there_is_nothing_to_train_on(store, choice):
    with pytest.raises(TaskError, match=r"has nothing to train on: 0 tasks") as error:
        chosen(store, **choice)
    assert str(store.location) in error.value.problem
    assert "megamedical list" in error.value.remedy


@pytest.mark.parametrize(
    ("choice", "setting", "near"),
    [
        ({"include": ("*", "plane/*")}, "tasks.include names plane/*", "plain/*"),
        ({"exclude": ("plain",)}, "tasks.exclude names plain", "plain/*"),
        ({"unseen": (KIDNEY[:-1],)}, f"tasks.unseen names {KIDNEY[:-1]}", KIDNEY),
        ({"unseen": ("*/kidny",)}, "tasks.unseen names */kidny", "`Store.tasks`"),
        ({"weights": {"dataset": {"plainn": 2}}}, "tasks.weights.dataset names plainn", "plain"),
        ({"weights": {"plane": {"axail": 0}}}, "tasks.weights.plane names axail", "axial"),
    ],
)
def test_refuses_what_no_task_is_called(store, choice, setting, near):
    with pytest.raises(TaskError, match=f"^{re.escape(setting)}, and nothing in .*store") as error:
        chosen(store, **choice)
    assert near in error.value.remedy


def test_says_that_there_is_nothing_to_judge_by(tmp_path):
    store = write_store(tmp_path / "store", Discs("plain"), Discs("few", patients=(3, 0, 1)))
    assert names(chosen(store).judged) == ["plain/discs/mri/axial/mid/disc"]
    with pytest.raises(TaskError, match="nothing to judge the training by") as error:
        chosen(store, unseen=("few/*",))
    assert "tasks.unseen" in error.value.remedy
