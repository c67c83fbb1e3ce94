"""Suites: what is held out, what is refused, and what makes rows comparable."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

import pytest
import yaml

from benchmark.suite import Suite, SuiteError, load_suite, suite_names
from megamedical import catalog
from megamedical.task_id import slug

SMALL = {
    "id": "small",
    "version": 1,
    "title": "Two tasks",
    "resolution": 16,
    "draws": 3,
    "tasks": ["one/discs/mri/axial/mid/disc", "two/discs/mri/axial/mid/disc"],
}


def write(folder, **changes):
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return str(path)


# What is held out


def test_the_held_out_suite_is_that_of_the_paper():
    suite = load_suite("heldout")
    datasets = Counter(task.split("/")[0] for task in suite.tasks)
    assert datasets == {"acdc": 3, "pandental": 2, "scd": 5, "spineweb": 1, "stare": 1, "wbc": 4}
    assert {task.split("/")[4] for task in suite.tasks} == {"mid"}
    assert (suite.resolution, suite.threshold, suite.both_empty) == (128, 0.5, 1)
    assert (suite.support, suite.evaluated, suite.support_sizes) == ("train", "test", (64,))
    assert suite.draws == 10
    assert suite.minimum_area == 0


def test_its_tasks_are_those_that_the_manifests_make():
    manifests = catalog()
    checked = set()
    for task in load_suite("heldout").tasks:
        dataset, name, modality, plane, _, label = task.split("/")
        if dataset in manifests:
            group = manifests[dataset].groups[name]
            assert modality == group.modality
            assert plane in (group.planes if group.dimension == 3 else ["2d"])
            assert label in {slug(each) for each in group.label_values}
            checked.add(dataset)
    assert {"acdc", "stare", "wbc"} <= checked


def test_of_acdc_one_phase_counts():
    (group, pattern), *others = load_suite("heldout").only.items()
    assert not others
    dataset, name = group.split("/")
    subject = catalog()[dataset].groups[name].subject
    found = {
        phase: fnmatchcase(subject.format(patient="patient004", phase=phase), pattern)
        for phase in ("ED", "ES")
    }
    assert found == {"ED": True, "ES": False}


# What makes rows comparable

CHANGES = {
    "id": "other",
    "version": 2,
    "resolution": 32,
    "support": "dev",
    "evaluated": "dev",
    "draws": 4,
    "threshold": 0.4,
    "both_empty": 0.0,
    "seed": 1,
    "minimum_area": 0.1,
    "only": {"one/discs": "*-0"},
    "tasks": SMALL["tasks"][:1],
}
NO_CHANGES = {
    "title": "Another title",
    "citation": {"doi": "10.1000/1"},
    "notes": "A note.",
    "support_sizes": [2, 4],
    "shared_draws": 7,
}


def test_it_is_decided_of_every_setting_whether_figures_depend_on_it():
    assert {*CHANGES, *NO_CHANGES} == set(Suite.model_fields)


@pytest.mark.parametrize("name", CHANGES)
def test_rows_that_a_setting_changes_have_another_protocol(tmp_path, name):
    before = load_suite(write(tmp_path)).protocol
    assert load_suite(write(tmp_path, **{name: CHANGES[name]})).protocol != before


@pytest.mark.parametrize("name", NO_CHANGES)
def test_what_changes_no_row_leaves_the_protocol(tmp_path, name):
    before = load_suite(write(tmp_path)).protocol
    assert load_suite(write(tmp_path, **{name: NO_CHANGES[name]})).protocol == before


def test_neither_the_order_of_tasks_nor_what_is_said_anyway_makes_another_protocol(tmp_path):
    before = load_suite(write(tmp_path)).protocol
    assert load_suite(write(tmp_path, tasks=SMALL["tasks"][::-1])).protocol == before
    defaults = {"threshold": 0.5, "both_empty": 1, "seed": 0, "minimum_area": 0, "only": {}}
    assert load_suite(write(tmp_path, **defaults)).protocol == before


def test_a_protocol_is_the_same_everywhere():
    """Rows that were made with one version are compared with those of the next."""
    assert Suite.model_validate(SMALL).protocol == (
        "10ea421b5401f0273d96c5d487937daeec1123cc1b720e8c40fe5e201e634f4e"
    )


# What is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"drwas": 5}, "drwas: no such key"),
        ({"draws": 0}, "draws: Input should be greater than or equal to 1 (found 0)"),
        ({"draws": "many"}, "draws: Input should be a valid integer"),
        ({"threshold": 1}, "threshold: Input should be less than 1"),
        ({"support": "training"}, "support: Input should be 'train', 'dev' or 'test'"),
        ({"support_sizes": [4, 0]}, "support_sizes.1: Input should be greater than 0"),
        ({"support_sizes": [4, 4]}, "`support_sizes:` has 4 twice"),
        ({"support_sizes": []}, "support_sizes: Tuple should have at least 1 item"),
        ({"tasks": []}, "tasks: Tuple should have at least 1 item"),
        ({"tasks": ["one/discs"]}, "tasks.0: 'one/discs' does not have the form of a name"),
        ({"tasks": SMALL["tasks"] * 2}, "`tasks:` has one/discs/mri/axial/mid/disc twice"),
        ({"only": {"one/disks": "*"}}, "`only:` names one/disks, of which there is no task"),
        ({"id": "../small"}, "id: '../small' does not have the form of a name"),
        ({"version": None}, "version: Input should be a valid integer"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, changes, said):
    path = write(tmp_path, **changes)
    with pytest.raises(SuiteError) as refused:
        load_suite(path)
    assert path in refused.value.problem
    assert said in refused.value.problem
    assert "support_sizes" in refused.value.remedy


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the whole file: must be `key: value` lines"),
        (b"- a\n- b\n", "the whole file: must be `key: value` lines"),
        (b"id: small\n", "version: this key must be given"),
        (b"id: [small\n", "is not YAML"),
        (b"id: \xff\xfe\n", "is not YAML"),
    ],
)
def test_what_is_no_suite_is_told(tmp_path, content, said):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(SuiteError) as refused:
        load_suite(str(path))
    assert f"{path}" in refused.value.problem
    assert said in refused.value.problem


@pytest.mark.parametrize("asked", ["held-out", "gone.yaml"])
def test_a_suite_that_is_not_there_is_told_with_those_that_are(asked):
    assert "heldout" in suite_names()
    with pytest.raises(SuiteError, match=f"no suite {asked}") as refused:
        load_suite(asked)
    assert "heldout" in refused.value.remedy


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_of_the_package_can_be_loaded(name):
    assert load_suite(name).id == name


def test_a_key_that_comes_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("id: twice\nseed: 0\nseed: 1\n")
    with pytest.raises(SuiteError, match="`seed:` comes twice"):
        load_suite(str(path))
