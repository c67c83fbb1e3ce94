"""Whether a slice looks like those that are labelled, in what a glance would see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from megamedical.spread import spread
from universeg.tuning.finder import Maps
from universeg.tuning.support import Support

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST = 256  # planes that are looked at
_TILES = 4  # of a side, whose mean grey values tell where it is bright
_FEWEST = 4  # scans that tell how different two of a kind may be
_UNKNOWN = 12.0  # scans; so many times the usual most, shared by all, is not far yet


class Likeness:
    """The looks of labelled slices, and how far apart those of one kind may be."""

    def __init__(self, images: Maps, scans: Sequence[int]) -> None:
        """Look at images (N, H, W) in [0, 1], and the scan that each is of."""
        looks = np.stack([_looks(image) for image in images])
        self._usual = looks.mean(axis=0)
        self._spread = np.maximum(looks.std(axis=0), 0.02)
        self._looks = (looks - self._usual) / self._spread
        own = np.array(scans)
        count = len(set(scans))
        self._far = 1 + _UNKNOWN / count
        self._reach: float | None = None
        if count >= _FEWEST:
            apart = _apart(self._looks, self._looks)
            apart[own[:, None] == own[None, :]] = np.inf
            self._reach = float(apart.min(axis=1).max())

    @classmethod
    def of(cls, support: Support) -> Likeness:
        """The looks of planes of a support that show a label, spread over them."""
        planes = spread(support.planes, _MOST)
        return cls(support.images(planes), [example for example, _ in planes])

    def distance(self, queries: Maps) -> float:
        """How far the nearest of queries (Q, H, W) of one scan is from all, 1 being the usual most.

        Nothing where too few are labelled to tell.
        """
        if not self._reach or not len(queries):
            return 0.0
        looks = (np.stack([_looks(query) for query in queries]) - self._usual) / self._spread
        return float(_apart(looks, self._looks).min() / self._reach)

    def is_unlike(self, queries: Maps) -> bool:
        """Whether queries of one scan look like none of the labelled slices."""
        return self.distance(queries) > self._far


def _looks(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Grey values, how sharply they change, and where it is bright."""
    down, right = np.gradient(image)
    slope = np.hypot(down, right)
    side = image.shape[0] // _TILES * _TILES
    tiles = image[:side, :side].reshape(_TILES, side // _TILES, _TILES, -1).mean(axis=(1, 3))
    return np.array(
        [
            *np.quantile(image, _QUANTILES),
            image.std(),
            (image < 0.01).mean(),
            10 * slope.mean(),
            10 * np.quantile(slope, 0.9),
            *tiles.ravel(),
        ]
    )


def _apart(some: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances (n, m) of looks (n, F) and (m, F)."""
    difference = some[:, None] - others[None]
    return np.sqrt((difference**2).mean(axis=-1))
