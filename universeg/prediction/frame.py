"""The square in which the network sees the planes of a scan, and the way back out of it.

Everything on the way in is the store's own processing: a plane is brought to true proportions,
scaled to [0, 1], padded to a square, blurred, and zoomed with its corners aligned. The way back
aligns the corners again, and leaves the padding behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import Group, Intensity
from megamedical.errors import MegaMedicalError
from megamedical.processing.grid import Axis, standard_axes
from megamedical.processing.intensity import Range, intensity_range, standard_planes
from megamedical.processing.slicing import AXIS_OF_PLANE, PICTURE, shrink, soft_mask, upright
from megamedical.reading.scan import LabelMap, Scan

RESOLUTION = 128  # pixels of a side, as the released weights were trained; others say their own

Ends = tuple[float, float]

_NATIVE = Group(modality="mri", dimension=2, labels={1: "any"})  # scans that keep their grid
_SQUASHED = 1.03  # ratio of the two spacings of a plane that is not seen as it is
_FINEST = 2048  # points along the longest axis; more than that are lost on so few pixels
_FIRST = np.zeros(1, dtype=np.int64)


def intensity_rule(window: Ends | None, percentiles: Ends | None) -> Intensity | None:
    """The store's rule for what becomes black and white; None for the darkest and the brightest.

    Raises:
        MegaMedicalError: both are given, a range is empty, or percentiles are not in 0 to 100.
    """
    if window and percentiles:
        raise MegaMedicalError(
            "A window and percentiles exclude each other",
            "Give a window for CT, percentiles for MR.",
        )
    low, high = window or percentiles or (0.0, 1.0)
    if not low < high:
        raise MegaMedicalError(
            f"The range from {low:g} to {high:g} is empty", "Give the low end first."
        )
    if percentiles and not 0 <= low < high <= 100:
        raise MegaMedicalError(
            f"There are no percentiles from {low:g} to {high:g}",
            "Give numbers from 0 to 100, as 0.5 and 99.5.",
        )
    return Intensity(window=window, percentiles=percentiles) if window or percentiles else None


@dataclass(frozen=True, eq=False)
class Frame:
    """How each plane of one scan becomes a square of pixels.

    `plane` is `axial`, `coronal` or `sagittal`, or `2d` for a picture; `rows` and `columns` are the
    two axes that it shows; `intensities` is the range of the whole scan.
    """

    plane: str
    rows: Axis
    columns: Axis
    intensities: Range
    resolution: int = RESOLUTION

    @classmethod
    def of(
        cls,
        scan: Scan,
        plane: str,
        rule: Intensity | None = None,
        resolution: int = RESOLUTION,
    ) -> Frame:
        """The frame of a scan; a volume's planes are padded to its longest side, as in the store.

        Planes whose pixels are not square, as across thick slices, are seen on an isotropic grid.

        Raises:
            SubjectError: the image holds NaN, is constant, or has nothing in the range of the rule.
        """
        axes = standard_axes(scan, _group_of(scan, plane), resolution)
        intensities = intensity_range(scan, axes, rule)
        along = AXIS_OF_PLANE.get(plane)
        rows, columns = (axis for number, axis in enumerate(axes) if number != along)
        return cls(plane, rows, columns, intensities, resolution)

    def image(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """A plane (H, W) of the scan as (R, R) float32 in [0, 1], R being the resolution."""
        alone = Axis(1, np.zeros(1), 0, 1, self.resolution)  # across a single plane
        axes = (alone, self.rows, self.columns)
        (pixels,) = standard_planes(values[np.newaxis], axes, 0, _FIRST)
        scaled = self.intensities.scale(pixels)
        return upright(shrink(scaled, self.rows, self.columns), self.plane)

    def masks(self, values: NDArray[Any], labels: Sequence[int]) -> NDArray[np.float32]:
        """A plane (H, W) of label values as one soft mask a label: (L, R, R) in [0, 1]."""
        masks = np.zeros((len(labels), self.resolution, self.resolution), dtype=np.float32)
        if not values.any():  # as most planes of a volume
            return masks
        segmentation = LabelMap(values, {str(value): (value,) for value in labels})
        boxes = segmentation.boxes()
        for mask, value in zip(masks, labels, strict=True):
            if box := boxes.get(str(value)):
                soft = soft_mask(segmentation, str(value), box, (self.rows, self.columns))
                mask[:] = upright(soft, self.plane)
        return masks

    def restore(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps (L, R, R) on the scan's own grid, interpolated linearly: (L, H, W)."""
        rows, columns = _back(self.rows), _back(self.columns)
        return np.stack([rows @ upright(pixels, self.plane) @ columns.T for pixels in maps])


def planes_of(array: NDArray[Any], plane: str) -> NDArray[Any]:
    """The planes of a scan or mask, (N, H, W): a view; a picture is its own only plane."""
    return array[None] if plane == PICTURE else np.moveaxis(array, AXIS_OF_PLANE[plane], 0)


def _group_of(scan: Scan, plane: str) -> Group:
    """How the store would treat a scan that is to be seen in true proportions."""
    seen = [mm for axis, mm in enumerate(scan.spacing) if axis != AXIS_OF_PLANE.get(plane)]
    if plane == PICTURE or max(seen) <= _SQUASHED * min(seen):
        return _NATIVE
    longest = max(voxels * mm for voxels, mm in zip(scan.voxels.shape, scan.spacing, strict=True))
    return _NATIVE.model_copy(
        update={"grid": "isotropic", "spacing": max(min(seen), longest / _FINEST)}
    )


def _back(axis: Axis) -> NDArray[np.float32]:
    """(voxels, resolution): the inverse of the zoom, corners on corners, without the padding."""
    first, *others = axis.positions[:2]
    step = others[0] - first if others else np.inf  # voxels from one point of the grid to the next
    points = axis.before + (np.arange(axis.voxels) - first) / step
    pixels = points * ((axis.resolution - 1) / (axis.size - 1))
    pixels = pixels.clip(0, axis.resolution - 1)  # voxels beyond the last point of a coarser grid
    distance = np.abs(pixels[:, None] - np.arange(axis.resolution))
    return np.clip(1 - distance, 0, None).astype(np.float32)
