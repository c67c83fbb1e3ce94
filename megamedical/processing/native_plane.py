"""The way back from a slice: which plane of the scan it shows, and where its voxels lie in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from megamedical.processing.grid import Axis
from megamedical.processing.slicing import AXIS_OF_PLANE, PICTURE, upright
from megamedical.reading.scan import Segmentation


@dataclass(frozen=True, eq=False)
class NativePlane:
    """A plane of a scan on its own grid, lying as the slice lies that was made of it.

    `mask` (h, w) is where a label is. `rows` (h,) and `columns` (w,) say where its voxels lie in
    the slice, in pixels from the centre of its first; NaN where the slice does not show them.
    `spacing` is that of its rows and its columns, in mm; 1 of a picture, which has none.
    """

    mask: NDArray[np.bool_]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]
    spacing: tuple[float, float]


def native_plane(
    segmentation: Segmentation,
    spacing: Sequence[float],
    axes: Sequence[Axis],
    label: str,
    plane: str,
    index: int,
) -> NativePlane:
    """The plane of a scan that a slice shows: the nearest to its middle; of a picture, all of it.

    Args:
        segmentation: the labels, (Z, Y, X) or (H, W).
        spacing: of the scan, in mm, in that order.
        axes: the standard grid of the scan, see `standard_axes`.
        label: which of them.
        plane: how the slice was cut.
        index: of the slice, of as many as the resolution.
    """
    box = [slice(0, length) for length in segmentation.shape]
    along = None if plane == PICTURE else AXIS_OF_PLANE[plane]
    if along is not None:
        voxel = axes[along].voxel_at(index)
        box[along] = slice(voxel, voxel + 1)
    mask = np.squeeze(segmentation.mask(label, tuple(box)), axis=() if along is None else along)
    rows, columns = (axis for i, axis in enumerate(axes) if i != along)
    high, wide = (mm for i, mm in enumerate(spacing) if i != along)
    is_turned = upright(np.arange(2), plane)[0] == 1
    down = rows.resolution - 1 - rows.pixels[::-1] if is_turned else rows.pixels
    return NativePlane(upright(mask, plane), down, columns.pixels, (float(high), float(wide)))
