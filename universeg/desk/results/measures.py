"""How large what was drawn is, and in how many parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from universeg.desk.labels import Label
from universeg.desk.masks import Masks

_MM3_OF_ML = 1000.0
_LOW = 0.7  # expected Dice under which somebody should look


@dataclass(frozen=True)
class Measure:
    """One label of one scan.

    `area` is in mm2 and `volume` in ml, as far as the scan has a spacing; `objects` hang together,
    over corners too; `at_border` says whether one goes on outside of the scan.
    """

    label: Label
    pixels: int
    area: float | None
    volume: float | None
    objects: int
    at_border: bool


def measures(
    masks: Masks, labels: Sequence[Label], spacing: Sequence[float] | None
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


def flags(
    state: str, expected: float | None, found: Sequence[Measure], *, overlap: bool
) -> list[str]:
    """What somebody who reads the report should know of a scan."""
    said = []
    if state == "predicted":
        said.append("nobody looked at it")
        if expected is not None and expected < _LOW:
            said.append("expected to be poor")
    if state == "begun":
        said.append("not finished")
    if not any(each.pixels for each in found):
        said.append("nothing found")
    said += [f"{each.label.name} reaches the border" for each in found if each.at_border]
    if overlap:
        said.append("labels overlap: in its one mask the last of them is seen")
    return said


def _reaches_border(layer: NDArray[np.bool_]) -> bool:
    return bool(layer[0].any() or layer[-1].any() or layer[:, 0].any() or layer[:, -1].any())
