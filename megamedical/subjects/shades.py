"""Shades of grey, as smoothing leaves them at the edges of what was drawn: no labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 3  # shades


def shades_of(mask: NDArray[Any]) -> set[int]:
    """Those values above 0 of a mask that are shades; none where they are few beside the others.

    Shades lie scattered, or in lines of one pixel: of most of a shade's pixels, none along one axis
    or none along the other is like it. A few labels may look so too. Hence values are taken for
    shades only where they are three or more, and more than all others.
    """
    values, counts = np.unique(mask[mask > 0], return_counts=True)
    if len(values) < FEWEST:
        return set()
    found, thin = np.unique(mask[(mask > 0) & ~_lies_in_area(mask)], return_counts=True)
    grey = found[2 * thin > counts[np.searchsorted(values, found)]]
    return {*grey.tolist()} if FEWEST <= len(grey) > len(values) / 2 else set()


def _lies_in_area(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a pixel has neighbours like itself along two axes or more."""
    axes = np.zeros(mask.shape, dtype=np.uint8)
    for axis in range(mask.ndim):
        lines = np.moveaxis(mask, axis, 0)
        is_like_the_next = lines[1:] == lines[:-1]
        is_alike = np.zeros(lines.shape, dtype=bool)
        is_alike[:-1] = is_like_the_next
        is_alike[1:] |= is_like_the_next
        axes += np.moveaxis(is_alike, 0, axis)
    return axes >= 2
