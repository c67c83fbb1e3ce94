"""Layers of labels: what is drawn is there, in whichever plane, and comes back from a file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from made_desk import disc, patch

from megamedical.errors import MegaMedicalError
from universeg.desk.masks import Masks, NoSuchPlaceError, Patch, agreement, runs_of, seen

PIXELS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(PIXELS)
def test_runs_say_what_the_pixels_are(pixels):
    height, width = pixels.shape
    again = Patch(1, (0, height, 0, width), runs_of(pixels)).pixels
    np.testing.assert_array_equal(again, pixels)


@given(PIXELS, st.booleans())
def test_what_is_drawn_last_is_what_is_there(pixels, overlap):
    masks = Masks(pixels.shape)
    cut = ("2d", 0)
    masks.draw(cut, [patch(np.ones(pixels.shape, bool), 1)], overlap)
    masks.draw(cut, [patch(pixels, 2)], overlap)
    np.testing.assert_array_equal(masks.layer(2), pixels)
    np.testing.assert_array_equal(masks.layer(1), np.ones_like(pixels) if overlap else ~pixels)
    assert masks.overlapping() == (overlap and bool(pixels.any()))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_slice_is_drawn_as_it_is_seen(plane):
    masks = Masks((4, 5, 6))
    shown = masks.shown(1, (plane, 2))
    pixels = np.zeros(shown.shape, bool)
    pixels[0, 1] = True  # in the first row that is seen
    masks.draw((plane, 2), [patch(pixels)], overlap=False)
    np.testing.assert_array_equal(masks.shown(1, (plane, 2)), pixels)
    z, y, x = (int(axis[0]) for axis in np.nonzero(masks.layer(1)))
    top = {"axial": (2, 0, 1), "coronal": (3, 2, 1), "sagittal": (3, 1, 2)}  # the head is above
    assert (z, y, x) == top[plane]


@pytest.mark.parametrize(
    "bad",
    [
        Patch(1, (0, 41, 0, 50), [41 * 50]),
        Patch(1, (-1, 4, 0, 50), [250]),
        Patch(1, (0, 4, 5, 5), []),
        Patch(1, (0, 2, 0, 2), [5]),
        Patch(1, (0, 2, 0, 2), [-1, 5]),
    ],
)
def test_nothing_is_drawn_outside(bad):
    masks = Masks((40, 50))
    with pytest.raises(NoSuchPlaceError):
        masks.draw(("2d", 0), [patch(disc()), bad], overlap=False)
    assert masks.labels == []


@pytest.mark.parametrize("cut", [("2d", 1), ("axial", 0), ("2d", -1), ("../..", 0)])
def test_there_are_no_other_slices(cut):
    with pytest.raises(NoSuchPlaceError):
        seen(np.zeros((4, 4)), cut)


def test_what_is_saved_comes_back(tmp_path):
    masks = Masks((5, 7), {3: np.eye(5, 7, dtype=bool), 4: np.zeros((5, 7), bool)})
    masks.save(tmp_path / "m.npz", revision=8)
    again, revision = Masks.load(tmp_path / "m.npz")
    assert (again.labels, again.shape, revision) == ([3], (5, 7), 8)
    np.testing.assert_array_equal(again.layer(3), np.eye(5, 7, dtype=bool))


@pytest.mark.parametrize("kept", [0, 10, 100, -5])
def test_a_damaged_file_is_said_to_be(tmp_path, kept):
    path = tmp_path / "m.npz"
    Masks((5, 7), {3: np.eye(5, 7, dtype=bool)}).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(MegaMedicalError, match="is damaged"):
        Masks.load(path)


def test_agreement_is_the_mean_dice_of_what_either_shows():
    one, two = np.eye(4, dtype=bool), np.eye(4, dtype=bool)[::-1]
    assert agreement(Masks((4, 4), {1: one}), Masks((4, 4), {1: one, 2: two})) == 0.5
    assert agreement(Masks((4, 4)), Masks((4, 4))) == 1
