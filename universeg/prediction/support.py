"""The labelled examples that a prediction is made from, and which of them it sees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import MegaMedicalError

Pick = tuple[int, int]  # an example, and one of its planes


class SupportError(MegaMedicalError):
    """The labelled examples cannot be used as they are."""


@dataclass(frozen=True, eq=False)
class Example:
    """One labelled scan as the network sees it; a picture has one plane.

    `images` is (N, 128, 128); `masks` has as much for each label value that occurs. Both are in
    [0, 1] and in float16, as in a store.
    """

    images: NDArray[np.float16]
    masks: Mapping[int, NDArray[np.float16]]


@dataclass(frozen=True, eq=False)
class Support:
    """All labelled examples; `labels` gives each value in their masks its name.

    For each label a draw takes `size` planes of the examples that show it, as many of each example
    as of any other. Of a volume these are the planes nearest to the query's relative position.
    """

    examples: Sequence[Example]
    labels: Mapping[int, str]
    size: int
    seed: int

    def has_choice(self) -> bool:
        """Whether two draws can differ."""
        return any(len(self._showing(label)) > self.size for label in self.labels)

    def shared(
        self, label: int, draw: int, positions: Sequence[float]
    ) -> Mapping[tuple[Pick, ...], list[int]]:
        """What each query is shown for a label: the picks, and the queries that share them.

        `positions` holds the relative position of each query in its scan, from 0 to 1.
        """
        queries = defaultdict(list)
        drawn = self._drawn(label, draw)
        for query, position in enumerate(positions):
            picks = (
                (example, plane)
                for example, share in drawn.items()
                for plane in _nearest(position, len(self.examples[example].images), share)
            )
            queries[tuple(picks)].append(query)
        return queries

    def shown(
        self, picks: Sequence[Pick], label: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The images and the masks of a label that were picked, each (S, 128, 128) float32."""
        images = [self.examples[example].images[plane] for example, plane in picks]
        masks = [self.examples[example].masks[label][plane] for example, plane in picks]
        return np.stack(images).astype(np.float32), np.stack(masks).astype(np.float32)

    def _drawn(self, label: int, draw: int) -> dict[int, int]:
        """The examples of one draw, and how many planes of each."""
        rng = np.random.default_rng((self.seed, draw, label))
        drawn = sorted(rng.permutation(self._showing(label))[: self.size].tolist())
        each, over = divmod(self.size, len(drawn))
        return {example: each + (rank < over) for rank, example in enumerate(drawn)}

    def _showing(self, label: int) -> list[int]:
        return [n for n, example in enumerate(self.examples) if label in example.masks]


def _nearest(position: float, planes: int, count: int) -> list[int]:
    """Of so many planes those nearest to a relative position, in their order."""
    distance = np.abs((np.arange(planes) + 0.5) / planes - position)
    return sorted(np.argsort(distance, kind="stable")[:count].tolist())
