"""How near a predicted mask is to the truth: of its area, and of its surface in pixels.

The surface of a mask is its pixels of which a neighbour above, below, left or right lies outside
the mask or the image. Distances are Euclidean, between the centres of pixels, each from a pixel of
one surface to the nearest of the other; all measures but Dice take those in both directions.

Where one mask is empty, all distances are the diagonal of the image, from the centre of one corner
pixel to the opposite one: no two pixels are further apart, so a method never gains by predicting
nothing, and means stay finite. Where both are empty, all distances are 0.

Predictions are probabilities and truths are soft masks; both become masks by one threshold, 0.5 in
the paper (hard Dice). So a method that found the soft mask itself would score 1 at any threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Distances = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Scores:
    """One prediction against its truth.

    Attributes:
        dice: of the masks, 0 to 1.
        hd95: 95 % Hausdorff distance, in pixels.
        assd: average symmetric surface distance, in pixels.
        surface_dice: share of the surfaces within one pixel of each other, 0 to 1.
    """

    dice: float
    hd95: float
    assd: float
    surface_dice: float


def score(
    probability: NDArray[np.floating],
    truth: NDArray[np.floating],
    threshold: float = 0.5,
    both_empty: float = 1.0,
) -> Scores:
    """Score a prediction by all measures.

    Args:
        probability: of the label, (H, W) in [0, 1].
        truth: soft mask, (H, W) in [0, 1].
        threshold: of both; what is above it is the mask.
        both_empty: Dice and surface Dice where both masks are empty.
    """
    found, meant = probability > threshold, truth > threshold
    distances = _between_surfaces(found, meant)
    return Scores(
        dice(found, meant, both_empty),
        _percentile_of_worse(distances, 95),
        _mean(distances),
        _share_within(distances, 1.0) if found.any() or meant.any() else both_empty,
    )


def dice(found: Mask, meant: Mask, both_empty: float = 1.0) -> float:
    """2 |A ∩ B| / (|A| + |B|) of masks (H, W); `both_empty` where both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(meant)
    return 2 * np.count_nonzero(found & meant) / total if total else both_empty


def hd95(found: Mask, meant: Mask) -> float:
    """95 % Hausdorff distance of masks (H, W), in pixels.

    The 95th percentile of the distances in each direction, interpolated linearly; the larger of the
    two. This is MONAI's definition; others take the percentile of both directions together.
    """
    return _percentile_of_worse(_between_surfaces(found, meant), 95)


def assd(found: Mask, meant: Mask) -> float:
    """Average symmetric surface distance of masks (H, W), in pixels.

    The mean over the points of both surfaces together (Heimann et al. 2009, DOI
    10.1109/TMI.2009.2013851, and MONAI); others take the mean of the means of both directions.
    """
    return _mean(_between_surfaces(found, meant))


def surface_dice(found: Mask, meant: Mask, tolerance: float = 1.0) -> float:
    """Share of both surfaces of masks (H, W) that is at most `tolerance` pixels from the other.

    Nikolov et al. 2021, DOI 10.2196/26151, with a surface as long as it has pixels, as in MONAI
    without subvoxels. 0 where one mask is empty, 1 where both are.
    """
    return _share_within(_between_surfaces(found, meant), tolerance)


def _between_surfaces(found: Mask, meant: Mask) -> Distances:
    """For each point of one surface the distance to the other, and the same the other way."""
    if not found.any() and not meant.any():
        return np.zeros(1), np.zeros(1)
    if not found.any() or not meant.any():
        height, width = found.shape
        diagonal = np.full(1, np.hypot(height - 1, width - 1))
        return diagonal, diagonal
    from scipy.spatial import KDTree

    one, other = _surface(found), _surface(meant)
    return KDTree(other).query(one)[0], KDTree(one).query(other)[0]


def _surface(mask: Mask) -> NDArray[np.intp]:
    """The pixels (N, 2) of a mask that erosion by the cross of 4 neighbours takes away."""
    from scipy.ndimage import binary_erosion

    return np.argwhere(mask & ~binary_erosion(mask))


def _percentile_of_worse(distances: Distances, percent: float) -> float:
    return max(float(np.percentile(direction, percent)) for direction in distances)


def _mean(distances: Distances) -> float:
    return float(np.concatenate(distances).mean())


def _share_within(distances: Distances, tolerance: float) -> float:
    return float((np.concatenate(distances) <= tolerance).mean())
