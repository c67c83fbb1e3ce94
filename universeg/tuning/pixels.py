"""Filters of several scales around each pixel, as ilastik has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SIGMAS = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)  # pixels


def features(
    image: NDArray[np.float32], sigmas: Sequence[float] = SIGMAS, position: bool = True
) -> NDArray[np.float16]:
    """What a forest sees of each pixel of an image (H, W): (H * W, F)."""
    maps = [image, *(each for sigma in sigmas for each in filtered(image, sigma))]
    if position:
        maps += list(np.indices(image.shape) / max(image.shape))
    return np.stack(maps, axis=-1, dtype=np.float16, casting="same_kind").reshape(-1, len(maps))


def filtered(image: NDArray[np.float32], sigma: float) -> Iterator[NDArray[np.float32]]:
    """What ilastik calls colour, edge and texture features of an image (H, W) at one scale.

    Derivatives are multiplied by the scale once for each order, that they may be compared.

    Yields:
        (H, W): the Gaussian, its gradient magnitude and Laplacian, the larger and the smaller
        eigenvalue of its Hessian, and the square roots of those of the structure tensor.
    """
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(image, sigma)
    down, right = (sigma * along for along in np.gradient(smooth))
    (down_down, down_right), right_right = np.gradient(down), np.gradient(right, axis=1)
    yield smooth
    yield np.hypot(down, right)
    yield sigma * (down_down + right_right)
    yield from (sigma * each for each in _eigenvalues(down_down, down_right, right_right))
    tensor = (
        gaussian_filter(product, sigma / 2)
        for product in (down * down, down * right, right * right)
    )
    yield from (np.sqrt(np.maximum(each, 0)) for each in _eigenvalues(*tensor))


def _eigenvalues(
    a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the matrices ((a, b), (b, c)), the larger ones and the smaller ones."""
    mean = (a + c) / np.float32(2)
    apart: NDArray[np.float32] = np.hypot((a - c) / np.float32(2), b)
    return mean + apart, mean - apart
