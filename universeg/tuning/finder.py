"""What finds labels in slices, however it came to know them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]

ABSENT = -100.0  # the logit of a label that is shown by nothing: a probability of nothing
FLIPS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))  # axes of mirror images
_LEAST = 1e-6  # probability; logits stay finite


class Finder(Protocol):
    """Something that finds the labels of a support in slices."""

    def logits(self, queries: Maps, positions: Sequence[float] | None = None) -> Maps:
        """The logit of each label in queries (Q, H, W) in [0, 1]: (Q, L, H, W).

        `positions` says where each slice lies in its scan, from 0 to 1; by default in its middle.
        """
        ...


def middle(queries: Maps, positions: Sequence[float] | None) -> Sequence[float]:
    """The positions of queries, where they are not known: the middle of their scans."""
    return [0.5] * len(queries) if positions is None else positions


def sigmoid(logits: Maps) -> Maps:
    """Logits as probabilities."""
    return np.float32(0.5) * (np.tanh(logits * np.float32(0.5)) + np.float32(1))


def logit(probabilities: Maps) -> Maps:
    """Probabilities as logits, which are finite."""
    kept = np.clip(probabilities, _LEAST, 1 - _LEAST)
    return np.log(kept / (1 - kept)).astype(np.float32)


class Average:
    """The mean of the probabilities that several finders give, each with its weight."""

    def __init__(self, weighted: Sequence[tuple[float, Finder]]) -> None:
        """Take finders; their weights are positive."""
        self._weighted = weighted

    def logits(self, queries: Maps, positions: Sequence[float] | None = None) -> Maps:
        """See `Finder`."""
        total = sum(weight for weight, _ in self._weighted)
        found = [
            np.float32(weight / total) * sigmoid(finder.logits(queries, positions))
            for weight, finder in self._weighted
        ]
        return logit(np.sum(found, axis=0))
