"""The labelled examples that a prediction is made from, and which of them it sees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

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

    @classmethod
    def of_pictures(
        cls,
        images: NDArray[np.float32],
        masks: NDArray[np.float32],
        size: int = 64,
        seed: int = 0,
    ) -> Self:
        """A support of one label, from pictures (S, H, W) in [0, 1] and their soft masks."""
        pairs = zip(images.astype(np.float16), masks.astype(np.float16), strict=True)
        examples = [Example(image[None], {1: mask[None]}) for image, mask in pairs]
        return cls(examples, {1: "label 1"}, size, seed)

    @cached_property
    def planes(self) -> Sequence[Pick]:
        """All planes of all examples that show a label that is meant."""
        return [
            (number, plane)
            for number, example in enumerate(self.examples)
            for plane in range(len(example.images))
            if any(example.masks[label][plane].any() for label in self.labels_of(number))
        ]

    @property
    def scans(self) -> Sequence[int]:
        """The examples that show a label that is meant."""
        return [number for number in range(len(self.examples)) if self.labels_of(number)]

    def planes_of(self, label: int) -> Sequence[Pick]:
        """All planes of all examples that show a label."""
        return [
            (number, plane)
            for number in self._showing(label)
            for plane, mask in enumerate(self.examples[number].masks[label])
            if mask.any()
        ]

    def near(self, position: float, examples: Sequence[int], count: int) -> list[Pick]:
        """So many planes of some examples, as many of each as of any other, near a position."""
        each, over = divmod(count, max(1, len(examples)))
        return [
            (example, plane)
            for rank, example in enumerate(examples)
            for plane in _nearest(
                position, len(self.examples[example].images), each + (rank < over)
            )
        ]

    def labels_of(self, example: int) -> list[int]:
        """The labels that are meant and that an example shows."""
        return [label for label in self.labels if label in self.examples[example].masks]

    def position(self, pick: Pick) -> float:
        """Where a plane lies in its scan, from 0 to 1."""
        example, plane = pick
        return (plane + 0.5) / len(self.examples[example].images)

    def images(self, picks: Sequence[Pick]) -> NDArray[np.float32]:
        """The images of planes, (N, H, W)."""
        chosen = [self.examples[example].images[plane] for example, plane in picks]
        return np.stack(chosen).astype(np.float32)

    def masks(self, picks: Sequence[Pick]) -> NDArray[np.float32]:
        """The masks of planes, one a label: (N, L, H, W)."""
        size = self.examples[0].images.shape[-2:]
        masks = np.zeros((len(picks), len(self.labels), *size), dtype=np.float32)
        for number, (example, plane) in enumerate(picks):
            for channel, label in enumerate(self.labels):
                if label in self.examples[example].masks:
                    masks[number, channel] = self.examples[example].masks[label][plane]
        return masks

    def has_choice(self) -> bool:
        """Whether two draws can differ."""
        return any(len(self._showing(label)) > self.size for label in self.labels)

    def shared(
        self,
        label: int,
        draw: int,
        positions: Sequence[float],
        without: Collection[int] = (),
        size: int | None = None,
    ) -> Mapping[tuple[Pick, ...], list[int]]:
        """What each query is shown for a label: the picks, and the queries that share them.

        `positions` holds the relative position of each query in its scan, from 0 to 1. Examples may
        be left out, and fewer or more be shown than `size`. None are shown where none are left.
        """
        queries = defaultdict(list)
        drawn = self._drawn(label, draw, without, size or self.size)
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

    def _drawn(self, label: int, draw: int, without: Collection[int], size: int) -> dict[int, int]:
        """The examples of one draw, and how many planes of each."""
        rng = np.random.default_rng((self.seed, draw, label))
        others = [example for example in self._showing(label) if example not in without]
        drawn = sorted(rng.permutation(others)[:size].tolist())
        each, over = divmod(size, max(1, len(drawn)))
        return {example: each + (rank < over) for rank, example in enumerate(drawn)}

    def _showing(self, label: int) -> list[int]:
        return [n for n, example in enumerate(self.examples) if label in example.masks]


def _nearest(position: float, planes: int, count: int) -> list[int]:
    """Of so many planes those nearest to a relative position, in their order."""
    distance = np.abs((np.arange(planes) + 0.5) / planes - position)
    return sorted(np.argsort(distance, kind="stable")[:count].tolist())
