"""Splits: exact shares, one split a patient, and nothing that depends on order or chance."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megamedical.building.splits import assign_splits
from megamedical.store.tables import SHARES

PATIENTS = st.lists(st.text(max_size=5), max_size=60)
GROUPS = st.dictionaries(
    st.sampled_from("abcd"),
    st.lists(st.integers(0, 40).map(str), max_size=50),
    min_size=1,
)
TEN = [f"patient{number:03}" for number in range(1, 11)]


def counts(splits, patients):
    return Counter(splits[patient] for patient in set(patients))


def assert_shares(splits, patients):
    found = counts(splits, patients)
    for split, share in SHARES.items():
        assert abs(found[split] - share * len(set(patients))) < 1


def test_the_shares_are_the_papers():
    assert dict(SHARES) == {"train": 0.6, "dev": 0.2, "test": 0.2}


@pytest.mark.parametrize("count", range(61))
def test_shares_are_exact_for_every_number_of_patients(count):
    patients = [f"p{number}" for number in range(count)]
    assert_shares(assign_splits({"all": patients}, seed=0), patients)


@given(own=PATIENTS, groups=GROUPS, seed=st.integers())
def test_shares_are_exact_where_patients_are_a_groups_own(own, groups, seed):
    mine = [f"own/{patient}" for patient in own]
    splits = assign_splits({**groups, "own": mine}, seed)
    assert_shares(splits, mine)
    assert {p: splits[p] for p in mine} == assign_splits({"another name": mine}, seed)


@given(groups=GROUPS, seed=st.integers())
def test_every_patient_of_every_group_is_in_one_split(groups, seed):
    splits = assign_splits(groups, seed)
    assert splits.keys() == set().union(*groups.values())
    assert set(splits.values()) <= {"train", "dev", "test"}


@given(groups=GROUPS, seed=st.integers(), data=st.data())
def test_order_and_repetition_do_not_matter(groups, seed, data):
    shuffled = {
        name: data.draw(st.permutations([*groups[name], *groups[name][:3]]))
        for name in data.draw(st.permutations(sorted(groups)))
    }
    assert assign_splits(shuffled, seed) == assign_splits(groups, seed)


@given(patients=PATIENTS, groups=st.integers(2, 4), seed=st.integers())
def test_groups_of_the_same_patients_have_exact_shares(patients, groups, seed):
    splits = assign_splits(dict.fromkeys(range(groups), patients), seed)
    assert_shares(splits, patients)


@given(count=st.integers(1, 60), share=st.floats(0, 1), seed=st.integers())
def test_a_group_within_a_group_has_exact_shares_as_well(count, share, seed):
    patients = [f"p{number}" for number in range(count)]
    within = patients[: round(share * count)]
    splits = assign_splits({"all": patients, "some": within}, seed)
    assert_shares(splits, patients)
    assert_shares(splits, within)


@pytest.mark.parametrize("seed", range(20))
def test_drive_has_exact_shares_in_both_groups(seed):
    eyes = [f"{eye:02}" for eye in range(1, 41)]
    splits = assign_splits({"first-observer": eyes, "second-observer": eyes[:20]}, seed)
    assert counts(splits, eyes) == {"train": 24, "dev": 8, "test": 8}
    assert counts(splits, eyes[:20]) == {"train": 12, "dev": 4, "test": 4}


def test_a_seed_means_the_same_as_in_earlier_versions():
    splits = assign_splits({"all": TEN}, seed=0)
    assert [patient for patient in TEN if splits[patient] == "dev"] == ["patient007", "patient008"]
    assert [patient for patient in TEN if splits[patient] == "test"] == ["patient002", "patient006"]


def test_another_seed_gives_another_split():
    splits = [assign_splits({"all": TEN}, seed) for seed in range(5)]
    assert len({tuple(split[patient] for patient in TEN) for split in splits}) == 5


def test_no_patients_no_splits():
    assert assign_splits({}, 0) == assign_splits({"all": []}, 0) == {}
