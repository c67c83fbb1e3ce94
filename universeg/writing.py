"""Predictions into files: what is written for a scan, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.intensity import Range
from megamedical.manifest import slug
from megamedical.scan import Scan
from megamedical.slicing import upright
from universeg.examples import dimension_of, name_of
from universeg.frame import planes_of
from universeg.pictures import as_grey, outlined, write_picture
from universeg.segmenter import Prediction
from universeg.volumes import write_volume


@dataclass(frozen=True)
class Outputs:
    """The folder of the masks; probabilities and outlines go to folders in it, if wanted."""

    folder: Path
    probabilities: bool = False
    overlays: bool = False

    def mask_of(self, file: Path) -> Path:
        """Where the mask of a scan goes: PNG for a picture, NIfTI for a volume."""
        return self.folder / _named_after(file)

    def write(
        self, prediction: Prediction, file: Path, scan: Scan, plane: str, intensities: Range
    ) -> Iterator[Path]:
        """Write all that is wanted of one prediction, each file whole or not at all.

        Args:
            prediction: what was found in the scan.
            file: the scan's file.
            scan: its content.
            plane: the plane it was cut along.
            intensities: what is black and white in an overlay.

        Yields:
            Each file that was written; the mask comes last.
        """
        if self.overlays:
            path = self.folder / "overlays" / f"{name_of(file)}.png"
            write_picture(_overlay(prediction, scan, plane, intensities), path)
            yield path
        if self.probabilities:
            names = prediction.labels.values()
            for name, values in zip(names, prediction.probabilities, strict=True):
                path = self.folder / "probabilities" / slug(name) / _named_after(file)
                _write(values if dimension_of(file) == 3 else as_grey(values), file, path)
                yield path
        _write(prediction.mask, file, self.mask_of(file))
        yield self.mask_of(file)


def _write(values: NDArray[Any], file: Path, target: Path) -> None:
    if dimension_of(file) == 3:
        write_volume(values, file, target)
    else:
        write_picture(values, target)


def _named_after(file: Path) -> str:
    return f"{name_of(file)}{'.nii.gz' if dimension_of(file) == 3 else '.png'}"


def _overlay(
    prediction: Prediction, scan: Scan, plane: str, intensities: Range
) -> NDArray[np.uint8]:
    """The plane in which most was found, upright, with outlines."""
    masks = planes_of(prediction.mask, plane)
    index = int(np.count_nonzero(masks, axis=(1, 2)).argmax())
    image = planes_of(scan.voxels, plane)[index].astype(np.float32)
    return upright(outlined(intensities.scale(image), masks[index]), plane)
