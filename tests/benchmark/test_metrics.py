"""Measures of masks: against MONAI, and by hand where a mask is empty."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from benchmark.metrics import assd, dice, hd95, score, surface_dice

NOTHING = np.zeros((31, 41), bool)
DIAGONAL = 50.0  # from corner to corner: 30 and 40 pixels


def blobs(seed, shape, smoothness, share):
    """A mask of random blobs, some of which touch the border of the image."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, smoothness)
    return smooth > np.quantile(smooth, 1 - share)


@st.composite
def pairs(draw):
    """Two masks of one image, neither of them empty."""
    shape = draw(st.tuples(st.integers(3, 48), st.integers(3, 48)))
    masks = [
        blobs(
            draw(st.integers(0, 2**32)),
            shape,
            draw(st.floats(0, 6)),
            draw(st.floats(0.02, 1)),
        )
        for _ in range(2)
    ]
    assume(all(mask.any() for mask in masks))
    return masks


def box(top, left, height, width):
    mask = NOTHING.copy()
    mask[top : top + height, left : left + width] = True
    return mask


@given(masks=pairs(), tolerance=st.sampled_from([0.0, 1.0, 1.5, 3.0]))
@settings(max_examples=60, deadline=None)
def test_measures_are_those_of_monai(masks, tolerance):
    metrics = pytest.importorskip("monai.metrics")
    import torch

    found, meant = (torch.from_numpy(mask)[None, None] for mask in masks)
    both = {"y_pred": found, "y": meant, "include_background": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = {
            "dice": metrics.compute_dice(found, meant),
            "hd95": metrics.compute_hausdorff_distance(**both, percentile=95),
            "assd": metrics.compute_average_surface_distance(**both, symmetric=True),
            "surface_dice": metrics.compute_surface_dice(**both, class_thresholds=[tolerance]),
        }
    own = {
        "dice": dice(*masks),
        "hd95": hd95(*masks),
        "assd": assd(*masks),
        "surface_dice": surface_dice(*masks, tolerance),
    }
    assert own == pytest.approx(
        {name: value.item() for name, value in wanted.items()}, rel=1e-5, abs=1e-5
    )


@given(masks=pairs())
@settings(max_examples=20, deadline=None)
def test_a_score_holds_every_measure_and_has_no_direction(masks):
    found, meant = masks
    scores = score(found.astype(float), meant.astype(float))
    assert (scores.dice, scores.hd95) == (dice(found, meant), hd95(found, meant))
    assert (scores.assd, scores.surface_dice) == (assd(found, meant), surface_dice(found, meant))
    back = score(meant.astype(float), found.astype(float))
    assert vars(back) == pytest.approx(vars(scores), abs=1e-12)


def test_a_point_and_a_line_that_starts_there():
    point, line = box(5, 5, 1, 1), box(5, 5, 1, 10)
    for found, meant in ((point, line), (line, point)):
        assert vars(score(found.astype(float), meant.astype(float))) == pytest.approx(
            {
                "dice": 2 / 11,
                "hd95": 8.55,  # of 0 to 9, one way; the other way it is 0
                "assd": 45 / 11,  # of all 11 points
                "surface_dice": 3 / 11,
            }
        )


def test_a_filled_box_has_its_rim_for_a_surface():
    filled, ring = box(0, 0, 10, 10), box(0, 0, 10, 10) & ~box(1, 1, 8, 8)
    ring_and_core = ring | box(3, 3, 4, 4)
    assert surface_dice(filled, ring, tolerance=0) == 1
    assert surface_dice(filled, ring_and_core, tolerance=0) == 72 / (72 + 12)


@pytest.mark.parametrize("some", [box(0, 0, 31, 41), box(3, 4, 1, 1), box(10, 10, 5, 20)])
def test_one_empty_mask_is_the_worst_that_can_be(some):
    for found, meant in ((some, NOTHING), (NOTHING, some)):
        scores = score(found.astype(float), meant.astype(float))
        assert vars(scores) == {
            "dice": 0,
            "hd95": DIAGONAL,
            "assd": DIAGONAL,
            "surface_dice": 0,
        }


def test_nothing_is_further_away_than_where_a_mask_is_empty():
    assert hd95(box(0, 0, 1, 1), box(30, 40, 1, 1)) == DIAGONAL


@pytest.mark.parametrize("both_empty", [1.0, 0.0, 0.5])
def test_two_empty_masks_have_no_distance_and_the_dice_that_is_asked_for(both_empty):
    scores = score(NOTHING.astype(float), NOTHING.astype(float), both_empty=both_empty)
    assert vars(scores) == {"dice": both_empty, "hd95": 0, "assd": 0, "surface_dice": both_empty}


def test_prediction_and_truth_are_cut_at_one_threshold_and_what_is_just_at_it_is_outside():
    soft = np.array([[0.3, math.nextafter(0.3, 1), 0.9, 0.0]])
    other = np.array([[0.0, 0.9, 0.31, 0.0]])
    assert score(soft, other, threshold=0.3).dice == 1
    assert score(soft, other, threshold=0.2).dice == 0.8
    assert score(soft, other).dice == score(other, soft).dice == 0


@given(soft=hnp.arrays(float, (5, 6), elements=st.floats(0, 1)), threshold=st.floats(0.01, 0.99))
@settings(max_examples=20, deadline=None)
def test_the_soft_mask_itself_is_perfect_at_any_threshold(soft, threshold):
    assert score(soft, soft, threshold).dice == 1
