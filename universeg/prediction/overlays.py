"""Predictions as pictures: masks, probabilities, and outlines on the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.files.writing import whole_file
from megamedical.processing.intensity import Range
from megamedical.processing.slicing import AXIS_OF_PLANE, upright
from universeg.prediction.frame import planes_of
from universeg.results.drawing import Size, outlined, sheet_of, with_legend
from universeg.results.labels import Label

_PICTURE = Size(512, 2048)
_SLICE = Size(256, 384)
_SLICES = 12  # on a sheet
_ACROSS = 4
_EDGES = (0.5, 99.5)  # percentiles
_COUNTED = 1 << 20  # voxels that these are taken from
_LARGEST = np.iinfo(np.uint16).max  # that a grey PNG can hold


def write_picture(values: NDArray[Any], target: Path) -> None:
    """Write a PNG, whole or not at all: (H, W) in uint8 or uint16, or (H, W, 3) in uint8.

    Raises:
        SubjectError: a PNG does not hold values so large.
    """
    if values.dtype.itemsize > 2:
        raise SubjectError(
            "process", target.name, f"label values above {_LARGEST} do not fit into a PNG"
        )
    with whole_file(target) as path:
        Image.fromarray(values).save(path, format="PNG")


def as_grey(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities in [0, 1] as grey values from 0 to 255."""
    return np.rint(probabilities * 255).astype(np.uint8)


def picture_overlay(
    pixels: NDArray[np.uint8],
    mask: NDArray[np.integer],
    labels: Sequence[Label],
    found: Mapping[int, str],
) -> NDArray[np.uint8]:
    """A picture, (H, W) grey or (H, W, 3), with outlines and their legend: (h, w, 3).

    Pictures of up to 512 pixels are enlarged by a whole number, those above 2048 shrunk. `found`
    says how much of each label there is.
    """
    layers = {label.value: mask == label.value for label in labels}
    return with_legend(outlined(pixels, layers, labels, _PICTURE), labels, found)


def shown_range(voxels: NDArray[Any], seen: Range) -> Range:
    """What is black and white to a person: what the network sees, but for a few extreme voxels."""
    some = voxels.ravel()[:: max(1, voxels.size // _COUNTED)]
    dark, bright = (float(each) for each in np.percentile(some, _EDGES))
    low, high = max(seen.low, dark), min(seen.high, bright)
    return Range(low, high) if low < high else seen


class Slices:
    """The slices of a volume along a plane, as a person sees them, with what was found."""

    def __init__(
        self,
        voxels: NDArray[Any],
        mask: NDArray[np.integer],
        spacing: Sequence[float],
        plane: str,
        intensities: Range,
    ) -> None:
        """Take a volume (Z, Y, X), its mask, and mm along each axis."""
        self._plane, self._intensities = plane, shown_range(voxels, intensities)
        self._images, self._masks = planes_of(voxels, plane), planes_of(mask, plane)
        self._mm = [mm for axis, mm in enumerate(spacing) if axis != AXIS_OF_PLANE[plane]]
        self._areas = np.count_nonzero(self._masks, axis=(1, 2))

    @property
    def fullest(self) -> int:
        """The slice in which most was found."""
        return int(self._areas.argmax())

    def drawn(self, index: int, labels: Sequence[Label], size: Size) -> NDArray[np.uint8]:
        """One slice with outlines, in true proportions: (h, w, 3)."""
        scaled = self._intensities.scale(self._images[index].astype(np.float32))
        mask = upright(self._masks[index], self._plane)
        layers = {label.value: mask == label.value for label in labels}
        return outlined(upright(as_grey(scaled), self._plane), layers, labels, size, self._mm)

    def sheet(self, labels: Sequence[Label], found: Mapping[int, str]) -> NDArray[np.uint8]:
        """Slices spread over what was found, with their numbers from 1, above a legend."""
        tiles, titles = [], []
        for index in self._spread():
            tiles.append(self.drawn(index, labels, _SLICE))
            titles.append(f"{self._plane} {index + 1} of {len(self._images)}")
        return with_legend(sheet_of(tiles, titles, _ACROSS), labels, found)

    def _spread(self) -> list[int]:
        """Which slices: over all the volume, where nothing was found."""
        shown = np.flatnonzero(self._areas)
        first, last = (int(shown[0]), int(shown[-1])) if shown.size else (0, len(self._images) - 1)
        count = min(_SLICES, last - first + 1)
        return sorted({round(each) for each in np.linspace(first, last, count).tolist()})
