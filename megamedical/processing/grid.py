"""The standard grid of a scan: resampled or framed, then padded to a square or cube.

An `Axis` holds the matrices that take voxels to pixels along one axis. A scan has one per axis, and
every slice of it is made of rows of these matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import Group
from megamedical.errors import SubjectError
from megamedical.processing import resampling
from megamedical.processing.resampling import Weights
from megamedical.reading.scan import Scan

# What a scan can be: a body of 2 m at 0.5 mm, and all of it at 1 mm four times over.
LONGEST = 4096  # points along an axis
LARGEST = 1 << 31  # points of a grid


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a scan on its way from voxels to pixels.

    `voxels` is the scan's length; `positions` (M,) says where each point of the standard grid lies,
    in voxels; the grid is padded with `before` points, and as many after as make it `size` long.
    """

    voxels: int
    positions: NDArray[np.float64]
    before: int
    size: int
    resolution: int

    @property
    def points(self) -> slice:
        """The unpadded part of the padded grid."""
        return slice(self.before, self.before + len(self.positions))

    @cached_property
    def is_native(self) -> bool:
        """Whether the grid is that of the scan."""
        return np.array_equal(self.positions, np.arange(self.voxels))

    @cached_property
    def keeps_voxels(self) -> bool:
        """Whether the grid has every voxel once and nothing between them."""
        return np.array_equal(self.positions[~self.outside], np.arange(self.voxels))

    @property
    def growth(self) -> float:
        """Points of the grid per voxel."""
        return len(self.positions) / self.voxels

    @cached_property
    def outside(self) -> NDArray[np.bool_]:
        """(M,) which points of the grid lie outside the scan."""
        return ~resampling.inside(self.positions, self.voxels)

    @cached_property
    def resample(self) -> Weights:
        """(M, voxels): image values at the points of the grid."""
        take = resampling.nearest if self.keeps_voxels else resampling.cubic
        return take(self.positions, self.voxels).astype(np.float32)

    @cached_property
    def shrink(self) -> Weights:
        """(resolution, M): pixels of an image from the points of the grid."""
        return resampling.blur_and_zoom(self.size, self.resolution, 1)[:, self.points]

    @cached_property
    def shrink_mask(self) -> Weights:
        """(resolution, voxels): pixels of a mask straight from its voxels."""
        blur = resampling.blur_and_zoom(self.size, self.resolution, 0)[:, self.points]
        weights = blur @ resampling.nearest(self.positions, self.voxels)
        weights.sort_indices()
        return weights

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """(voxels,): where each voxel lies among the pixels, the centre of the first being 0.

        A voxel less than a point beyond the grid lies at its end; one that is further is seen in no
        pixel, and NaN.
        """
        points, voxels = len(self.positions), np.arange(self.voxels)
        first, last = self.positions[0], self.positions[-1]
        between = (last - first) / (points - 1) if points > 1 else np.inf
        beyond = np.maximum(first - voxels, voxels - last)
        point = self.before + np.interp(voxels, self.positions, np.arange(points))
        pixel = point * (self.resolution - 1) / max(self.size - 1, 1)
        return np.where(beyond < between * (1 - 1e-9), pixel, np.nan)

    def voxel_at(self, pixel: int) -> int:
        """The voxel that is nearest to a pixel: of those that its mask is blurred from, the middle.

        Of a pixel in the padding, the first or the last.
        """
        point = int(np.floor(pixel * (self.size - 1) / (self.resolution - 1) + 0.5)) - self.before
        inside = min(max(point, 0), len(self.positions) - 1)
        return int(np.clip(np.floor(self.positions[inside] + 0.5), 0, self.voxels - 1))

    @cached_property
    def sampled(self) -> NDArray[np.int64]:
        """The voxels that points of the grid take their label from, in order."""
        return np.unique(self.shrink_mask.indices)

    @cached_property
    def reach(self) -> NDArray[np.int64]:
        """(resolution, 2): the voxels that each pixel of a mask sees, from the first to an end."""
        weights = self.shrink_mask
        seen = np.diff(weights.indptr) > 0
        ends = np.zeros((self.resolution, 2), dtype=np.int64)
        ends[seen, 0] = weights.indices[weights.indptr[:-1][seen]]
        ends[seen, 1] = weights.indices[weights.indptr[1:][seen] - 1] + 1
        return ends


def standard_axes(scan: Scan, group: Group, resolution: int) -> tuple[Axis, ...]:
    """The standard grid of a scan, one `Axis` per axis (paper.md, Processing 1 and 4).

    The centre voxel stays the centre, rounding down, as nibabel's `rescale_affine` has it.

    Raises:
        SubjectError: the spacing of the scan asks for a grid that no scan has.
    """
    scales = [spacing / group.spacing for spacing in scan.spacing]
    if group.grid != "native":
        _expect_scan(scan, scales, group.spacing)
    grids = [
        _positions(voxels, scale, group.grid)
        for voxels, scale in zip(scan.voxels.shape, scales, strict=True)
    ]
    size = max(len(positions) for positions in grids)
    return tuple(
        Axis(voxels, positions, (size - len(positions)) // 2, size, resolution)
        for voxels, positions in zip(scan.voxels.shape, grids, strict=True)
    )


def _positions(voxels: int, scale: float, grid: str) -> NDArray[np.float64]:
    """Where the points of the standard grid lie; `scale` is grid points per voxel."""
    if grid == "native":
        return np.arange(voxels, dtype=np.float64)
    points = max(round(voxels * scale), 1)
    from_centre = np.arange(points, dtype=np.float64) - (points - 1) // 2
    return (voxels - 1) // 2 + from_centre / (scale if grid == "isotropic" else 1.0)


def _expect_scan(scan: Scan, scales: Sequence[float], spacing: float) -> None:
    """Refuse a scan whose header claims what none is, before anything is made of it."""
    shape = scan.voxels.shape
    sizes = [voxels * scale for voxels, scale in zip(shape, scales, strict=True)]
    is_thin = any(not size >= 0.5 for size, voxels in zip(sizes, shape, strict=True) if voxels > 1)
    if is_thin or not max(sizes) <= LONGEST or prod(sizes) > LARGEST:
        voxel = " x ".join(f"{mm:g}" for mm in scan.spacing)
        raise SubjectError(
            "standardise",
            "",
            f"its header says what no scan is: voxels of {voxel} mm (Z, Y, X) would make a grid of "
            f"{' x '.join(f'{size:.4g}' for size in sizes)} points of {spacing:g} mm",
        )
