"""Masks that are made: from outlines, from segments in the patient, from several files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume, canonical
from universeg.annotations.drawing import Drawing, label_maps, sheets_of
from universeg.annotations.volumes.segments import Segments
from universeg.prediction.inputs import Input
from universeg.prediction.pairing.pair import Say


@dataclass(frozen=True)
class Drawn:
    """Outlines on a picture; see `Made`."""

    drawing: Drawing
    values: Mapping[str, int]
    dimension: int = 2

    @property
    def path(self) -> Path:
        """See `Made`."""
        return self.drawing.file

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Made`."""
        return (self.path,)

    def labels_on(self, scan: Scan, volume: Volume | None, say: Say) -> NDArray[Any]:
        """See `Made`."""
        del volume, say
        height, width = scan.voxels.shape
        return label_maps(self.drawing, (height, width), self.values)


@dataclass(frozen=True)
class Broken:
    """A file that cannot be read, and why; see `Made`."""

    path: Path
    reason: str
    dimension: int = 2

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Made`."""
        return (self.path,)

    def labels_on(self, scan: Scan, volume: Volume | None, say: Say) -> NDArray[Any]:
        """See `Made`."""
        del scan, volume, say
        raise SubjectError("decode", self.path.name, self.reason)


@dataclass(frozen=True)
class InPatient:
    """Segments of a file that lie in the patient; see `Made`."""

    segments: Segments
    values: Mapping[str, int]
    dimension: int = 3

    @property
    def path(self) -> Path:
        """See `Made`."""
        return self.segments.path

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Made`."""
        return (self.path,)

    def labels_on(self, scan: Scan, volume: Volume | None, say: Say) -> NDArray[Any]:
        """See `Made`."""
        if volume is None:
            raise SubjectError("match", self.path.name, "is of a volume, its image is a picture")
        own = self.segments.on(volume, self.values, say)
        sheets = own.reshape(-1, *volume.voxels.shape)
        turned = [canonical(replace(volume, voxels=sheet)).voxels for sheet in sheets]
        return turned[0] if own.ndim == scan.voxels.ndim else np.stack(turned)


@dataclass(frozen=True)
class Several:
    """Masks of one image in several files; see `Made`.

    Each has a `value`, which all that is not zero in it has; where it is None, its own values are
    the labels, and of two files the higher one counts.
    """

    path: Path
    parts: tuple[tuple[Input, int | None], ...]

    @property
    def dimension(self) -> int:
        """See `Made`."""
        return self.parts[0][0].dimension

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Made`."""
        return tuple(file for part, _ in self.parts for file in part.files)

    def labels_on(self, scan: Scan, volume: Volume | None, say: Say) -> NDArray[Any]:
        """See `Made`."""
        del volume, say
        shape = scan.voxels.shape
        if self.parts[0][1] is not None:
            named = ((value, self._read(part, shape) > 0) for part, value in self.parts if value)
            return sheets_of(named, shape)
        together = np.zeros(shape, dtype=np.uint8)
        for part, _ in self.parts:
            together = np.maximum(together, self._read(part, shape))
        return together

    def _read(self, part: Input, shape: tuple[int, ...]) -> NDArray[Any]:
        try:
            found, _ = part.read_labels()
        except SubjectError as error:
            reason = f"{part.path.name} {error.reason}"
            raise SubjectError(error.stage, part.path.name, reason) from error
        if found.shape != shape:
            sizes = (" x ".join(map(str, each)) for each in (found.shape, shape))
            said = "{} is {}, the image {}: draw it on this image"
            raise SubjectError("match", part.path.name, said.format(part.path.name, *sizes))
        return found
