"""The foreground of a mask of two values is the one label of its manifest, as 1 or as 255."""

import numpy as np
import pytest
from PIL import Image

from megamedical.catalogue.group import FileGroup
from megamedical.files.folders import list_files
from megamedical.reading.images import read_label_values
from megamedical.subjects.assembly import Assembly
from megamedical.subjects.foreground import as_declared, set_bit
from megamedical.subjects.matching import find_subjects

DISC = np.hypot(*np.mgrid[-9:9, -9:9]) < 5


def group(labels, decode="values", above=0.0):
    mask = {"decode": decode, "file": "{case}_m.png", "above": above}
    return FileGroup(
        modality="xray", dimension=2, subjects=1, image="{case}.jpg", mask=mask,
        labels=labels, subject="{case}", patient="{case}",
    )  # fmt: skip


@pytest.mark.parametrize("declared", [1, 255])
@pytest.mark.parametrize("written", [1, 255, 65535])
def test_one_bit_and_eight_are_one_label(declared, written):
    found = as_declared(DISC.astype(np.uint16) * np.uint16(written), group({declared: "lesion"}))
    np.testing.assert_array_equal(found == declared, DISC)
    assert set(np.unique(found)) == {0, declared}


@pytest.mark.parametrize(
    ("labels", "written"),
    [({1: "liver"}, 2), ({7: "liver"}, 255), ({1: "liver", 2: "spleen"}, 255)],
)
def test_a_manifest_that_says_otherwise_wins(labels, written):
    values = DISC.astype(np.uint8) * np.uint8(written)
    np.testing.assert_array_equal(as_declared(values, group(labels)), values)


def test_a_third_value_is_no_foreground():
    """Where 255 stands for what nobody knows, it is beside 1, or beside another label."""
    for beside in (1, 3):
        values = DISC.astype(np.uint8) * np.uint8(255)
        values[0, 0] = beside
        np.testing.assert_array_equal(as_declared(values, group({1: "lesion"})), values)


def test_an_empty_mask_stays_empty():
    assert not as_declared(np.zeros((4, 4), np.uint8), group({255: "lesion"})).any()


@pytest.mark.parametrize("above", [0, 127, 127.5, 254, 255, 40_000])
@pytest.mark.parametrize("writes", [lambda path: path, lambda path: path.with_suffix(".tif")])
def test_a_bit_that_is_set_is_above_any_threshold(tmp_path, above, writes):
    path = writes(tmp_path / "m.png")
    Image.fromarray(DISC).save(path)
    facts = group({1: "vessel"}, "threshold", above)
    np.testing.assert_array_equal(read_label_values(path, 2, set_bit(facts)) > above, DISC)
    Image.fromarray(DISC.astype(np.uint8)).save(path)
    ones = read_label_values(path, 2, set_bit(facts))
    assert ones.max() == 1, "eight bits are taken at their word"


def test_a_mask_of_one_bit_is_cut_like_its_neighbours_in_a_build(tmp_path):
    Image.fromarray((DISC * 99).astype(np.uint8)).save(tmp_path / "a.jpg")
    Image.fromarray(DISC).save(tmp_path / "a_m.png")
    facts = group({1: "vessel"}, "threshold", 127)
    (subject,), _ = find_subjects("set", "all", facts, list_files([tmp_path]))
    found = Assembly(facts, subject).label_values("{case}_m.png")
    np.testing.assert_array_equal(found > 127, DISC)
