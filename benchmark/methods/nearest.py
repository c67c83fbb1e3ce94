"""The mask of the support image that is most like the query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.method import About, Method, Support

_BLUR = 2.0  # pixels: what is finer differs between any two subjects


class Nearest(Method):
    """Answers with one mask of the support, as it is."""

    @property
    def about(self) -> About:
        """Name, paper, version."""
        return About(
            "nearest",
            follows="Aljabar et al., NeuroImage 2009, DOI 10.1016/j.neuroimage.2009.02.018",
            departs="The single most similar atlas (normalised cross-correlation), not registered.",
        )

    def fit(self, support: Support, seed: int) -> None:  # noqa: ARG002
        """Keep the support; nothing is random."""
        self._support = support

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """For each query one mask; of images equally like it, that of the first."""
        return self._support.masks[similarity(queries, self._support.images).argmax(axis=1)]


def similarity(
    queries: NDArray[np.float32], images: NDArray[np.float32], blur: float = _BLUR
) -> NDArray[np.float32]:
    """Normalised cross-correlation of each query with each image, after a Gaussian blur.

    Args:
        queries: (Q, H, W).
        images: (S, H, W).
        blur: standard deviation in pixels.

    Returns:
        (Q, S) in [-1, 1]; 0 where one of both is constant.
    """
    return _standardised(queries, blur) @ _standardised(images, blur).T


def _standardised(images: NDArray[np.float32], blur: float) -> NDArray[np.float32]:
    """Each image as a row of mean 0 and length 1."""
    from scipy.ndimage import gaussian_filter

    rows = gaussian_filter(images, (0, blur, blur)).reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
