"""From probabilities to a mask: which label a pixel has, and what is cleaned up of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one scan, on the scan's own grid.

    `mask` holds the most likely label of each pixel, by its value in the support masks, 0 being the
    background. `probabilities` is (L, ...) float32 in [0, 1], in the order of `labels`; with the
    background they sum to 1.
    """

    mask: NDArray[np.integer]
    probabilities: NDArray[np.float32]
    labels: Mapping[int, str]


@dataclass(frozen=True)
class Cleaning:
    """What is done to the mask of each label: `fill_holes` in it, and keep its `largest` part."""

    fill_holes: bool = False
    largest: bool = False

    def of(self, mask: NDArray[np.integer]) -> NDArray[np.integer]:
        """A mask of label values, cleaned; a hole in one label that another fills stays its own."""
        from scipy.ndimage import binary_fill_holes, label

        for value in np.unique(mask[mask > 0]) if self.fill_holes or self.largest else ():
            own = mask == value
            if self.largest:
                parts, count = label(own)
                if count > 1:
                    sizes = np.bincount(parts.ravel())[1:]
                    mask[own & (parts != 1 + sizes.argmax())] = 0
                    own = mask == value
            if self.fill_holes:
                mask[binary_fill_holes(own) & (mask == 0)] = value
        return mask


def decide(
    probabilities: NDArray[np.float32],
    labels: Mapping[int, str],
    thresholds: Sequence[float],
    cleaning: Cleaning,
) -> Prediction:
    """The likeliest label of each pixel; nothing, where none passes its threshold.

    With one label, a pixel has it where its probability is above the threshold. With several, the
    odds of each are weighed by the odds of its threshold, and compared with those of the others.

    Args:
        probabilities: (L, ...), which with the background sum to 1.
        labels: their values and names.
        thresholds: of each label, between 0 and 1.
        cleaning: of the mask.
    """
    values = np.array([*labels], dtype=np.min_scalar_type(max(labels)))
    weights = np.array([(1 - cut) / cut for cut in thresholds], dtype=np.float32)
    weighed: NDArray[Any] = probabilities
    if (weights != 1).any():
        weighed = probabilities * weights.reshape(-1, *[1] * (probabilities.ndim - 1))
    mask = values[weighed.argmax(axis=0)]
    background = 1 - probabilities.sum(axis=0)
    mask[background >= weighed.max(axis=0)] = 0
    return Prediction(cleaning.of(mask), probabilities, labels)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over labels (L, H, W) and a background whose logit is 0."""
    highest = np.maximum(logits.max(axis=0), 0)
    shares = np.exp(logits - highest)
    return shares / (shares.sum(axis=0) + np.exp(-highest))
