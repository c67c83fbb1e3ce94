"""Numbers in annotations, as points, boxes and ellipses; what they may be is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from universeg.annotations.drawing import Ellipse, Points, Region, Rings

_FARTHEST = 1e7  # pixels


def points_of(said: Any) -> Points:  # noqa: ANN401  (whatever a file has there)
    """Pairs of numbers as points (N, 2); of more than two, the first are x and y.

    Raises:
        ValueError: they are no points.
    """
    try:
        points = np.array([(float(point[0]), float(point[1])) for point in said], dtype=np.float64)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        raise ValueError("holds points that are no pairs of numbers") from None
    return _bounded(points.reshape(-1, 2))


def pairs_of(said: Any) -> Points:  # noqa: ANN401  (whatever a file has there)
    """A list x, y, x, y … as points (N, 2).

    Raises:
        ValueError: it is none.
    """
    if not isinstance(said, Sequence) or isinstance(said, str) or len(said) % 2:
        raise ValueError("holds a polygon that is no list of x and y by turns")
    return points_of(zip(said[::2], said[1::2], strict=True))


def numbers_of(*said: Any) -> list[float]:  # noqa: ANN401  (whatever a file has there)
    """Numbers of pixels.

    Raises:
        ValueError: one is missing, is none, or lies far outside of any picture.
    """
    try:
        found = np.array([float(each) for each in said], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"holds {said!r:.60} where numbers are meant") from None
    numbers: list[float] = _bounded(found).tolist()
    return numbers


def polygon(points: Points) -> Region | None:
    """What points surround; nothing, where they are fewer than three."""
    return Rings([points]) if len(points) > 2 else None


def box(sides: Sequence[float], degrees: float = 0.0) -> Region:
    """A rectangle from its left, top, right and bottom, turned clockwise around its middle."""
    left, top, right, bottom = sides
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if degrees:
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        middle = corners.mean(axis=0)
        corners = (corners - middle) @ turn + middle
    return Rings([corners])


def ellipse(numbers: Sequence[float], radians: float = 0.0) -> Region | None:
    """An ellipse: x and y of its middle, its half axes; nothing, where it has no area."""
    x, y, across, down = numbers
    if across <= 0 or down <= 0:
        return None
    return Ellipse((x, y), (across, down), radians)


def _bounded(numbers: Points) -> Points:
    if not (np.abs(numbers) < _FARTHEST).all():  # nor NaN
        raise ValueError("holds points far outside of any picture")
    return numbers
