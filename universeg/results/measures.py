"""How large what was drawn or found is, and in how many parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from universeg.results.labels import Label

_MM3_OF_ML = 1000.0


class Layered(Protocol):
    """Masks of labels on one grid."""

    def layer(self, label: int) -> NDArray[np.bool_]:
        """Where a label is, by its value: (Z, Y, X) or (H, W)."""
        ...


class LabelMap:
    """A mask of label values, (Z, Y, X) or (H, W), as layers."""

    def __init__(self, values: NDArray[np.integer]) -> None:
        """Take a mask."""
        self._values = values

    def layer(self, label: int) -> NDArray[np.bool_]:
        """See `Layered`."""
        layer: NDArray[np.bool_] = self._values == label
        return layer


@dataclass(frozen=True)
class Measure:
    """One label of one scan.

    `area` is in mm2 and `volume` in ml, as far as the scan has a spacing; `objects` hang together,
    over corners too; `at_border` says whether one goes on outside of the scan; `expected` is the
    Dice that may be expected of the label, where it is known of it alone.
    """

    label: Label
    pixels: int
    area: float | None
    volume: float | None
    objects: int
    at_border: bool
    expected: float | None = None

    @property
    def size(self) -> str:
        """Its area or volume in words; nothing, where no spacing is known."""
        if self.area is not None:
            return f"{self.area:,.2f} mm²"
        return "" if self.volume is None else f"{self.volume:,.3f} ml"


def measures(
    masks: Layered, labels: Sequence[Label], spacing: Sequence[float] | None
) -> Iterator[Measure]:
    """Each label of a scan; `spacing` is in mm, None where nobody knows it."""
    for label in labels:
        layer = masks.layer(label.value)
        pixels = int(np.count_nonzero(layer))
        size = pixels * float(np.prod(spacing)) if spacing else None
        yield Measure(
            label=label,
            pixels=pixels,
            area=size if layer.ndim == 2 else None,
            volume=None if size is None or layer.ndim == 2 else size / _MM3_OF_ML,
            objects=len(boxes_of_objects(layer)[1]) if pixels else 0,
            at_border=layer.ndim == 2 and _reaches_border(layer),
        )


def boxes_of_objects(
    layer: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], list[tuple[slice, ...]]]:
    """Which object each pixel belongs to, from 1; and the box around each."""
    numbers, _ = ndimage.label(layer, np.ones((3,) * layer.ndim))
    return numbers, ndimage.find_objects(numbers)


def findings(found: Sequence[Measure]) -> list[str]:
    """What somebody who reads a report should know of what was found in a scan."""
    said = [] if any(each.pixels for each in found) else ["nothing found"]
    return [*said, *(f"{each.label.name} reaches the border" for each in found if each.at_border)]


def _reaches_border(layer: NDArray[np.bool_]) -> bool:
    return bool(layer[0].any() or layer[-1].any() or layer[:, 0].any() or layer[:, -1].any())
