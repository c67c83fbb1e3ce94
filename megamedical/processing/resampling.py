"""The linear steps of the processing, each as a sparse matrix that acts along one axis.

Resampling, padding, blurring and zooming are separable, so along one axis each is a matrix of a few
weights a row. Only the rows of the slices that are kept are ever multiplied, which is where the
speed of this pipeline comes from. Every matrix reproduces a SciPy routine (the tests hold them
to it): `scipy.ndimage.affine_transform` with order 3, `gaussian_filter` and `zoom`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

Weights: TypeAlias = sparse.csr_array

_POLE = np.sqrt(3.0) - 2.0  # of the cubic B-spline's recursive prefilter
_REACH = 9  # |pole|^9 < 1e-5, less than float16 can show
_INSIDE = 1e-6  # voxels; a position this close to the border is not outside


def inside(positions: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    """Which positions, in samples, lie in a signal of `length` samples."""
    return (positions > -_INSIDE) & (positions < length - 1 + _INSIDE)


def cubic(positions: NDArray[np.float64], length: int) -> Weights:
    """Cubic-spline interpolation of `length` samples at `positions` (in samples).

    The signal is mirrored at its ends, as `scipy.ndimage.affine_transform(order=3)` does. Rows of
    positions outside the signal are empty.

    Returns:
        (positions, length) float32 weights; each row inside sums to 1.
    """
    first = np.floor(positions).astype(np.int64)
    fraction = positions - first
    knots = np.arange(-1, 3)
    basis = _cubic_b_spline(fraction[:, None] - knots)
    taps = np.arange(-1 - _REACH, 3 + _REACH)
    distance = np.abs(taps[:, None] - knots)
    prefilter = np.where(distance <= _REACH, np.sqrt(3.0) * _POLE**distance, 0.0)
    weights = basis @ prefilter.T
    weights /= weights.sum(axis=1, keepdims=True)
    columns = _mirror(first[:, None] + taps, length)
    return _rows(weights * inside(positions, length)[:, None], columns, length, np.float32)


def nearest(positions: NDArray[np.float64], length: int) -> Weights:
    """The sample nearest to each position, as a (positions, length) matrix of ones.

    Rows of positions outside the signal are empty.
    """
    columns = np.clip(np.floor(positions + 0.5).astype(np.int64), 0, length - 1)
    return _rows(inside(positions, length)[:, None] * 1.0, columns[:, None], length, np.float64)


@lru_cache(maxsize=64)
def blur_and_zoom(size: int, resolution: int, order: int) -> Weights:
    """Gaussian blur, then zoom from `size` to `resolution` samples (paper.md, Processing 5).

    The blur has sigma = size / resolution / 4 and reflects at the ends; the zoom aligns the corners
    and is linear (`order` 1, images) or takes the nearest sample (`order` 0, masks).

    Returns:
        (resolution, size) float64 weights.
    """
    sigma = 0.25 * size / resolution
    radius = int(4.0 * sigma + 0.5)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1.0
    kernel = ndimage.gaussian_filter1d(impulse, sigma, mode="constant")
    position = np.arange(resolution) * ((size - 1) / (resolution - 1))
    if order == 0:
        centres = np.floor(position + 0.5).astype(np.int64)[:, None]
        shares = np.ones((resolution, 1))
    else:
        lower = np.minimum(np.floor(position).astype(np.int64), max(size - 2, 0))
        centres = np.stack([lower, np.minimum(lower + 1, size - 1)], axis=1)
        shares = np.stack([1.0 - (position - lower), position - lower], axis=1)
    columns = _reflect(centres[:, :, None] + np.arange(-radius, radius + 1), size)
    weights = shares[:, :, None] * kernel
    return _rows(weights.reshape(resolution, -1), columns.reshape(resolution, -1), size, np.float64)


def _cubic_b_spline(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    return np.where(x < 1, 2 / 3 - x**2 + x**3 / 2, np.clip(2 - x, 0, None) ** 3 / 6)


def _mirror(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Fold indices back as d c b | a b c d | c b a."""
    period = max(2 * (length - 1), 1)
    index = np.abs(index) % period
    return np.minimum(index, period - index) if length > 1 else np.zeros_like(index)


def _reflect(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Fold indices back as c b a | a b c | c b a."""
    index = index % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)


def _rows(
    weights: NDArray[np.floating],
    columns: NDArray[np.int64],
    length: int,
    dtype: type[np.floating],
) -> Weights:
    rows = np.broadcast_to(np.arange(len(weights))[:, None], weights.shape)
    matrix = sparse.coo_array(
        (weights.ravel(), (rows.ravel(), columns.ravel())), shape=(len(weights), length)
    ).tocsr()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix.astype(dtype)
