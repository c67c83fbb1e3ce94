"""Measures that fit a task: against MONAI where it has them, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.measures.centrelines import cldice
from benchmark.measures.certainty import THRESHOLDS, calibration_error, dice_at
from benchmark.measures.fitting import fitting_scores, of_cells, of_lines
from benchmark.measures.objects import object_f1

NOTHING = np.zeros((24, 32), bool)


def blobs(seed, share=0.3):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((24, 32)), 1.5)
    return smooth > np.quantile(smooth, 1 - share)


@given(seed=st.integers(0, 2**32), shift=st.integers(0, 3), share=st.floats(0.05, 0.5))
@settings(max_examples=25, deadline=None)
def test_the_f1_of_objects_is_the_recognition_quality_of_monai(seed, shift, share):
    metrics = pytest.importorskip("monai.metrics")
    import torch

    meant = blobs(seed, share)
    found = np.roll(meant, shift, axis=1) ^ (blobs(seed + 1, 0.05))
    maps = (ndimage.label(mask, np.ones((3, 3)))[0] for mask in (found, meant))
    expected = metrics.compute_panoptic_quality(
        *(torch.from_numpy(each.astype(np.int64)) for each in maps),
        metric_name="rq",
        match_iou_threshold=0.5,
    ).item()
    assert object_f1(found, meant) == pytest.approx(expected, abs=1e-4)


def test_cldice_wants_length_and_not_width():
    line, thick, half = NOTHING.copy(), NOTHING.copy(), NOTHING.copy()
    line[12, 4:28], thick[11:14, 4:28], half[12, 4:16] = True, True, True
    assert cldice(thick, line) > 0.95
    assert cldice(half, line) == pytest.approx(2 * 0.5 / 1.5)
    assert cldice(NOTHING, line) == cldice(line, NOTHING) == 0
    assert cldice(NOTHING, NOTHING, both_empty=0.5) == 0.5


@pytest.mark.parametrize("measure", [cldice, object_f1])
def test_a_mask_is_like_itself_and_like_nothing_empty(measure):
    mask = blobs(3)
    assert measure(mask, mask) == 1
    assert measure(mask, NOTHING) == measure(NOTHING, mask) == 0
    assert measure(NOTHING, NOTHING) == 1


def test_calibration_is_how_far_what_is_said_is_from_what_is():
    meant = np.zeros((10, 10), bool)
    meant[:5] = True
    assert calibration_error(np.full((10, 10), 0.5), meant) == pytest.approx(0)
    assert calibration_error(np.full((10, 10), 0.9), meant) == pytest.approx(0.4)
    assert calibration_error(meant.astype(float), meant) == 0
    assert calibration_error(NOTHING.astype(float), NOTHING) == 0


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_calibration_is_that_of_monai(seed):
    calibration = pytest.importorskip("monai.metrics.calibration")
    import torch

    rng = np.random.default_rng(seed)
    said, meant = rng.uniform(0.02, 0.98, (24, 32)), rng.random((24, 32)) < 0.4
    bins = calibration.calibration_binning(
        torch.from_numpy(said)[None, None], torch.from_numpy(meant).double()[None, None], 15
    )
    said_in, was_in, counts = (each.nan_to_num()[0, 0] for each in bins)
    expected = ((said_in - was_in).abs() * counts).sum() / counts.sum()
    assert calibration_error(said, meant) == pytest.approx(expected.item(), abs=1e-6)


def test_dice_is_told_at_each_threshold():
    said, meant = np.array([[0.15, 0.55, 0.95]]), np.array([[False, True, True]])
    curve = dict(zip(THRESHOLDS, dice_at(said, meant), strict=True))
    assert curve[0.1] == pytest.approx(0.8)
    assert curve[0.5] == 1
    assert curve[0.6] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("task", "lines", "cells"),
    [
        ("stare/vk/fundus/2d/mid/vessel", True, False),
        ("wbc/jtsc/microscopy/2d/mid/nucleus", False, True),
        ("brain/a/mri-t1/axial/mid/left-caudate-nucleus", False, False),
        ("acdc/challenge2017/mri/axial/mid/myocardium", False, False),
    ],
)
def test_a_task_has_the_measures_that_fit_it(task, lines, cells):
    assert (of_lines(task), of_cells(task)) == (lines, cells)
    found = fitting_scores(task, blobs(0).astype(float), blobs(1).astype(float), 0.5, 1.0)
    assert (found["cldice"] is not None, found["object_f1"] is not None) == (lines, cells)
    assert found["calibration_error"] is not None
