"""Every matrix of `megamedical.processing.resampling` does what a SciPy routine does."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage

from megamedical.processing.resampling import blur_and_zoom, cubic, inside, nearest

lengths = st.integers(1, 400)
seeds = st.integers(0, 2**32 - 1)


def signal(length, seed):
    return np.random.default_rng(seed).random(length)


@given(length=lengths, resolution=st.integers(16, 256), order=st.sampled_from([0, 1]), seed=seeds)
def test_blur_and_zoom_is_gaussian_filter_then_zoom(length, resolution, order, seed):
    # Rounding makes SciPy take the last sample of some lengths for one outside.
    assume((resolution - 1) * ((length - 1) / (resolution - 1)) <= length - 1)
    values = signal(length, seed)
    blurred = ndimage.gaussian_filter(values, 0.25 * length / resolution)
    expected = ndimage.zoom(blurred, resolution / length, order=order)
    if len(expected) != resolution:  # zoom rounds the length itself, and not always to ours
        return
    np.testing.assert_allclose(
        blur_and_zoom(length, resolution, order) @ values, expected, atol=1e-9
    )


@given(length=st.integers(2, 200), scale=st.floats(0.3, 8.0), seed=seeds)
def test_cubic_and_nearest_are_affine_transform(length, scale, seed):
    values = signal(length, seed)
    points = max(round(length * scale), 1)
    start = (length - 1) // 2 - ((points - 1) // 2) / scale
    positions = start + np.arange(points) / scale
    within = inside(positions, length)
    clear = within & (np.abs(positions) > 1e-5) & (np.abs(positions - length + 1) > 1e-5)
    clear &= np.abs(positions % 1 - 0.5) > 1e-5
    for matrix, order in ((cubic(positions, length), 3), (nearest(positions, length), 0)):
        expected = ndimage.affine_transform(values, [1 / scale], start, (points,), order=order)
        found = matrix @ values
        np.testing.assert_allclose(found[clear], expected[clear], atol=5e-5)
        assert not found[~within].any()


@given(length=st.integers(1, 100), shift=st.floats(0, 0.999))
def test_interpolation_keeps_a_constant(length, shift):
    positions = np.arange(length - 1) + shift if length > 1 else np.zeros(1)
    np.testing.assert_allclose(cubic(positions, length) @ np.full(length, 7.0), 7.0, rtol=1e-5)


def test_cubic_gives_the_samples_at_the_samples():
    np.testing.assert_allclose(cubic(np.arange(30.0), 30).toarray(), np.eye(30), atol=1e-4)


@pytest.mark.parametrize("position", [-0.4, 9.4])
def test_outside_is_outside_not_the_nearest_border(position):
    assert cubic(np.array([position]), 10).nnz == 0
    assert nearest(np.array([position]), 10).nnz == 0
