"""The way back from a slice: where voxels lie in it, by hand, and as the way there has it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megamedical.catalogue.group import Group
from megamedical.processing.grid import standard_axes
from megamedical.processing.native_plane import native_plane
from megamedical.processing.slicing import soft_mask
from megamedical.reading.scan import LabelMap, Scan

PLANES = ("axial", "coronal", "sagittal")


def axes_of(shape, spacing, resolution, **facts):
    dimension = len(shape)
    planes = PLANES if dimension == 3 else ()
    group = Group(modality="mri", dimension=dimension, labels={1: "organ"}, planes=planes, **facts)
    return standard_axes(Scan(np.zeros(shape, np.uint8), spacing), group, resolution)


def labels_of(voxels):
    return LabelMap(voxels, {"organ": (1,)})


@given(st.tuples(st.integers(2, 90), st.integers(2, 90)), st.sampled_from([16, 32, 33]))
def test_a_picture_lies_in_the_middle_of_its_square(shape, resolution):
    size = max(shape)
    for axis, length in zip(axes_of(shape, (1.0, 1.0), resolution), shape, strict=True):
        before = (size - length) // 2
        expected = [(before + n) * (resolution - 1) / (size - 1) for n in range(length)]
        np.testing.assert_allclose(axis.pixels, expected, atol=1e-9)


def test_voxels_that_were_cut_off_lie_nowhere():
    """A frame of 10 points around the centre of 20 voxels, and one of 16 around all of 8."""
    _, cut, padded = axes_of((4, 20, 8), (1.0, 0.5, 2.0), 16, grid="framed")
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(cut.pixels)), np.arange(5, 15))
    np.testing.assert_allclose(cut.pixels[5:15], 3 + np.arange(10))
    np.testing.assert_allclose(padded.pixels, 4 + np.arange(8))


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(24, 60)] * 3),
    st.tuples(*[st.floats(0.7, 2.5)] * 3),
    st.sampled_from(["native", "isotropic", "framed"]),
)
def test_the_way_back_is_that_there_turned_round(shape, spacing, grid):
    """What rises evenly from voxel to voxel is found where each is said to lie, but at borders."""
    for axis in axes_of(shape, spacing, 16, grid=grid):
        rising = axis.shrink @ (axis.resample @ np.arange(axis.voxels, dtype=float))
        whole = axis.shrink @ (axis.resample @ np.ones(axis.voxels))
        for voxel, pixel in enumerate(axis.pixels):
            if np.isfinite(pixel) and 3 <= pixel <= 12:
                around = slice(int(pixel) - 2, int(pixel) + 4)
                if np.allclose(whole[around], 1):  # nothing of the padding is blurred in
                    found = np.interp(pixel, np.arange(16), rising)
                    assert found == pytest.approx(voxel, abs=0.05)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("grid", ["native", "isotropic"])
def test_the_plane_that_a_slice_shows_is_the_one_that_counts_most_in_it(plane, grid):
    shape, spacing = (14, 20, 17), (2.0, 1.0, 1.5)
    axes = axes_of(shape, spacing, 16, grid=grid)
    along = PLANES.index(plane)
    for index in range(4, 12):
        voxel = axes[along].voxel_at(index)
        shares = {}
        for other in range(max(voxel - 2, 0), min(voxel + 3, shape[along])):
            voxels = np.zeros(shape, np.uint8)
            np.moveaxis(voxels, along, 0)[other, 3:9, 2:6] = 1
            labels = labels_of(voxels)
            box = labels.boxes()["organ"]
            shares[other] = soft_mask(labels, "organ", box, axes, along, index).sum()
            shown = native_plane(labels, spacing, axes, "organ", plane, index)
            assert shown.mask.any() == (other == voxel)
        assert shares[voxel] == max(shares.values())


def test_a_plane_lies_as_its_slice_does():
    """The head is up in a coronal slice: the last of Z is highest, below what was padded."""
    voxels = np.zeros((5, 4, 6), np.uint8)
    voxels[4, :, 0] = 1
    axes = axes_of(voxels.shape, (3.0, 1.0, 2.0), 16)
    coronal = native_plane(labels_of(voxels), (3.0, 1.0, 2.0), axes, "organ", "coronal", 8)
    np.testing.assert_array_equal(np.argwhere(coronal.mask), [[0, 0]])
    assert coronal.mask.shape == (5, 6)
    assert coronal.spacing == (3.0, 2.0)
    np.testing.assert_allclose(coronal.rows, [3, 6, 9, 12, 15])
    axial = native_plane(labels_of(voxels), (3.0, 1.0, 2.0), axes, "organ", "axial", 15)
    np.testing.assert_array_equal(axial.mask, voxels[4] == 1)
    assert axial.spacing == (1.0, 2.0)
