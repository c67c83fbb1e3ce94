"""Which intensities of a scan become 0 and 1 (paper.md, Processing 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import Intensity
from megamedical.errors import SubjectError
from megamedical.processing.grid import Axis
from megamedical.processing.resampling import Weights
from megamedical.reading.scan import Scan

_CACHED = 1 << 16  # float32 values that stay in a core's own cache
_NOTHING_POSITIVE = (
    "no voxel is above zero, and percentiles are of such voxels: give none, or a window"
)
_WHOLE = 1 << 24  # up to here float32 has all whole numbers
_LEVELS = 256  # of grey that are told apart at least
_STRIP = 8  # rows on each side
_BINS = 1 << 20  # of the histogram that stands in for sorting a resampled volume


@dataclass(frozen=True)
class Range:
    """The intensities that become 0 and 1; what lies outside is clipped."""

    low: float
    high: float

    def scale(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clip and scale to [0, 1], in place."""
        np.clip(values, self.low, self.high, out=values)
        values -= np.float32(self.low)
        values /= np.float32(self.high - self.low)
        return values


def intensity_range(scan: Scan, axes: Sequence[Axis], rule: Intensity | None) -> Range:
    """The range of a scan on its standard grid, after the clip its group asks for.

    Raises:
        SubjectError: a voxel is not a number, or all have the same value, or values that float32
            does not tell apart.
    """
    found = _range_of(scan, axes, rule)
    _expect_told_apart(found, scan.voxels.dtype)
    return found


def _range_of(scan: Scan, axes: Sequence[Axis], rule: Intensity | None) -> Range:
    voxels = scan.voxels
    _expect_finite(voxels)
    _expect_varied(voxels)
    keeps_voxels = all(axis.keeps_voxels for axis in axes)
    if rule and rule.percentiles:
        return _within_percentiles(voxels, None if keeps_voxels else axes, rule.percentiles)
    window = Range(*rule.window) if rule and rule.window else None
    if keeps_voxels:
        reached = Range(float(voxels.min()), float(voxels.max()))
    else:
        reached = _extremes(voxels, axes, window)
    return _clipped(reached, window) if window else reached


def _expect_finite(voxels: NDArray[Any]) -> None:
    if voxels.dtype.kind == "f" and not np.isfinite(voxels.sum(dtype=np.float64)):
        count = int(np.count_nonzero(~np.isfinite(voxels)))
        raise SubjectError(
            "standardise",
            "",
            f"{count} voxels are NaN or infinite: give them the intensity of the background",
        )


def _expect_varied(voxels: NDArray[Any]) -> None:
    """Refuse voxels that are all the same; the first that differs ends the search."""
    value = voxels.flat[0]
    if all((part == value).all() for part in voxels):
        raise SubjectError(
            "standardise",
            "",
            f"the image is constant: every voxel is {float(value):g}; leave it out, or export it "
            "again",
        )


def _within_percentiles(
    voxels: NDArray[Any], axes: Sequence[Axis] | None, percentiles: tuple[float, float]
) -> Range:
    """The range between two percentiles of voxels above zero, on a grid of its own or theirs."""
    if axes is None:
        clip = _percentiles(voxels, percentiles)
    else:
        clip = _resampled_percentiles(voxels, axes, percentiles)
    if clip.low == clip.high:
        raise SubjectError(
            "standardise",
            "",
            f"the image is constant within its percentiles: {clip.low:g}; give percentiles "
            "further apart, or none",
        )
    return clip


def _clipped(reached: Range, window: Range) -> Range:
    """What a scan reaches of a window."""
    clip = Range(max(reached.low, window.low), min(reached.high, window.high))
    if clip.low >= clip.high:
        raise SubjectError(
            "standardise",
            "",
            f"no voxel lies in the window {window.low:g} to {window.high:g}: intensities are "
            f"{reached.low:g} to {reached.high:g}; give a window among these, or none",
        )
    return clip


def _expect_told_apart(found: Range, kind: np.dtype[Any]) -> None:
    """Refuse a range of which float32, in which slices are made, has next to no values or none."""
    largest = max(abs(found.low), abs(found.high))
    is_exact = largest <= _WHOLE if kind.kind in "biu" else kind.itemsize <= 4
    with np.errstate(all="ignore"):  # there is no step where there is no such value
        step = float(np.spacing(np.float32(largest)))
    if not is_exact and not found.high - found.low >= _LEVELS * step:
        raise SubjectError(
            "standardise",
            "",
            f"its intensities, {found.low:.9g} to {found.high:.9g}, are too large or too close to "
            "each other for single precision: take an offset off, or divide them",
        )


def standard_planes(
    voxels: NDArray[Any], axes: Sequence[Axis], axis: int, points: NDArray[np.integer]
) -> Iterator[NDArray[np.float32]]:
    """Planes of a volume on its standard grid, at some points along one axis, one by one.

    Yields:
        (rows, columns) float32, the other two axes in their order. What lies outside the scan is
        -inf, so that the clip makes it 0.
    """
    along, rows, columns = (axes[axis], *(a for i, a in enumerate(axes) if i != axis))
    for point, plane in zip(
        points, _between_planes(voxels, axis, along.resample[points]), strict=True
    ):
        resampled = _both_ways(rows, plane, columns)
        if along.outside[point]:
            resampled[:] = -np.inf
        resampled[rows.outside] = -np.inf
        resampled[:, columns.outside] = -np.inf
        yield resampled


def _both_ways(rows: Axis, plane: NDArray[np.float32], columns: Axis) -> NDArray[np.float32]:
    """Resample both axes of a plane, the one that shrinks most first."""
    if rows.growth > columns.growth:
        return _both_ways(columns, plane.T, rows).T
    return (columns.resample @ (rows.resample @ plane).T).T


def _between_planes(voxels: NDArray[Any], axis: int, weights: Weights) -> NDArray[np.float32]:
    """Weighted sums of the planes along one axis: (sums, rows, columns) float32."""
    native = np.moveaxis(voxels, axis, 0)
    shape = (weights.shape[0], *native.shape[1:])
    if not weights.nnz:  # every sum lies outside the scan
        return np.zeros(shape, dtype=np.float32)
    planes = np.empty(shape, dtype=np.float32)
    slab = slice(int(weights.indices.min()), int(weights.indices.max()) + 1)
    weights, native = weights[:, slab], native[slab]
    at_once = max(_CACHED // (native.shape[0] * native.shape[2]), 1)
    for start in range(0, native.shape[1], at_once):
        rows = slice(start, start + at_once)
        lines = native[:, rows].astype(np.float32)  # in the order of memory, which is fastest
        planes[:, rows] = (weights @ lines.reshape(len(lines), -1)).reshape(planes[:, rows].shape)
    return planes


def _planes(voxels: NDArray[Any], axes: Sequence[Axis]) -> Iterator[NDArray[np.float32]]:
    """The planes of a resampled volume, which is never whole in memory."""
    points = np.arange(len(axes[0].positions))
    for block in np.array_split(points, max(len(points) // 8, 1)):
        yield from standard_planes(voxels, axes, 0, block)


def _brightest_strip(voxels: NDArray[Any], axes: Sequence[Axis]) -> NDArray[np.float32]:
    """Some rows of the middle plane of a resampled volume, around the brightest of its voxels.

    More often than not it has bone and air, and so tells alone that a scan fills its window.
    """
    along, rows, columns = axes
    middle = len(along.positions) // 2
    native = voxels[round(float(np.clip(along.positions[middle], 0, along.voxels - 1)))]
    brightest = int(native.argmax()) // native.shape[1]
    nearest = int(np.abs(rows.positions - brightest).argmin())
    points = slice(max(nearest - _STRIP, 0), nearest + _STRIP)
    weights = rows.resample[points]
    if along.outside[middle] or not weights.nnz:
        return np.empty((0, 0), np.float32)
    used = slice(int(weights.indices.min()), int(weights.indices.max()) + 1)
    (plane,) = _between_planes(voxels[:, used], 0, along.resample[[middle]])
    strip = (columns.resample @ (weights[:, used] @ plane).T).T
    return strip[~rows.outside[points]][:, ~columns.outside]


def _extremes(voxels: NDArray[Any], axes: Sequence[Axis], window: Range | None) -> Range:
    """The lowest and the highest of the resampled voxels, or two on both sides of a window."""
    low, high = np.inf, -np.inf
    strips = [_brightest_strip(voxels, axes)] if window else []
    for plane in chain(strips, _planes(voxels, axes)):
        within = plane[np.isfinite(plane)]
        low = min(low, float(within.min(initial=np.inf)))
        high = max(high, float(within.max(initial=-np.inf)))
        if window and low <= window.low and high >= window.high:
            break
    return Range(low, high)


def _percentiles(voxels: NDArray[Any], percentiles: tuple[float, float]) -> Range:
    positive = voxels[voxels > 0]
    if not positive.size:
        raise SubjectError("standardise", "", _NOTHING_POSITIVE)
    low, high = np.percentile(positive, percentiles, overwrite_input=True)
    return Range(float(low), float(high))


def _resampled_percentiles(
    voxels: NDArray[Any], axes: Sequence[Axis], percentiles: tuple[float, float]
) -> Range:
    """Percentiles of the resampled voxels above zero, to a 500,000th of the highest."""
    high = float(voxels.max())
    if high <= 0:
        raise SubjectError("standardise", "", _NOTHING_POSITIVE)
    width = 2 * high / _BINS  # the spline overshoots, but not by as much as that
    counts = np.zeros(_BINS, dtype=np.int64)
    for plane in _planes(voxels, axes):
        positive = plane[plane > 0]
        bins = np.minimum(positive / np.float32(width), np.float32(_BINS - 1)).astype(np.int32)
        counts += np.bincount(bins, minlength=_BINS)
    below = np.cumsum(counts)
    ranks = np.asarray(percentiles) / 100 * (below[-1] - 1)
    whole = np.floor(ranks)
    at, after = ((np.searchsorted(below, whole + n, side="right") + 0.5) * width for n in (0, 1))
    low, high = at + (ranks - whole) * (after - at)
    return Range(float(low), float(high))
