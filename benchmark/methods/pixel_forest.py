"""A random forest that labels pixels by filters of several scales around them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.method import About, Method, Support
from universeg.tuning.pixels import SIGMAS

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier


class PixelForest(Method):
    """Learns from pixels of the support, half of them labelled, and labels those of the query."""

    def __init__(
        self,
        *,
        sigmas: Sequence[float] = SIGMAS,
        position: bool = True,
        trees: int = 25,
        pixels: int = 4096,
        cached: int = 256,
    ) -> None:
        """Choose how.

        Args:
            sigmas: scales of the filters, in pixels.
            position: whether row and column are features too.
            trees: of the forest.
            pixels: of the whole support from which it is grown.
            cached: images whose features are kept, 1.5 MiB each at 128 x 128.
        """
        self._trees = trees
        self._pixels = pixels
        self._sigmas = tuple(sigmas)
        self._position = position
        self._features_of = lru_cache(cached)(self._computed)

    @property
    def about(self) -> About:
        """Name, paper, version."""
        return About(
            "pixel-forest",
            follows="ilastik: Berg et al., Nature Methods 2019, DOI 10.1038/s41592-019-0582-9",
            departs=(
                f"{self._trees} trees; scales {', '.join(map(str, self._sigmas))} px"
                f"{', and the position of a pixel' if self._position else ''}; soft masks, of "
                "pixels drawn from dense annotations in place of strokes, and weighted."
            ),
        )

    def fit(self, support: Support, seed: int) -> None:
        """Grow a forest from pixels drawn with a seed."""
        from universeg.tuning.forest import grown

        columns = [self._features(image) for image in support.images]
        self._forest: RandomForestClassifier = grown(
            columns, list(support.masks), seed, self._trees, self._pixels
        )

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The share of the trees' votes for the label."""
        found = np.zeros(queries.shape, dtype=np.float32)
        if 1 in self._forest.classes_:
            for query, votes in zip(queries, found, strict=True):
                shares = self._forest.predict_proba(self._features(query))[:, -1]
                votes[:] = shares.reshape(votes.shape)
        return found

    def _features(self, image: NDArray[np.float32]) -> NDArray[np.float16]:
        return self._features_of(image.tobytes(), image.shape)

    def _computed(self, pixels: bytes, shape: tuple[int, int]) -> NDArray[np.float16]:
        """The features of each pixel of an image, (H * W, F)."""
        from universeg.tuning.pixels import features

        image = np.frombuffer(pixels, dtype=np.float32).reshape(shape)
        return features(image, self._sigmas, self._position)
