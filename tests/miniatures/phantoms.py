"""Subjects whose labels are known: boxes in places of their own, none of them symmetric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import DTypeLike, NDArray

AXES = "xyz"
BACKGROUND, BRIGHT = 40, 300
# Where a box begins and ends in its cell, along x, y and z: no flip or turn leaves it in place.
_SIDES = ((0.05, 0.5), (0.15, 0.75), (0.05, 0.45))


@dataclass(frozen=True, eq=False)
class Drawn:
    """One subject: where each label is, by its value, and what the labels are called.

    Volumes are (X, Y, Z), to the patient's left, back and head; pictures are (H, W).
    """

    masks: Mapping[int, NDArray[np.bool_]]
    names: Mapping[int, str]

    @property
    def shape(self) -> tuple[int, ...]:
        return next(iter(self.masks.values())).shape

    def values(self, dtype: DTypeLike = np.uint8) -> NDArray:
        """One value a voxel; of labels that overlap, the last."""
        values = np.zeros(self.shape, dtype=dtype)
        for value, mask in self.masks.items():
            values[mask] = value
        return values

    def image(self, dtype: DTypeLike = np.int16, scale: float = 1.0) -> NDArray:
        """Dark, with every label bright, and a little noise."""
        rng = np.random.default_rng(0)
        image = BACKGROUND + rng.integers(0, 9, self.shape)
        for value, mask in self.masks.items():
            image[mask] = BRIGHT + value % 7
        return (image * scale).astype(dtype)

    def picture(self) -> NDArray[np.uint8]:
        """The image in colours, (H, W, 3)."""
        grey = self.image(scale=0.6)
        return np.stack([grey, grey - 10, grey + 20], axis=-1).astype(np.uint8)

    def mask_of(self, name: str) -> NDArray[np.bool_]:
        """Where a label is, which may have several values."""
        return np.any([m for value, m in self.masks.items() if self.names[value] == name], axis=0)


class Phantom:
    """Draws subjects that all have the same labels, each a little further along.

    Args:
        labels: names, of which the n-th has the value n, in one text with commas or one by one; or
            names by value.
        shape: (X, Y, Z) or (H, W).
    """

    def __init__(
        self, labels: Mapping[int, str] | Iterable[str] | str, shape: tuple[int, ...] = (26, 26, 26)
    ) -> None:
        if isinstance(labels, str):
            labels = labels.split(", ")
        is_named = isinstance(labels, Mapping)
        self._names = dict(labels) if is_named else dict(enumerate(labels, start=1))
        self._shape = shape

    def draw(self, number: int = 0, lacking: Iterable[int] = ()) -> Drawn:
        """The subject of a number, without some labels."""
        cells = ceil(len(self._names) ** (1 / len(self._shape)) - 1e-9)
        shift = number % 3
        lacking = set(lacking)
        masks = {}
        for place, value in enumerate(self._names):
            if value not in lacking:
                masks[value] = self._box(
                    np.unravel_index(place, (cells,) * len(self._shape)), cells
                )
                masks[value] = np.roll(masks[value], shift, axis=0)
        return Drawn(masks, self._names)

    def _box(self, cell: tuple[np.intp, ...], cells: int) -> NDArray[np.bool_]:
        mask = np.zeros(self._shape, dtype=np.bool_)
        sides = []
        for position, length, (first, end) in zip(cell, self._shape, _SIDES, strict=False):
            width = (length - 3) / cells
            start = round((position + first) * width)
            sides.append(slice(start, max(round((position + end) * width), start + 2)))
        mask[tuple(sides)] = True
        return mask
