"""The square in which the network sees the planes of a scan, and the way back out of it.

Everything on the way in is the store's own processing: a plane is scaled to [0, 1], padded to a
square, blurred, and zoomed with its corners aligned. The way back aligns the corners again, and
leaves the padding behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.grid import Axis, standard_axes
from megamedical.intensity import Range, intensity_range
from megamedical.manifest import Group, Intensity
from megamedical.scan import LabelMap, Scan
from megamedical.slicing import AXIS_OF_PLANE, PICTURE, shrink, soft_mask, upright

RESOLUTION = 128  # pixels of a side, as the released weights were trained

Window = tuple[float, float]

_NATIVE = Group(modality="mri", dimension=2, labels={1: "any"})  # scans that keep their grid


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

    @classmethod
    def of(cls, scan: Scan, plane: str, window: Window | None = None) -> Frame:
        """The frame of a scan; a volume's planes are padded to its longest side, as in the store.

        Raises:
            SubjectError: the image holds NaN, is constant, or has nothing in the window.
        """
        axes = standard_axes(scan, _NATIVE, RESOLUTION)
        intensities = intensity_range(scan, axes, Intensity(window=window) if window else None)
        along = AXIS_OF_PLANE.get(plane)
        rows, columns = (axis for number, axis in enumerate(axes) if number != along)
        return cls(plane, rows, columns, intensities)

    def image(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """A plane (H, W) of the scan as (128, 128) float32 in [0, 1]."""
        scaled = self.intensities.scale(values.astype(np.float32))
        return upright(shrink(scaled, self.rows, self.columns), self.plane)

    def masks(self, values: NDArray[Any], labels: Sequence[int]) -> NDArray[np.float32]:
        """A plane (H, W) of label values as one soft mask a label: (L, 128, 128) in [0, 1]."""
        masks = np.zeros((len(labels), RESOLUTION, RESOLUTION), dtype=np.float32)
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
        """Maps (L, 128, 128) on the scan's own grid, interpolated linearly: (L, H, W)."""
        rows, columns = _back(self.rows), _back(self.columns)
        return np.stack([rows @ upright(pixels, self.plane) @ columns.T for pixels in maps])


def planes_of(array: NDArray[Any], plane: str) -> NDArray[Any]:
    """The planes of a scan or mask, (N, H, W): a view; a picture is its own only plane."""
    return array[None] if plane == PICTURE else np.moveaxis(array, AXIS_OF_PLANE[plane], 0)


def _back(axis: Axis) -> NDArray[np.float32]:
    """(voxels, resolution): the inverse of the zoom, corners on corners, without the padding."""
    points = axis.before + np.arange(axis.voxels)
    pixels = points * ((axis.resolution - 1) / (axis.size - 1))
    distance = np.abs(pixels[:, None] - np.arange(axis.resolution))
    return np.clip(1 - distance, 0, None).astype(np.float32)
