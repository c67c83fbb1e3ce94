"""A random forest that labels pixels by filters of several scales around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.method import About, Method, Support

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

_SIGMAS = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)


class PixelForest(Method):
    """Learns from pixels of the support, half of them labelled, and labels those of the query."""

    def __init__(
        self,
        *,
        sigmas: Sequence[float] = _SIGMAS,
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
        """Grow a forest from pixels drawn with a seed.

        Of each image as many are drawn inside of the mask as outside. One that stands for n counts
        as √n: halfway between a balanced sample, which finds too much, and a faithful one, which
        finds too little.
        """
        from sklearn.ensemble import RandomForestClassifier

        rng = np.random.default_rng(seed)
        each = max(1, self._pixels // (2 * len(support.masks)))
        features, soft, stood_for = [], [], []
        for image, mask in zip(support.images, support.masks, strict=True):
            for pixels in (np.flatnonzero(mask > 0.5), np.flatnonzero(mask <= 0.5)):
                drawn = rng.permutation(pixels)[:each]
                features.append(self._features(image)[drawn])
                soft.append(mask.ravel()[drawn])
                stood_for.append(np.full(len(drawn), len(pixels) / max(len(drawn), 1)))
        labelled, weights = np.concatenate(soft), np.sqrt(np.concatenate(stood_for))
        weights = np.concatenate([weights * labelled, weights * (1 - labelled)])
        labels = np.repeat([1, 0], len(labelled))
        counted = weights > 0
        self._forest: RandomForestClassifier = RandomForestClassifier(
            self._trees, min_samples_leaf=2, random_state=seed
        )
        self._forest.fit(
            np.concatenate([*features, *features])[counted], labels[counted], weights[counted]
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
        image = np.frombuffer(pixels, dtype=np.float32).reshape(shape)
        maps = [image, *(each for sigma in self._sigmas for each in filtered(image, sigma))]
        if self._position:
            maps += list(np.indices(shape) / max(shape))
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
