"""How near two masks are to each other: of their areas or volumes, and of their surfaces.

The surface of a mask is its pixels (voxels) of which a neighbour along an axis lies outside the
mask or the image. Distances are Euclidean, between the centres of pixels, each from a pixel of one
surface to the nearest of the other; all measures but Dice take those in both directions.

Where one mask is empty, all distances are the diagonal of the image, from the centre of one corner
pixel to the opposite one: no two pixels are further apart, so a method never gains by predicting
nothing, and means stay finite. Where both are empty, all distances are 0.

Masks are (H, W) or (Z, Y, X). Distances are in the unit of `spacing`, which has one number an axis;
without it, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Distances = tuple[NDArray[np.float64], NDArray[np.float64]]


class Surfaces:
    """The distances between the surfaces of two masks, found once for all measures."""

    def __init__(self, found: Mask, meant: Mask, spacing: Sequence[float] | None = None) -> None:
        """Take two masks of one shape."""
        self._found, self._meant = found, meant
        self._spacing = tuple(spacing) if spacing else (1.0,) * found.ndim

    def hd95(self) -> float:
        """95 % Hausdorff distance.

        The 95th percentile of the distances in each direction, interpolated linearly; the larger of
        the two. This is MONAI's definition; others take the percentile of both together.
        """
        return max(float(np.percentile(direction, 95)) for direction in self._distances)

    def assd(self) -> float:
        """Average symmetric surface distance.

        The mean over the points of both surfaces together (Heimann et al. 2009, DOI
        10.1109/TMI.2009.2013851, and MONAI); others take the mean of the means of both directions.
        """
        return float(np.concatenate(self._distances).mean())

    def dice(self, tolerance: float = 1.0) -> float:
        """Share of both surfaces that is at most `tolerance` from the other.

        Nikolov et al. 2021, DOI 10.2196/26151, with a surface as large as it has pixels, as in
        MONAI without subvoxels. 0 where one mask is empty, 1 where both are.
        """
        if self._found.any() != self._meant.any():
            return 0.0
        return float((np.concatenate(self._distances) <= tolerance).mean())

    @cached_property
    def _distances(self) -> Distances:
        """For each point of one surface the distance to the other, and the same the other way."""
        if not self._found.any() and not self._meant.any():
            return np.zeros(1), np.zeros(1)
        if not self._found.any() or not self._meant.any():
            steps = np.array(self._found.shape) - 1
            diagonal = np.full(1, np.linalg.norm(steps * self._spacing))
            return diagonal, diagonal
        from scipy.spatial import KDTree

        one, other = (self._surface(mask) for mask in (self._found, self._meant))
        return KDTree(other).query(one)[0], KDTree(one).query(other)[0]

    def _surface(self, mask: Mask) -> NDArray[np.float64]:
        """The pixels (N, axes) that erosion by the cross of neighbours takes away, in place."""
        from scipy.ndimage import binary_erosion, find_objects

        (box,) = find_objects(mask.view(np.uint8))  # around it all is empty, as beyond the image
        own = mask[box]
        points = np.argwhere(own & ~binary_erosion(own)).astype(np.float64)
        points += [side.start for side in box]
        points *= self._spacing
        return points


def dice(found: Mask, meant: Mask, both_empty: float = 1.0) -> float:
    """2 |A ∩ B| / (|A| + |B|) of masks of one shape; `both_empty` where both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(meant)
    return 2 * np.count_nonzero(found & meant) / total if total else both_empty


def hd95(found: Mask, meant: Mask, spacing: Sequence[float] | None = None) -> float:
    """See `Surfaces.hd95`."""
    return Surfaces(found, meant, spacing).hd95()


def assd(found: Mask, meant: Mask, spacing: Sequence[float] | None = None) -> float:
    """See `Surfaces.assd`."""
    return Surfaces(found, meant, spacing).assd()


def surface_dice(
    found: Mask, meant: Mask, tolerance: float = 1.0, spacing: Sequence[float] | None = None
) -> float:
    """See `Surfaces.dice`."""
    return Surfaces(found, meant, spacing).dice(tolerance)
