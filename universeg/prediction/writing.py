"""Predictions into files: what is written for a scan, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume
from megamedical.task_id import slug
from universeg.prediction.deciding import Prediction
from universeg.prediction.frame import Frame
from universeg.prediction.inputs import Input
from universeg.prediction.overlays import (
    Slices,
    as_grey,
    picture_overlay,
    shown_range,
    write_picture,
)
from universeg.prediction.volumes import write_volume
from universeg.results.drawing import Size, outlined
from universeg.results.labels import Label
from universeg.results.measures import LabelMap, measures
from universeg.results.photographs import colours_of


@dataclass(frozen=True, eq=False)
class Query:
    """A scan that is to be segmented, and how the network sees it.

    `volume` has the scan on its own axes; a picture has none. `odd` is what is unusual in it.
    """

    file: Input
    scan: Scan
    volume: Volume | None
    frame: Frame
    odd: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """The folder of the masks; probabilities and outlines go to folders in it, if wanted."""

    folder: Path
    probabilities: bool = False
    overlays: bool = False

    def targets(self, file: Input, labels: Iterable[str]) -> Iterator[Path]:
        """All that will be written of a scan; the mask comes first."""
        yield self._mask_of(file)
        if self.overlays:
            yield self._overlay_of(file)
        if self.probabilities:
            yield from (self._probability_of(file, label) for label in labels)

    def write(
        self, prediction: Prediction, query: Query, labels: Sequence[Label]
    ) -> Iterator[Path]:
        """Write all that is wanted of one prediction, each file whole or not at all.

        `labels` are those of outlines.

        Yields:
            Each file that was written; the mask comes last.
        """
        if self.overlays:
            path = self._overlay_of(query.file)
            write_picture(_overlay(prediction, query, labels), path)
            yield path
        if self.probabilities:
            names = prediction.labels.values()
            for name, values in zip(names, prediction.probabilities, strict=True):
                path = self._probability_of(query.file, name)
                _write(values if query.volume else as_grey(values), query, path)
                yield path
        path = self._mask_of(query.file)
        _write(prediction.mask, query, path)
        yield path

    def _mask_of(self, file: Input) -> Path:
        return self.folder / _named_after(file)

    def _overlay_of(self, file: Input) -> Path:
        return self.folder / "overlays" / f"{file.name}.png"

    def _probability_of(self, file: Input, label: str) -> Path:
        return self.folder / "probabilities" / slug(label) / _named_after(file)


def _write(values: NDArray[Any], query: Query, target: Path) -> None:
    if query.volume:
        write_volume(values, query.volume, query.file.path, target)
    else:
        write_picture(values, target)


def _named_after(file: Input) -> str:
    """PNG for a picture, NIfTI for a volume."""
    return f"{file.name}{'.nii.gz' if file.dimension == 3 else '.png'}"


def drawn_of(
    query: Query, prediction: Prediction, labels: Sequence[Label], size: Size
) -> NDArray[np.uint8]:
    """A picture with outlines, in its own colours; of a volume the slice that shows most."""
    if query.volume:
        slices = _slices(query, prediction)
        return slices.drawn(slices.fullest, labels, size)
    layers = {label.value: prediction.mask == label.value for label in labels}
    return outlined(_pixels(query), layers, labels, size)


def _overlay(prediction: Prediction, query: Query, labels: Sequence[Label]) -> NDArray[np.uint8]:
    """A picture with outlines, or a sheet of slices, with a legend that says how much there is."""
    spacing = query.scan.spacing if query.volume else None
    found = {
        each.label.value: each.size or f"{each.pixels:,} pixels"
        for each in measures(LabelMap(prediction.mask), labels, spacing)
        if each.pixels
    }
    if query.volume:
        return _slices(query, prediction).sheet(labels, found)
    return picture_overlay(_pixels(query), prediction.mask, labels, found)


def _slices(query: Query, prediction: Prediction) -> Slices:
    frame, scan = query.frame, query.scan
    return Slices(scan.voxels, prediction.mask, scan.spacing, frame.plane, frame.intensities)


def _pixels(query: Query) -> NDArray[np.uint8]:
    """A photograph in its colours, any other picture in the greys that the network sees."""
    colours = colours_of(query.file.path)
    if colours is not None and colours.shape[:2] == query.scan.voxels.shape:
        return colours
    voxels = query.scan.voxels
    return as_grey(shown_range(voxels, query.frame.intensities).scale(voxels.astype(np.float32)))
