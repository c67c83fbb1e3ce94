"""What a record is made from, and that the same input gives the same slices in every version."""

import numpy as np
import pytest

from megamedical import catalog
from megamedical.building.record import (
    DamagedRecord,
    MaskEntry,
    Record,
    Staged,
    SubjectFacts,
    coverage,
    is_current,
    record_path,
)
from megamedical.building.subject_job import PROCESSING, basis_of, fingerprint_of
from megamedical.catalogue.group import FileGroup, Group
from megamedical.processing.slicing import slice_subject
from megamedical.reading.scan import LabelMap, Scan
from megamedical.subjects.subject import Subject

PINNED = {
    "isotropic": (9, 12, 1972.8286, 564.5899),
    "framed": (9, 12, 920.6436, 282.2526),
    "picture": (1, 2, 234.7055, 115.0236),
}
VERSION = "2"


def scan_and_labels(dimension):
    """Integers only, so that every machine draws the same."""
    rng = np.random.default_rng(7)
    shape = (12, 30, 26)[-dimension:]
    voxels = rng.integers(0, 1000, shape).cumsum(axis=-1) % 3001
    labels = np.zeros(shape, np.uint8)
    labels[tuple(slice(3, 9) for _ in shape)] = 1
    labels[tuple(slice(n // 2, n - 2) for n in shape)] = 2
    spacing = (3.0, 1.2, 1.2)[-dimension:] if dimension == 3 else (1.0, 1.0)
    return Scan(voxels.astype(np.int16), spacing), LabelMap(labels, {"a": (1,), "b": (2,)})


@pytest.mark.parametrize("grid", PINNED)
def test_the_same_input_gives_the_slices_of_earlier_versions(grid):
    """Fails when slices change: then count `PROCESSING` up, and pin the new ones here."""
    assert PROCESSING == VERSION
    dimension = 2 if grid == "picture" else 3
    group = Group(
        modality="mri",
        dimension=dimension,
        labels={1: "a", 2: "b"},
        planes=() if dimension == 2 else ("axial", "coronal", "sagittal"),
        grid="native" if dimension == 2 else grid,
        intensity=None if dimension == 2 else {"percentiles": (0.5, 99.5)},
    )
    slices = slice_subject(*scan_and_labels(dimension), group, 24)
    images = sum(float(image.sum()) for image in slices.images.values())
    masks = sum(float(mask.mask.sum()) for mask in slices.masks)
    assert (len(slices.images), len(slices.masks)) == PINNED[grid][:2]
    np.testing.assert_allclose((images, masks), PINNED[grid][2:], rtol=1e-4)


def test_coverage_rounds_halves_up_whatever_the_last_bit():
    half = np.float32(0.5)
    around = np.array([np.nextafter(half, np.float32(0)), half, np.nextafter(half, np.float32(1))])
    assert coverage(around).tolist() == [128, 128, 128]
    assert coverage(np.array([0.0, 1.0, 1.0 / 255, 0.9999], np.float32)).tolist() == [
        0,
        255,
        1,
        255,
    ]


def acdc():
    group = catalog()["acdc"].groups["challenge2017"]
    return group, Subject("p1-ED", "p1", {"frame": "01"}, "p1.nii.gz", {})


def made_from(group, subject, resolution, source):
    return fingerprint_of(basis_of(group, resolution, source), subject)


def test_a_fingerprint_changes_with_all_that_slices_depend_on():
    group, subject = acdc()
    base = made_from(group, subject, 128, "archive")
    assert base == made_from(group, subject, 128, "archive")
    other_labels = group.model_copy(update={"labels": {1: "heart"}})
    other_subject = Subject("p1-ED", "p2", {"frame": "01"}, "p1.nii.gz", {})
    for changed in (
        made_from(group, subject, 64, "archive"),
        made_from(group, subject, 128, "another archive"),
        made_from(other_labels, subject, 128, "archive"),
        made_from(group, other_subject, 128, "archive"),
    ):
        assert changed != base


def test_a_fingerprint_does_not_change_with_what_is_only_said():
    group, subject = acdc()
    assert isinstance(group, FileGroup)
    said = group.model_copy(update={"notes": "else", "evidence": (), "title": "x", "subjects": 1})
    assert made_from(said, subject, 128, "a") == made_from(group, subject, 128, "a")


@pytest.fixture
def record():
    facts = SubjectFacts("s/1 ü", "p", {"frame": "01"}, {"a.nii": "0" * 64}, (1.0,), (4,), "RAS")
    entries = [MaskEntry(0, "axial", 64, "liver", ("mid", "max"), 0.25)]
    return Record(facts, np.ones((1, 4, 4), np.float16), np.ones((1, 4, 4), np.uint8), entries)


def test_a_record_comes_back_as_it_was_written(record, tmp_path):
    record.save(tmp_path / "r.npz", "abc")
    back = Record.load(Staged(tmp_path / "r.npz", "abc"))
    assert (back.facts.subject, dict(back.facts.fields)) == ("s/1 ü", {"frame": "01"})
    assert back.entries[0].label == "liver"
    np.testing.assert_array_equal(back.images, record.images)
    assert [path.name for path in tmp_path.iterdir()] == ["r.npz"]


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "other"])
def test_only_a_whole_record_of_just_this_is_current(record, tmp_path, damage):
    path = tmp_path / "r.npz"
    record.save(path, "abc")
    assert is_current(path, "abc")
    whole = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.touch()
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "other":
        path.write_bytes(whole)
    assert not is_current(path, "xyz" if damage == "other" else "abc")


def test_a_flipped_bit_of_a_record_never_comes_back_as_something_else(record, tmp_path):
    path = tmp_path / "r.npz"
    record.save(path, "abc")
    whole = path.read_bytes()
    written = Record.load(Staged(path, "abc"))
    accepted = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            back = Record.load(Staged(path, "abc"))
        except DamagedRecord:
            continue
        accepted += 1  # a date in the zip's directory says nothing of the record
        assert (back.facts, back.entries) == (written.facts, written.entries)
        assert back.images.dtype == np.float16
        np.testing.assert_array_equal(back.images, record.images)
        np.testing.assert_array_equal(back.masks, record.masks)
    assert accepted < len(whole) / 4


def test_records_of_other_things_lie_elsewhere_whatever_the_name(tmp_path):
    for name in ("a", "../a", ".", "ü/" * 300):
        one, other = (record_path(tmp_path, name, digit * 64) for digit in "01")
        assert one != other
        one.write_bytes(b"")
        assert one.parent == tmp_path
