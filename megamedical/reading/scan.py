"""A scan and its annotation in memory, as the readers give them and the slicing takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Scan:
    """An image as it was read, its axes in canonical order.

    `voxels` is (Z, Y, X) for a volume, with Z to the head, Y to the back and X to the patient's
    left (LPS), or (H, W) for a picture, in the file's own type. `spacing` is in mm in the order of
    the axes (1 for a picture), `orientation` says how the file had its axes, e.g. `RAS`.
    """

    voxels: NDArray[Any]
    spacing: tuple[float, ...]
    orientation: str = ""


class Segmentation(Protocol):
    """Which voxels carry which label; labels may overlap."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the grid, which is that of the scan."""
        ...

    def boxes(self) -> Mapping[str, Box]:
        """The smallest box around each label that occurs, by name, in the manifest's order."""
        ...

    def mask(self, label: str, box: Box) -> NDArray[np.bool_]:
        """Where the label is, inside a box."""
        ...


class LabelMap:
    """One integer per voxel; each label is one value or several."""

    def __init__(self, values: NDArray[Any], labels: Mapping[str, tuple[int, ...]]) -> None:
        self._values = values
        self._labels = labels

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Segmentation`."""
        return self._values.shape

    def boxes(self) -> Mapping[str, Box]:
        """See `Segmentation`."""
        return self._boxes

    @cached_property
    def _boxes(self) -> dict[str, Box]:
        highest = max(value for values in self._labels.values() for value in values)
        foreground = _box_of(self._values)
        if foreground is None:
            return {}
        found = _box_of_each(self._values[foreground], highest)
        boxes = {}
        for label, values in self._labels.items():
            present = [box for value in values if (box := found[value - 1]) is not None]
            if present:
                boxes[label] = _shifted(_around(present), foreground)
        return boxes

    def mask(self, label: str, box: Box) -> NDArray[np.bool_]:
        """See `Segmentation`."""
        values = self._labels[label]
        inside = self._values[box]
        return inside == values[0] if len(values) == 1 else np.isin(inside, values)


class Layers:
    """One boolean array per label, of which no more than its box is kept; labels may overlap."""

    def __init__(
        self, layers: Mapping[str, NDArray[np.bool_]] | Iterable[tuple[str, NDArray[np.bool_]]]
    ) -> None:
        self._shape: tuple[int, ...] = ()
        self._inside: dict[str, tuple[Box, NDArray[np.bool_]]] = {}
        for label, layer in layers.items() if isinstance(layers, Mapping) else layers:
            self._shape = layer.shape
            box = _box_of(layer)
            if box is not None:
                self._inside[label] = box, layer[box].copy()

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Segmentation`."""
        return self._shape

    def boxes(self) -> Mapping[str, Box]:
        """See `Segmentation`."""
        return {label: box for label, (box, _) in self._inside.items()}

    def mask(self, label: str, box: Box) -> NDArray[np.bool_]:
        """See `Segmentation`."""
        own, layer = self._inside[label]
        sides = [
            range(*side.indices(length)) for side, length in zip(box, self._shape, strict=True)
        ]
        mask = np.zeros([len(side) for side in sides], dtype=np.bool_)
        here, there = [], []
        for side, occupied in zip(sides, own, strict=True):
            first, end = max(side.start, occupied.start), min(side.stop, occupied.stop)
            here.append(slice(first - side.start, max(end - side.start, 0)))
            there.append(slice(first - occupied.start, max(end - occupied.start, 0)))
        mask[tuple(here)] = layer[tuple(there)]
        return mask


def _box_of(values: NDArray[Any]) -> Box | None:
    """The smallest box around all that is not zero: each axis is looked at within those before."""
    everything = set(range(values.ndim))
    box: Box = ()
    for axis in range(values.ndim):
        occupied = np.flatnonzero(values[box].any(axis=tuple(everything - {axis})))
        if not occupied.size:
            return None
        box += (slice(int(occupied[0]), int(occupied[-1]) + 1),)
    return box


def _box_of_each(values: NDArray[Any], highest: int) -> list[Box | None]:
    """The smallest box around each value from 1 to the highest, as `ndimage.find_objects` has it.

    Values that are bits of a byte are found in a tenth of its time.
    """
    if values.dtype != np.uint8 or highest > 7:
        return list(ndimage.find_objects(values, max_label=highest))
    bits = np.left_shift(np.uint8(1), values)  # larger values leave none
    everything = set(range(values.ndim))
    sides = [
        np.bitwise_or.reduce(bits, axis=tuple(everything - {axis})) for axis in range(values.ndim)
    ]
    return [_where(sides, np.uint8(1 << value)) for value in range(1, highest + 1)]


def _where(sides: list[NDArray[np.uint8]], bit: np.uint8) -> Box | None:
    """From the first to the last place along each axis that has a bit."""
    occupied = [np.flatnonzero(side & bit) for side in sides]
    if not occupied[0].size:
        return None
    return tuple(slice(int(places[0]), int(places[-1]) + 1) for places in occupied)


def _around(boxes: list[Box]) -> Box:
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*boxes, strict=True)
    )


def _shifted(box: Box, by: Box) -> Box:
    return tuple(
        slice(side.start + start.start, side.stop + start.start)
        for side, start in zip(box, by, strict=True)
    )
