"""What a network makes of its own prediction, from its probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Sums:
    """What is added up over the planes of a scan, of each label."""

    def __init__(self, labels: int) -> None:
        """Begin with nothing."""
        self._sums = np.zeros((3, labels))

    def add(self, chances: NDArray[np.float32], inside: NDArray[np.bool_]) -> None:
        """Add a plane: its probabilities and its mask, (L, H, W) each."""
        both = np.where(inside, chances, 0)
        self._sums += [each.sum(axis=(1, 2)) for each in (both, chances, inside)]

    @property
    def expected_dice(self) -> float:
        """The mean over labels of the Dice that a mask has, if its probabilities are right."""
        both, chances, inside = self._sums
        return float(np.mean((2 * both + 1) / (chances + inside + 1)))


def most_likely(chances: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which label each pixel carries, if any: (L, H, W)."""
    best = chances.max(axis=0)
    is_any = best > 1 - chances.sum(axis=0)
    first = chances.argmax(axis=0)
    return (np.arange(len(chances))[:, None, None] == first) & is_any
