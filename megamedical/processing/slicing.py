"""From a scan and its annotation to the slices that are kept (paper.md, Processing 4 to 6).

The mid slice is slice N // 2 of the N that a plane would be resized to; the max slice of a label is
the one in which the resized label has the most non-zero pixels. Both are found and computed without
ever resizing the volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import Group
from megamedical.errors import SubjectError
from megamedical.processing.grid import Axis, standard_axes
from megamedical.processing.intensity import Range, intensity_range, standard_planes
from megamedical.processing.resampling import Weights
from megamedical.reading.scan import Box, Scan, Segmentation

Slicing = Literal["mid", "max"]

PICTURE = "2d"  # the plane of a picture, which is its own mid slice
AXIS_OF_PLANE: Mapping[str, int] = {"axial": 0, "coronal": 1, "sagittal": 2}

_AT_ONCE = 2  # slices of one scan: more would need more memory, and workers share the cores


@dataclass(frozen=True, eq=False)
class SliceOfLabel:
    """The mask of one label in one slice, and which slicings ask for it.

    `plane` and `index` name the slice; `mask` is (H, W) float32, the soft coverage in [0, 1].
    """

    plane: str
    index: int
    label: str
    slicings: tuple[Slicing, ...]
    mask: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CutSlices:
    """All that is kept of a subject: each slice once, however many labels are seen in it.

    `images` maps (plane, index) to (H, W) float32 in [0, 1]. A slice lies as a radiologist sees it:
    the head (coronal, sagittal) or the front (axial) at the top, the patient's left at the right,
    and in sagittal slices the front at the left.
    """

    images: Mapping[tuple[str, int], NDArray[np.float32]]
    masks: Sequence[SliceOfLabel]


def slice_subject(
    scan: Scan, segmentation: Segmentation, group: Group, resolution: int
) -> CutSlices:
    """Every slice that the tasks of a group keep of one subject.

    Args:
        scan: the image, (Z, Y, X) or (H, W).
        segmentation: its labels, on the same grid.
        group: how the scan is standardised, and in which planes it is cut.
        resolution: H and W of the slices, in pixels.

    Raises:
        SubjectError: the image holds NaN or is constant, see `intensity_range`; or all labels are
            lost on a coarser grid.
    """
    axes = standard_axes(scan, group, resolution)
    intensities = intensity_range(scan, axes, group.intensity)
    if group.dimension == 2:
        return _slice_picture(scan, segmentation, axes, intensities)
    return _slice_volume(scan, segmentation, axes, intensities, group.planes)


def _slice_picture(
    scan: Scan, segmentation: Segmentation, axes: Sequence[Axis], intensities: Range
) -> CutSlices:
    image = shrink(intensities.scale(scan.voxels.astype(np.float32)), *axes)
    middle = axes[0].resolution // 2
    masks = [
        SliceOfLabel(PICTURE, middle, label, ("mid",), soft_mask(segmentation, label, box, axes))
        for label, box in segmentation.boxes().items()
    ]
    return CutSlices({(PICTURE, middle): image}, masks)


def _slice_volume(
    scan: Scan,
    segmentation: Segmentation,
    axes: Sequence[Axis],
    intensities: Range,
    planes: Sequence[str],
) -> CutSlices:
    def cut(plane: str, index: int) -> NDArray[np.float32]:
        image = _image(scan.voxels, axes, AXIS_OF_PLANE[plane], index, intensities)
        return upright(image, plane)

    masks = []
    with ThreadPoolExecutor(_AT_ONCE) as threads:  # what takes long is done outside of Python
        middles = [(plane, axes[AXIS_OF_PLANE[plane]].resolution // 2) for plane in planes]
        cuts = {where: threads.submit(cut, *where) for where in middles}
        for mask in _slices_of_labels(segmentation, axes, planes):
            masks.append(mask)
            where = mask.plane, mask.index
            if where not in cuts:
                cuts[where] = threads.submit(cut, *where)
        if not masks:
            raise SubjectError(
                "slice", "", "no label is left on the standard grid: all are too small"
            )
        kept = dict.fromkeys((mask.plane, mask.index) for mask in masks)
        return CutSlices({where: cuts[where].result() for where in kept}, masks)


def _slices_of_labels(
    segmentation: Segmentation, axes: Sequence[Axis], planes: Sequence[str]
) -> Iterator[SliceOfLabel]:
    """The slices that are kept of each label, one after the other."""
    for label, box in segmentation.boxes().items():
        voxels = segmentation.mask(label, box)
        pixels = _pixels_per_slice(voxels, box, axes)
        if not pixels[0].any():  # the label lies between the points of a coarser grid
            continue
        counts = _count_per_slice(voxels)
        for plane in planes:
            axis = AXIS_OF_PLANE[plane]
            coverage = _coverage_per_slice(counts[axis], box[axis], axes[axis])
            for index, slicings in _chosen(pixels[axis], coverage):
                mask = soft_mask(segmentation, label, box, axes, axis, index)
                yield SliceOfLabel(plane, index, label, slicings, upright(mask, plane))


def _chosen(
    pixels: NDArray[np.int64], coverage: NDArray[np.float64]
) -> Iterator[tuple[int, tuple[Slicing, ...]]]:
    """The slices kept along one axis, given how many pixels of the label each has.

    Where the blur is wide and the slices are few, many share the most pixels: then the one that the
    label covers most is taken, not the first, which would lie at the border of the blur's reach.
    """
    middle = len(pixels) // 2
    largest = int(np.where(pixels == pixels.max(), coverage, -1.0).argmax())
    if middle == largest:
        yield middle, ("mid", "max")
    else:
        yield middle, ("mid",)
        yield largest, ("max",)


def _pixels_per_slice(
    mask: NDArray[np.bool_], box: Box, axes: Sequence[Axis]
) -> list[NDArray[np.int64]]:
    """For each axis, how many non-zero pixels each slice of the resized label has.

    A pixel is non-zero where any voxel in the reach of its blur is, so no blur is needed to count.
    The axis that shrinks most comes first, and leaves less for the others.
    """
    for position in sorted(range(mask.ndim), key=lambda each: axes[each].growth):
        mask = _any_in_reach(mask, position, axes[position], box[position])
    return _count_per_slice(mask)


def _count_per_slice(mask: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """For each axis of a mask (Z, Y, X), how many of its elements are set in each slice."""
    narrow = np.min_scalar_type(max(mask.shape))  # counts along a line, several times as fast
    from_top, from_side = (mask.sum(axis=axis, dtype=narrow) for axis in (0, 2))
    return [
        from_side.sum(axis=1, dtype=np.int64),
        from_top.sum(axis=1, dtype=np.int64),
        from_top.sum(axis=0, dtype=np.int64),
    ]


def _coverage_per_slice(voxels: NDArray[np.int64], side: slice, axis: Axis) -> NDArray[np.float64]:
    """How much of each slice the resized label covers along one axis, in voxels.

    Rounded, so that slices that are equal but for the order of summation stay equal.
    """
    return np.round(axis.shrink_mask[:, side] @ voxels.astype(np.float64), 6)


def _any_in_reach(
    mask: NDArray[np.bool_], position: int, axis: Axis, side: slice
) -> NDArray[np.bool_]:
    """For each pixel along one axis, whether the label is anywhere in its reach."""
    seen = axis.sampled[(axis.sampled >= side.start) & (axis.sampled < side.stop)]
    lines = np.moveaxis(mask, position, 0)
    lines = np.ascontiguousarray(lines if len(seen) == len(lines) else lines[seen - side.start])
    reached = np.zeros((axis.resolution, *lines.shape[1:]), dtype=np.bool_)
    for pixel, (first, end) in enumerate(np.searchsorted(seen, axis.reach)):
        if first < end:
            np.logical_or.reduce(lines[first:end], axis=0, out=reached[pixel])
    return np.moveaxis(reached, 0, position)


def _image(
    voxels: NDArray[Any], axes: Sequence[Axis], axis: int, index: int, intensities: Range
) -> NDArray[np.float32]:
    """One slice of a volume's image, (H, W) in the order of the two axes it shows."""
    weights = axes[axis].shrink[[index]]
    rows, columns = (a for i, a in enumerate(axes) if i != axis)
    if not weights.nnz:  # the slice lies in the padding
        return np.zeros((rows.resolution, columns.resolution), dtype=np.float32)
    blurred = np.zeros((len(rows.positions), len(columns.positions)), dtype=np.float32)
    planes = standard_planes(voxels, axes, axis, weights.indices)
    for share, plane in zip(weights.data.astype(np.float32), planes, strict=True):
        blurred += share * intensities.scale(plane)
    return shrink(blurred, rows, columns)


def shrink(plane: NDArray[np.float32], rows: Axis, columns: Axis) -> NDArray[np.float32]:
    """Blur, pad and zoom a plane of the standard grid to (resolution, resolution)."""
    return _both_ways(rows.shrink, plane, columns.shrink)


def soft_mask(
    segmentation: Segmentation,
    label: str,
    box: Box,
    axes: Sequence[Axis],
    axis: int | None = None,
    index: int | None = None,
) -> NDArray[np.float32]:
    """The soft mask of a label in a picture, or in one slice of a volume."""
    if axis is None or index is None:
        plane: NDArray[Any] = segmentation.mask(label, box)
        rows, columns = axes
        side_rows, side_columns = box
    else:
        rows, columns = (a for i, a in enumerate(axes) if i != axis)
        side_rows, side_columns = (s for i, s in enumerate(box) if i != axis)
        weights = axes[axis].shrink_mask[[index], box[axis]]
        if not weights.nnz:
            return np.zeros((rows.resolution, columns.resolution), dtype=np.float32)
        first, last = int(weights.indices[0]), int(weights.indices[-1]) + 1
        start = box[axis].start
        slab = tuple(
            slice(start + first, start + last) if i == axis else side for i, side in enumerate(box)
        )
        layers = np.moveaxis(segmentation.mask(label, slab), axis, 0)
        plane = np.tensordot(weights.toarray()[0, first:last], layers, axes=1)
    return _both_ways(
        rows.shrink_mask[:, side_rows],
        plane.astype(np.float32),
        columns.shrink_mask[:, side_columns],
    )


def _both_ways(rows: Weights, plane: NDArray[np.float32], columns: Weights) -> NDArray[np.float32]:
    """Rows @ plane @ columns.T, rounded to float32 after each axis, as SciPy does on float32."""
    half = (rows @ plane).astype(np.float32)
    return np.ascontiguousarray((columns @ half.T).astype(np.float32).T)


def upright(plane: NDArray[Any], name: str) -> NDArray[Any]:
    """Put the head of coronal and sagittal slices at the top, or back at the end of the rows."""
    return plane if name in ("axial", PICTURE) else np.ascontiguousarray(plane[::-1])
