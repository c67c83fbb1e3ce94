"""Closed lines that were drawn around structures, as text files of points, and what lies inside."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.text_tables import read_text

_MOST = 1 << 16  # points
_FARTHEST = 1 << 20  # pixels
_BETWEEN = re.compile(r"[\s,;]+")


def read_contour(path: Path) -> NDArray[np.float64]:
    """The points (N, 2) of a closed line, x and y in pixels; the last is joined to the first.

    Raises:
        SubjectError: the file is no text, a line of it is no point, or there are fewer than three.
    """
    points: list[tuple[float, float]] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        if len(points) == _MOST:
            raise SubjectError("decode", path.name, f"has more than {_MOST:,} points")
        points.append(_point(line, number, path))
    if len(points) < 3:
        raise SubjectError("decode", path.name, f"has {len(points)} points: they enclose nothing")
    return np.array(points)


def inside(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels (H, W) have their centre inside a closed line; the first one's is (0, 0).

    A centre on the line is inside where the line is left of it or above, so that two structures
    that share a line share no pixel. Where the line crosses itself, what it surrounds twice is
    outside.
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), dtype=np.int32)
    for (x, y), (to_x, to_y) in zip(points, np.roll(points, -1, axis=0), strict=True):
        first, end = (int(np.clip(np.ceil(each), 0, height)) for each in sorted((y, to_y)))
        rows = np.arange(first, end)
        if rows.size:
            columns = np.ceil(x + (rows - y) * (to_x - x) / (to_y - y))
            crossings[rows, np.clip(columns, 0, width).astype(np.intp)] += 1
    return crossings[:, :width].cumsum(axis=1) % 2 == 1


def _point(line: str, number: int, path: Path) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in _BETWEEN.split(line.strip()))
    except ValueError:
        shown = line.strip()[:40]
        raise SubjectError(
            "decode", path.name, f"line {number} is no point, two numbers, but {shown!r}"
        ) from None
    if not (abs(x) < _FARTHEST and abs(y) < _FARTHEST):
        raise SubjectError("decode", path.name, f"line {number} is a point far away: {x:g} {y:g}")
    return x, y
