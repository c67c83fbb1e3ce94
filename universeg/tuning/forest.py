"""A random forest on pixels of labelled slices, with a network's map beside the filters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from universeg.tuning.finder import ABSENT, Finder, Maps, logit, sigmoid
from universeg.tuning.pixels import SIGMAS, features

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

_SMOOTHED = (1.5, 4.0, 9.0)  # pixels; scales at which a map is seen beside the map itself


def grown(
    columns: Sequence[NDArray[np.float16]],
    masks: Sequence[NDArray[np.float32]],
    seed: int,
    trees: int = 25,
    pixels: int = 4096,
) -> RandomForestClassifier:
    """A forest grown from pixels drawn with a seed.

    Of each image as many are drawn inside of the mask as outside. One that stands for n counts
    as √n: halfway between a balanced sample, which finds too much, and a faithful one, which
    finds too little.

    Args:
        columns: what is seen of the pixels of each image, (H * W, F).
        masks: of each image, soft, of H * W pixels.
        seed: of the draws.
        trees: of the forest.
        pixels: of all images together.
    """
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(seed)
    each = max(1, pixels // (2 * len(masks)))
    seen, soft, stood_for = [], [], []
    for own, mask in zip(columns, masks, strict=True):
        for inside in (np.flatnonzero(mask > 0.5), np.flatnonzero(mask <= 0.5)):
            drawn = rng.permutation(inside)[:each]
            seen.append(own[drawn])
            soft.append(mask.ravel()[drawn])
            stood_for.append(np.full(len(drawn), len(inside) / max(len(drawn), 1)))
    labelled, weights = np.concatenate(soft), np.sqrt(np.concatenate(stood_for))
    weights = np.concatenate([weights * labelled, weights * (1 - labelled)])
    labels = np.repeat([1, 0], len(labelled))
    counted = weights > 0
    forest = RandomForestClassifier(trees, min_samples_leaf=2, random_state=seed)
    forest.fit(np.concatenate([*seen, *seen])[counted], labels[counted], weights[counted])
    return forest


class Forest:
    """One forest a label, that sees filters of the image and the map of another finder."""

    def __init__(
        self, images: Maps, masks: Maps, maps: Maps, given: Finder, seed: int, trees: int = 25
    ) -> None:
        """Grow it.

        Args:
            images: (N, H, W).
            masks: (N, L, H, W).
            maps: the logits of the given finder, (N, L, H, W), each found without its own slice.
            given: the finder whose map it sees of a query.
            seed: of what is drawn.
            trees: of each forest.
        """
        self._given = given
        filters = [features(image, SIGMAS) for image in images]
        self._forests = [
            grown(
                [
                    np.concatenate([own, _of_map(found[label])], axis=1)
                    for own, found in zip(filters, maps, strict=True)
                ],
                list(masks[:, label]),
                seed,
                trees,
                pixels=min(16384, max(4096, 512 * len(images))),
            )
            for label in range(masks.shape[1])
        ]

    def logits(self, queries: Maps, positions: Sequence[float] | None = None) -> Maps:
        """See `Finder`."""
        return self.add_to(queries, self._given.logits(queries, positions))

    def add_to(self, queries: Maps, given: Maps) -> Maps:
        """The logits of queries (Q, H, W) of which the given finder's, (Q, L, H, W), are known."""
        found = np.full(given.shape, ABSENT, dtype=np.float32)
        for query, maps, logits in zip(queries, given, found, strict=True):
            filters = features(query, SIGMAS)
            for own, forest, out in zip(maps, self._forests, logits, strict=True):
                if 1 in forest.classes_:
                    columns = np.concatenate([filters, _of_map(own)], axis=1)
                    shares = forest.predict_proba(columns)[:, -1].astype(np.float32)
                    out[:] = logit(shares.reshape(out.shape))
        return found


def _of_map(logits: NDArray[np.float32]) -> NDArray[np.float16]:
    """A map of logits (H, W) as columns: its probabilities, and those smoothed."""
    from scipy.ndimage import gaussian_filter

    probabilities = sigmoid(logits)
    maps = [probabilities, *(gaussian_filter(probabilities, sigma) for sigma in _SMOOTHED)]
    return np.stack(maps, axis=-1, dtype=np.float16, casting="same_kind").reshape(-1, len(maps))
