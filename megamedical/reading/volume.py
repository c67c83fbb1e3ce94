"""A volume on the axes of its file, and how it is turned to canonical orientation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.scan import Scan

_TO_LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS
SHEAR = 1e-3  # largest cosine between two axes of a volume that counts as rounding


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels as the file has them, and where its axes point.

    `voxels` is (k, j, i); `directions` has the unit vectors of i, j, k as its columns, in LPS;
    `spacing` is that of i, j, k in mm; `origin` is where the first voxel lies, in mm, LPS.
    """

    voxels: NDArray[Any]
    directions: NDArray[np.float64]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]

    @property
    def centre(self) -> NDArray[np.float64]:
        """Where its middle lies, in mm, LPS."""
        middle = (np.array(self.voxels.shape[::-1]) - 1) / 2
        return self.origin + self.directions @ (middle * self.spacing)


def canonical(volume: Volume) -> Scan:
    """Turn (k, j, i) into (Z, Y, X): views only, no voxel is copied.

    Raises:
        SubjectError: the axes are not orthonormal.
    """
    from nibabel.orientations import aff2axcodes, io_orientation

    cosines = volume.directions.T @ volume.directions
    skew = float(np.abs(cosines - np.eye(3)).max())
    if not skew < SHEAR:
        raise SubjectError(
            "read", "", f"its direction matrix is not orthonormal (off by {skew:.3g})"
        )
    affine = np.eye(4)
    affine[:3, :3] = volume.directions
    source, flips = io_orientation(affine).T
    of_world = np.argsort(source)  # which of i, j, k runs along x, y, z
    voxels = volume.voxels.transpose(*(2 - of_world[::-1]))
    voxels = voxels[tuple(slice(None, None, int(flips[axis])) for axis in of_world[::-1])]
    codes = aff2axcodes(affine, (("R", "L"), ("A", "P"), ("I", "S")))
    spacing = tuple(float(volume.spacing[axis]) for axis in of_world[::-1])
    return Scan(voxels, spacing, "".join(codes))


def from_ras(voxels: NDArray[Any], affine: NDArray[np.float64]) -> Volume:
    """A volume as nibabel has it, (i, j, k) with an affine to mm in RAS."""
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):  # no spacing, no directions
        directions = _TO_LPS @ affine[:3, :3] / spacing
    origin = _TO_LPS @ affine[:3, 3]
    return Volume(voxels.T, directions, tuple(spacing.tolist()), tuple(origin.tolist()))
