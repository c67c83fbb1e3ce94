"""Whether probabilities are what they say, and what hangs on the threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from universeg.measures.masks import Mask, dice

THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))  # that Dice is told at
_BINS = 15
_NOTICED = 0.01  # a probability below which a pixel was not taken for the label at all

Floats = NDArray[np.floating]


def dice_at(probability: Floats, meant: Mask, both_empty: float = 1.0) -> list[float]:
    """Dice of a prediction (H, W) cut at each of `THRESHOLDS`, the truth being as it is."""
    return [dice(probability > threshold, meant, both_empty) for threshold in THRESHOLDS]


def calibration_error(probability: Floats, meant: Mask) -> float:
    """Expected calibration error of a prediction (H, W), 0 to 1 (Guo et al., ICML 2017).

    The mean distance between how probable the label is said to be and how often it is there, over
    15 bins of probability, each weighed by its pixels: those of the label, and those that were
    taken for it with a probability of 1 % at least. The rest of an image is easily said to be
    nothing, and would hide all else. 0 where there are none.
    """
    counts = meant | (probability >= _NOTICED)
    return _binned_error(probability[counts].astype(float), meant[counts])


def _binned_error(probability: NDArray[np.float64], is_label: Mask) -> float:
    """The error of pixels (N,)."""
    if not probability.size:
        return 0.0
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    said, was = (np.bincount(bins, each, _BINS) for each in (probability, is_label))
    return float(np.abs(said - was).sum() / probability.size)
