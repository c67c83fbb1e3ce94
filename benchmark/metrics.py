"""How near a predicted mask is to the truth: of its area, and of its surface in pixels.

The measures are those of `universeg.measures.masks`, where it is said what they are of empty masks.

Predictions are probabilities and truths are soft masks; both become masks by one threshold, 0.5 in
the paper (hard Dice). So a method that found the soft mask itself would score 1 at any threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from universeg.measures.masks import Mask, Surfaces, assd, dice, hd95, surface_dice

__all__ = ["Mask", "Scores", "assd", "dice", "hd95", "score", "surface_dice"]


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
    surfaces = Surfaces(found, meant)
    return Scores(
        dice(found, meant, both_empty),
        surfaces.hd95(),
        surfaces.assd(),
        surfaces.dice() if found.any() or meant.any() else both_empty,
    )
