"""Slices computed one by one are those of the whole volume processed as it was published."""

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from plain_processing import whole

from megamedical.catalogue.group import Group
from megamedical.errors import SubjectError
from megamedical.processing.slicing import AXIS_OF_PLANE, PICTURE, slice_subject
from megamedical.reading.scan import LabelMap, Layers, Scan

VALUES = (1, 2, 5)
LABELS = {1: "liver", 2: "spleen", 5: "kidney"}
PLANES = ("axial", "coronal", "sagittal")


def group(dimension=3, **facts):
    planes = PLANES if dimension == 3 else ()
    return Group(modality="mri", dimension=dimension, labels=LABELS, planes=planes, **facts)


def blobs(shape, seed):
    """A smooth image, and a label map of a few blobs."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    image = sum(np.cos(rng.uniform(1, 4) * axis + rng.uniform(0, 6)) for axis in axes)
    image = (image * 300 + rng.normal(0, 20, shape)).astype(np.int16)
    labels = np.zeros(shape, np.uint8)
    for value in VALUES:
        centre = rng.uniform(-0.5, 0.5, len(shape))
        distance = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True))
        labels[distance < rng.uniform(0.05, 0.3)] = value
    return image, labels


def reaches_the_end(size, resolution):
    """Rounding makes SciPy's zoom take the last sample of some sizes for one outside."""
    return (resolution - 1) * ((size - 1) / (resolution - 1)) <= size - 1


def is_ambiguous(voxels, spacing):
    """Rounding decides whether a point on the border is outside, and which voxel is nearest."""
    points = max(round(voxels * spacing), 1)
    positions = (voxels - 1) // 2 + (np.arange(points) - (points - 1) // 2) / spacing
    borders = np.isclose(positions, 0, atol=1e-4) | np.isclose(positions, voxels - 1)
    return (borders | np.isclose(positions % 1, 0.5, atol=1e-4)).any()


def label_map(labels):
    return LabelMap(labels, {name: (value,) for value, name in LABELS.items()})


def upright(plane, name):
    return plane if name == "axial" else plane[::-1]


def expect_slices_of_the_whole(slices, image, masks, resolution, tolerance):
    names = {name: value for value, name in LABELS.items()}
    assert slices.masks
    for found in slices.masks:
        axis = AXIS_OF_PLANE[found.plane]
        mask = masks[names[found.label]]
        pixels = (mask > 0).sum(axis=tuple({0, 1, 2} - {axis}))
        if "mid" in found.slicings:
            assert found.index == resolution // 2
        if "max" in found.slicings:
            assert pixels[found.index] == pixels.max()
        expected = upright(np.take(mask, found.index, axis), found.plane)
        np.testing.assert_allclose(found.mask, expected, atol=1e-6)
    for (plane, index), found in slices.images.items():
        expected = upright(np.take(image, index, AXIS_OF_PLANE[plane]), plane)
        np.testing.assert_allclose(found, expected, atol=tolerance)


shapes = st.tuples(*[st.integers(5, 40)] * 3)


@given(shape=shapes, resolution=st.sampled_from([16, 32, 45]), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_volumes_on_their_own_grid(shape, resolution, seed):
    image, labels = blobs(shape, seed)
    assume(labels.any() and reaches_the_end(max(shape), resolution))
    rule = group(intensity={"percentiles": (0.5, 99.5)})
    slices = slice_subject(Scan(image, (1.0,) * 3), label_map(labels), rule, resolution)
    expected, masks = whole(image, labels, VALUES, resolution, percentiles=(0.5, 99.5))
    expect_slices_of_the_whole(slices, expected, masks, resolution, 1e-5)


@given(
    shape=shapes,
    spacing=st.tuples(*[st.floats(0.5, 4.0)] * 3),
    rule=st.sampled_from(
        [{"percentiles": (0.5, 99.5)}, {"window": (-200, 400)}, {"window": (-9e3, 9e3)}]
    ),
    seed=st.integers(0, 999),
)
@example(shape=(5, 5, 6), spacing=(1.25,) * 3, rule={"window": (-200, 400)}, seed=20)
@settings(max_examples=12, deadline=None)
def test_volumes_resampled_to_isotropic(shape, spacing, rule, seed):
    image, labels = blobs(shape, seed)
    size = max(max(round(n * s), 1) for n, s in zip(shape, spacing, strict=True))
    assume(labels.any() and reaches_the_end(size, 32))
    assume(not any(is_ambiguous(n, s) for n, s in zip(shape, spacing, strict=True)))
    expected, masks = whole(image, labels, VALUES, 32, spacing=spacing, **rule)
    assume(any(mask.any() for mask in masks.values()))
    slices = slice_subject(
        Scan(image, spacing), label_map(labels), group(grid="isotropic", intensity=rule), 32
    )
    expect_slices_of_the_whole(slices, expected, masks, 32, 2e-3)


@given(shape=st.tuples(st.integers(8, 90), st.integers(8, 90)), seed=st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_pictures(shape, seed):
    image, labels = blobs(shape, seed)
    assume(labels.any() and reaches_the_end(max(shape), 48))
    slices = slice_subject(Scan(image, (1.0, 1.0)), label_map(labels), group(2), 48)
    expected, masks = whole(image, labels, VALUES, 48)
    np.testing.assert_allclose(slices.images[PICTURE, 24], expected, atol=1e-6)
    for found in slices.masks:
        value = next(value for value, name in LABELS.items() if name == found.label)
        np.testing.assert_array_equal(found.mask, masks[value])
        assert found.slicings == ("mid",)


@given(shape=shapes, seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_layers_give_what_a_label_map_gives(shape, seed):
    image, labels = blobs(shape, seed)
    assume(labels.any())
    layers = Layers({name: labels == value for value, name in LABELS.items()})
    by_map, by_layers = (
        slice_subject(Scan(image, (1.0,) * 3), found, group(), 32)
        for found in (label_map(labels), layers)
    )
    for a, b in zip(by_map.masks, by_layers.masks, strict=True):
        assert (a.plane, a.index, a.label, a.slicings) == (b.plane, b.index, b.label, b.slicings)
        np.testing.assert_array_equal(a.mask, b.mask)


def test_slices_lie_as_a_radiologist_sees_them():
    """A bright head, front and left end up at the top, the top and the right."""
    shape = (20, 20, 20)
    labels = np.zeros(shape, np.uint8)
    labels[4:16, 4:16, 4:16] = 1
    bright = {"head": (slice(14, 20), slice(None), slice(None)),
              "front": (slice(None), slice(0, 6), slice(None)),
              "left": (slice(None), slice(None), slice(14, 20))}  # fmt: skip
    seen = {}
    for part, where in bright.items():
        image = np.zeros(shape, np.float32)
        image[where] = 1
        slices = slice_subject(Scan(image, (1.0,) * 3), label_map(labels), group(), 20)
        for plane in PLANES:
            seen[part, plane] = slices.images[plane, 10]
    top, bottom = np.s_[2, 10], np.s_[17, 10]
    left, right = np.s_[10, 2], np.s_[10, 17]
    for part, plane, bright_at, dark_at in [
        ("front", "axial", top, bottom),
        ("left", "axial", right, left),
        ("head", "coronal", top, bottom),
        ("left", "coronal", right, left),
        ("head", "sagittal", top, bottom),
        ("front", "sagittal", left, right),
    ]:
        picture = seen[part, plane]
        assert picture[bright_at] > 0.9, (part, plane)
        assert picture[dark_at] < 0.1, (part, plane)


def test_a_slice_is_kept_once_however_many_labels_it_shows():
    image, labels = blobs((30, 30, 30), 3)
    slices = slice_subject(Scan(image, (1.0,) * 3), label_map(labels), group(), 32)
    assert set(slices.images) == {(mask.plane, mask.index) for mask in slices.masks}
    assert len(slices.images) < len(slices.masks)


def test_among_equally_wide_slices_the_one_covered_most_is_the_largest():
    """Few slices under a wide blur: many have the most pixels, the first of them shows nothing."""
    image = np.random.default_rng(0).random((9, 200, 200)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[3:6, 60:140, 60:140] = 1
    slices = slice_subject(Scan(image, (1.0,) * 3), label_map(labels), group(), 128)
    (found,) = (m for m in slices.masks if m.plane == "axial" and "max" in m.slicings)
    mask = whole(image, labels, (1,), 128)[1][1]
    pixels, covered = (mask > 0).sum(axis=(1, 2)), mask.sum(axis=(1, 2))
    widest = np.flatnonzero(pixels == pixels.max())
    assert len(widest) > 1
    assert found.index == widest[covered[widest].argmax()]


def test_framed_keeps_the_voxels_in_a_frame_of_the_size_in_mm():
    image, labels = blobs((6, 40, 50), 1)
    spacing = (5.0, 1.5, 1.5)
    framed = slice_subject(Scan(image, spacing), label_map(labels), group(grid="framed"), 75)
    frame = [round(n * s) for n, s in zip(image.shape, spacing, strict=True)]
    before = [(m - 1) // 2 - (n - 1) // 2 for m, n in zip(frame, image.shape, strict=True)]
    pads = [(b, m - n - b) for b, m, n in zip(before, frame, image.shape, strict=True)]
    scaled = (image - image.min()) / np.float64(image.max() - image.min())
    expected, masks = whole(np.pad(scaled, pads), np.pad(labels, pads), VALUES, 75)
    for (plane, index), found in framed.images.items():
        whole_slice = upright(np.take(expected, index, AXIS_OF_PLANE[plane]), plane)
        np.testing.assert_allclose(found, whole_slice, atol=1e-5)
    assert masks


def test_labels_that_a_coarser_grid_misses_are_a_failure_not_an_empty_mask():
    labels = np.zeros((21, 21, 21), np.uint8)
    labels[1, 1, 1] = 1
    image = np.random.default_rng(0).random(labels.shape)
    with pytest.raises(SubjectError, match="no label is left"):
        slice_subject(Scan(image, (0.25,) * 3), label_map(labels), group(grid="isotropic"), 16)


@pytest.mark.parametrize(
    ("image", "rule", "reason"),
    [
        (np.full((8, 8, 8), 7), None, "constant: every voxel is 7"),
        (np.where(np.arange(512).reshape(8, 8, 8) == 5, np.nan, 1.0), None, "1 voxels are NaN"),
        (np.arange(512).reshape(8, 8, 8), {"window": (5000, 6000)}, "no voxel lies in the window"),
        (-np.arange(512).reshape(8, 8, 8), {"percentiles": (1, 99)}, "no voxel is above zero"),
    ],
)
def test_images_that_cannot_be_scaled_say_why(image, rule, reason):
    labels = np.zeros(image.shape, np.uint8)
    labels[3:5, 3:5, 3:5] = 1
    with pytest.raises(SubjectError, match=reason) as caught:
        slice_subject(Scan(image, (1.0,) * 3), label_map(labels), group(intensity=rule), 16)
    assert caught.value.stage == "standardise"


# What no scan is


@pytest.mark.parametrize("grid", ["isotropic", "framed"])
@pytest.mark.parametrize("mm", [1e-4, 1e3, 1e5, 1e30, np.inf, np.nan, 0.0])
@pytest.mark.parametrize("axis", range(3))
def test_a_grid_that_no_scan_has_is_refused_before_it_is_made(grid, mm, axis):
    image, labels = blobs((30, 30, 30), 1)
    spacing = tuple(mm if position == axis else 1.0 for position in range(3))
    with pytest.raises(SubjectError, match="its header says what no scan is") as refused:
        slice_subject(Scan(image, spacing), label_map(labels), group(grid=grid), 32)
    assert refused.value.stage == "standardise"
    slice_subject(Scan(image, spacing), label_map(labels), group(), 32)


def test_the_whole_grid_is_bounded_as_well():
    image, labels = blobs((30, 30, 30), 1)
    with pytest.raises(SubjectError, match="3000 x 3000 x 3000 points of 1 mm"):
        slice_subject(Scan(image, (100.0,) * 3), label_map(labels), group(grid="isotropic"), 32)
