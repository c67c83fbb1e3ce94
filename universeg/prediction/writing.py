"""Predictions into files: what is written for a scan, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.processing.slicing import AXIS_OF_PLANE, upright
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume
from megamedical.task_id import slug
from universeg.prediction.deciding import Prediction
from universeg.prediction.frame import Frame, planes_of
from universeg.prediction.inputs import Input
from universeg.prediction.overlays import as_grey, outlined, write_picture
from universeg.prediction.volumes import write_volume


@dataclass(frozen=True, eq=False)
class Query:
    """A scan that is to be segmented, and how the network sees it.

    `volume` has the scan on its own axes; a picture has none.
    """

    file: Input
    scan: Scan
    volume: Volume | None
    frame: Frame


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

    def write(self, prediction: Prediction, query: Query) -> Iterator[Path]:
        """Write all that is wanted of one prediction, each file whole or not at all.

        Yields:
            Each file that was written; the mask comes last.
        """
        if self.overlays:
            path = self._overlay_of(query.file)
            write_picture(_overlay(prediction, query), path)
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


def _overlay(prediction: Prediction, query: Query) -> NDArray[np.uint8]:
    """The plane in which most was found, upright and in true proportions, with outlines."""
    plane = query.frame.plane
    masks = planes_of(prediction.mask, plane)
    index = int(np.count_nonzero(masks, axis=(1, 2)).argmax())
    image = planes_of(query.scan.voxels, plane)[index].astype(np.float32)
    along = AXIS_OF_PLANE.get(plane)
    rows, columns = (mm for axis, mm in enumerate(query.scan.spacing) if axis != along)
    scaled = query.frame.intensities.scale(image)
    return upright(outlined(scaled, masks[index], (rows, columns)), plane)
