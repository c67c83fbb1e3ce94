"""The foreground of a mask of two values is the one label of its manifest, as 1 or as 255."""

import numpy as np
import pytest

from megamedical.catalogue.group import FileGroup
from megamedical.subjects.foreground import as_declared

DISC = np.hypot(*np.mgrid[-9:9, -9:9]) < 5


def group(labels, decode="values"):
    mask = {"decode": decode, "file": "{case}_m.png"}
    return FileGroup(
        modality="xray", dimension=2, subjects=1, image="{case}.png", mask=mask,
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
