"""Cases: who is asked, who is shown, and that no method can be luckier than another."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_store import SIZE, Discs, write_store

from benchmark.cases import CaseReader, Example, TaskCases, draw_support, find_cases
from benchmark.suite import Suite, SuiteError

TASKS = ("one/discs/mri/axial/mid/disc", "two/discs/mri/axial/mid/disc")
SUITE = Suite(id="small", version=1, title="Two tasks", resolution=SIZE, draws=3, tasks=TASKS)


def altered(**changes):
    return Suite.model_validate({**SUITE.model_dump(), **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("tiny") / "store", Discs("one"), Discs("two"))


# Draws


def pool_of(patients):
    """Subjects, some of one patient."""
    names = [f"p{patient}-{number:03}" for number, patient in enumerate(patients)]
    return tuple(
        Example(name, f"p{patient}", number, number)
        for number, (name, patient) in enumerate(zip(names, patients, strict=True))
    )


@given(
    patients=st.lists(st.integers(0, 6), min_size=1, max_size=30),
    asked=st.integers(0, 6),
    draw=st.integers(0, 20),
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)).map(sorted),
)
@settings(max_examples=100, deadline=None)
def test_a_support_never_shows_the_patient_and_a_larger_one_holds_the_smaller(
    patients, asked, draw, sizes
):
    pool, query = pool_of(patients), Example("query", f"p{asked}", 99, 99)
    cases = TaskCases(TASKS[0], "fingerprint", pool, (query,))
    smaller, larger = (draw_support(SUITE, cases, query, draw, size) for size in sizes)
    others = [example for example in pool if example.patient != query.patient]
    assert larger[: sizes[0]] == smaller
    assert len(larger) == len(set(larger)) == min(sizes[1], len(others))
    assert set(larger) <= set(others)
    assert draw_support(SUITE, cases, query, draw, sizes[0]) == smaller


POOL = pool_of(range(40))
QUERY, OTHER = Example("query", "someone", 99, 99), Example("other", "someone else", 98, 98)
CASES = TaskCases(TASKS[0], "fingerprint", POOL, (QUERY, OTHER))


def drawn(suite=SUITE, cases=CASES, query=QUERY, draw=0):
    return [example.subject for example in draw_support(suite, cases, query, draw, 8)]


def test_a_draw_depends_on_suite_task_subject_and_number():
    others = [
        drawn(suite=altered(id="other")),
        drawn(suite=altered(seed=1)),
        drawn(cases=TaskCases(TASKS[1], "fingerprint", POOL, (QUERY,))),
        drawn(query=OTHER),
        drawn(draw=1),
    ]
    assert all(other != drawn() for other in others)


def test_a_draw_depends_on_nothing_else():
    settings_ = {"draws": 9, "threshold": 0.3, "support_sizes": (2,), "tasks": TASKS[:1]}
    assert drawn(suite=altered(**settings_)) == drawn()
    assert drawn(cases=TaskCases(TASKS[0], "another", POOL, (QUERY,))) == drawn()
    assert drawn(query=Example("query", "someone else", 0, 0)) == drawn()


def test_a_draw_is_the_same_everywhere():
    """Rows that were made with one version are compared with those of the next."""
    assert [name.split("-")[0] for name in drawn()] == [
        "p26",
        "p17",
        "p21",
        "p12",
        "p38",
        "p1",
        "p29",
        "p31",
    ]


def test_every_subject_is_drawn_about_as_often():
    counts = np.bincount(
        [
            example.image
            for draw in range(400)
            for example in draw_support(SUITE, CASES, QUERY, draw, 10)
        ],
        minlength=len(POOL),
    )
    expected = 400 * 10 / len(POOL)
    assert ((counts - expected) ** 2 / (expected * 0.75)).sum() < 80  # chi-squared: 39 on average


# Cases of a store


def test_the_splits_of_a_store_are_pool_and_queries(store):
    cases = find_cases(SUITE, store)
    assert cases.missing == ()
    assert [task.task for task in cases.tasks] == list(TASKS)
    for task in cases.tasks:
        rows = store.examples[store.examples["task"] == task.task].sort_values("subject")
        for examples, split in ((task.pool, "train"), (task.queries, "test")):
            wanted = rows[rows["split"] == split]
            found = pd.DataFrame([vars(example) for example in examples])
            columns = ["subject", "patient", "image", "mask"]
            np.testing.assert_array_equal(found[columns], wanted[columns])
        (fingerprint,) = store.tasks[store.tasks["task"] == task.task]["fingerprint"]
        assert task.fingerprint == fingerprint
        assert (task.dataset, task.group) == (task.task[:3], f"{task.task[:3]}/discs")


def test_other_splits_can_be_asked_for(store):
    cases = find_cases(altered(support="dev", evaluated="train"), store).tasks[0]
    assert len(cases.pool) == 4
    assert len(cases.queries) == 8


def test_only_subjects_of_a_pattern_count(store):
    one, two = find_cases(altered(only={"one/discs": "*-1"}), store).tasks
    assert {example.subject[-2:] for example in (*one.pool, *one.queries)} == {"-1"}
    assert {example.subject[-2:] for example in (*two.pool, *two.queries)} == {"-0", "-1"}
    with pytest.raises(SuiteError, match="No subject of one/discs is like '\\*-ED'") as refused:
        find_cases(altered(only={"one/discs": "*-ED"}), store)
    assert "named like 000-0" in refused.value.remedy


def test_examples_whose_label_is_small_may_be_left_out(store):
    areas = store.examples[store.examples["task"] == TASKS[0]].set_index("subject")["area"]
    smallest = float(areas.median())
    task = find_cases(altered(minimum_area=smallest), store).tasks[0]
    found = {example.subject for example in (*task.pool, *task.queries)}
    splits = store.examples.drop_duplicates("subject").set_index("subject")["split"]
    wanted = areas[(areas > smallest) & (splits[areas.index] != "dev")]
    assert found == set(wanted.index)


def test_what_the_store_lacks_is_told(store, tmp_path):
    gone = "acdc/challenge2017/mri/axial/mid/myocardium"
    cases = find_cases(altered(tasks=[gone, *TASKS], only={"acdc/challenge2017": "*-ED"}), store)
    assert cases.missing == (gone,)
    assert [task.task for task in cases.tasks] == list(TASKS)
    with pytest.raises(SuiteError, match="has no task of the suite small") as refused:
        find_cases(altered(tasks=[gone]), store)
    assert "Build acdc into it" in refused.value.remedy
    nobody = write_store(tmp_path / "nobody", Discs("one", patients=(4, 2, 0)), Discs("two"))
    assert find_cases(SUITE, nobody).missing == TASKS[:1]


def test_slices_of_another_size_are_refused(store):
    with pytest.raises(SuiteError, match=f"has slices of {SIZE} pixels .* is for 128") as refused:
        find_cases(altered(resolution=128), store)
    assert "--resolution 128" in refused.value.remedy


def test_slices_are_those_of_the_store(store):
    task = find_cases(SUITE, store).tasks[1]
    reader = CaseReader(store, task.group)
    support = reader.support(task.pool[::-1])
    for example, *found in zip(task.pool[::-1], support.images, support.masks, strict=True):
        wanted = store.read(task.task, example.subject)
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(reader.query(example), wanted)
    assert support.images.dtype == support.masks.dtype == np.float32
