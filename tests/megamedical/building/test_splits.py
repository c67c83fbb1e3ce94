"""Splits: exact shares, one split a patient, and few who move when a collection changes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megamedical.building.splits import assign_splits
from megamedical.store.tables import SHARES

NAMES = st.text(max_size=5)
PATIENTS = st.sets(NAMES, max_size=60)
TEN = [f"patient{number:03}" for number in range(1, 11)]


def split(patients, seed=0, dataset="hearts"):
    return assign_splits(dataset, patients, seed)


def moves(before, after):
    """From where to where patients moved who are in both."""
    return [(before[p], after[p]) for p in before.keys() & after.keys() if before[p] != after[p]]


def assert_shares(splits):
    found = Counter(splits.values())
    for name, share in SHARES.items():
        assert abs(found[name] - share * len(splits)) < 1


def test_the_shares_are_the_papers():
    assert dict(SHARES) == {"train": 0.6, "dev": 0.2, "test": 0.2}


@pytest.mark.parametrize("count", range(61))
def test_shares_are_exact_for_every_number_of_patients(count):
    splits = split([f"p{number}" for number in range(count)])
    assert_shares(splits)
    assert ("test" in splits.values()) == (count >= 3)


@given(patients=PATIENTS, seed=st.integers())
def test_every_patient_is_in_one_split(patients, seed):
    splits = split(patients, seed)
    assert splits.keys() == patients
    assert_shares(splits)


@given(patients=PATIENTS, seed=st.integers(), data=st.data())
def test_order_and_repetition_do_not_matter(patients, seed, data):
    shuffled = data.draw(st.permutations([*patients, *[*patients][:3]]))
    assert split(shuffled, seed) == split(patients, seed)


@given(patients=st.sets(NAMES, min_size=1, max_size=60), seed=st.integers(), data=st.data())
def test_a_patient_who_goes_moves_two_others_at_most_and_nobody_from_test_to_train(
    patients, seed, data
):
    gone = data.draw(st.sampled_from(sorted(patients)))
    moved = moves(split(patients, seed), split(patients - {gone}, seed))
    crossed = [frozenset(move) for move in moved]
    assert len(crossed) == len({*crossed}) <= 2
    assert frozenset({"train", "test"}) not in crossed


@given(patients=PATIENTS, others=PATIENTS, seed=st.integers())
def test_a_group_that_comes_moves_two_at_most_for_each_patient_it_brings(patients, others, seed):
    before, after = split(patients, seed), split([*patients, *others], seed)
    assert len(moves(before, after)) <= 2 * len(others - patients)


@pytest.mark.parametrize("missing", range(0, 100, 7))
def test_of_a_hundred_patients_without_one_nearly_all_stay(missing):
    hundred = [f"patient{number:03}" for number in range(100)]
    before, after = split(hundred), split([*hundred[:missing], *hundred[missing + 1 :]])
    assert len(moves(before, after)) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_a_group_of_twenty_has_patients_to_test_on(seed):
    eyes = [f"im{eye:04}" for eye in range(20)]
    assert Counter(split(eyes, seed, "stare").values()) == {"train": 12, "dev": 4, "test": 4}


def test_a_seed_means_the_same_as_in_earlier_versions():
    splits = split(TEN)
    assert [patient for patient in TEN if splits[patient] == "dev"] == ["patient003", "patient004"]
    assert [patient for patient in TEN if splits[patient] == "test"] == ["patient007", "patient009"]


def test_another_seed_or_dataset_gives_another_split():
    splits = [split(TEN, seed, name) for seed in range(5) for name in ("hearts", "livers")]
    assert len({tuple(each[patient] for patient in TEN) for each in splits}) == 10


def test_no_patients_no_splits():
    assert split([]) == {}
