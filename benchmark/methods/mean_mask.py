"""The mean of the support's masks, whatever the query shows: what anything must surpass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.method import About, Method, Support


class MeanMask(Method):
    """Answers with the mean mask."""

    @property
    def about(self) -> About:
        """Name and version."""
        return About("mean-mask", follows="no paper: the mean of the support's masks")

    def fit(self, support: Support, seed: int) -> None:  # noqa: ARG002
        """Take the mean; nothing is random."""
        self._mean = support.masks.mean(axis=0)

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same mean for each query."""
        return np.repeat(self._mean[None], len(queries), axis=0)
