"""From the files of a subject to its scan and its label values, whatever they are spread over.

Most subjects are one file and one mask. Some images are a part of a file, some volumes have a file
for each slice, and some masks have a file for each object.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.manifest import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.dicom import find_series, is_dicom, read_header, read_series
from megamedical.reading.images import (
    labels_of,
    read_label_values,
    read_scan,
    read_volume,
    scan_of,
    whole_numbers,
)
from megamedical.reading.library_errors import blaming
from megamedical.reading.parts import read_picture_part, read_run_lengths
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume, canonical
from megamedical.subjects.foreground import as_declared
from megamedical.subjects.matching import Subject


class Assembly:
    """The scan of a subject, and its label values on the same grid."""

    def __init__(self, group: FileGroup, subject: Subject) -> None:
        self._group = group
        self._subject = subject
        self._frame = int(subject.fields[group.frames]) if group.frames else None
        self._mask_frame = int(subject.fields[group.span.counts]) if group.span else self._frame

    @cached_property
    def scan(self) -> Scan:
        """The image.

        Raises:
            SubjectError: see `read_scan`.
        """
        group, files = self._group, self._files(self._subject.images or [self._subject.image])
        if group.slices:
            return scan_of(self._stack, files[0].parent)
        part = Part(group.array, self._frame, group.channel)
        if part == Part():
            return read_scan(files[0], group.dimension, group.grey)
        if group.dimension == 3 and group.channel is not None:
            return scan_of(read_volume(files[0], group.channel), files[0])
        return Scan(read_picture_part(files[0], part), (1.0, 1.0))

    def label_values(self, pattern: str, name: str | int | None = None) -> NDArray[Any]:
        """What the files of one of the mask's patterns say, as whole numbers.

        Args:
            pattern: a pattern of the mask.
            name: a label of which a file says it under its name, or the number of a channel.
        """
        files = self._files(self._subject.masks[pattern])
        if not files:
            return np.zeros(self.scan.voxels.shape, dtype=np.uint8)
        if self._group.slices:
            return self._labels_of_stack(files)
        each = (as_declared(self._values(file, name), self._group) for file in files)
        values = reduce(np.maximum, each)
        return _stretched(values, self.scan.voxels.shape) if self._group.mask.stretched else values

    def _values(self, file: Path, name: str | int | None) -> NDArray[Any]:
        mask = self._group.mask
        array = Pattern(mask.array).fill(self._subject.fields)
        if file.suffix.lower() == ".json":
            return read_run_lengths(file, array, str(name)).astype(np.uint8)
        channel = name if isinstance(name, int) else mask.channel
        part = Part(array, self._mask_frame, channel)
        if part == Part():
            return read_label_values(file, self._group.dimension)
        if self._group.dimension == 3 and isinstance(channel, int):
            return labels_of(read_volume(file, channel), file)
        return whole_numbers(read_picture_part(file, part), file)

    def _files(self, paths: Sequence[str]) -> list[Path]:
        return [self._subject.files[path] for path in paths]

    @cached_property
    def _stack(self) -> Volume:
        """The image of a subject that has a file for each slice.

        DICOM says where each slice lies. Pictures lie one on the other, the first at the bottom,
        their top in front and their left at the patient's right, as a radiologist sees them.
        """
        files = self._files(self._subject.images)
        if is_dicom(files[0]):
            found = find_series(header for file in files if (header := read_header(file)))
            if len(found) != 1:
                titles = ", ".join(series.title for series in found)
                raise SubjectError(
                    "read", files[0].parent.name, f"holds {len(found)} series, not one: {titles}"
                )
            return read_series(found[0])
        part = Part(channel=self._group.channel)
        pixels = [
            read_scan(file, 2, self._group.grey).voxels
            if part == Part()
            else read_picture_part(file, part)
            for file in files
        ]
        return Volume(_stacked(pixels, files), np.eye(3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))

    def _labels_of_stack(self, masks: Sequence[Path]) -> NDArray[Any]:
        """The slices of a mask, of which the n-th belongs to the n-th file of the image."""
        images = self._files(self._subject.images)
        if len(masks) != len(images):
            raise SubjectError("decode", "", f"it has {len(masks)} slices, the image {len(images)}")
        order = _lowest_first(images) if is_dicom(images[0]) else range(len(images))
        sorted_masks = [masks[n] for n in order]
        slices = [as_declared(read_label_values(mask, 2), self._group) for mask in sorted_masks]
        values = _stacked(slices, sorted_masks)
        stack = self._stack
        return canonical(Volume(values, stack.directions, stack.spacing, stack.origin)).voxels


def _stretched(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A mask (H, W) in another size: each pixel has the value that its centre lies in."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(values.shape, shape, strict=True)
    )
    return values[rows[:, None], columns]


def _lowest_first(files: Sequence[Path]) -> list[int]:
    """The order in which `read_series` puts DICOM files."""
    planes = [header.planes[0] for file in files if (header := read_header(file))]
    heights = [float(plane.position @ planes[0].normal) for plane in planes]
    return sorted(range(len(heights)), key=heights.__getitem__)


def _stacked(slices: Sequence[NDArray[Any]], files: Sequence[Path]) -> NDArray[Any]:
    with blaming(files[0]):
        shapes = {each.shape for each in slices}
        if len(shapes) > 1:
            raise SubjectError("read", files[0].parent.name, f"has slices of {sorted(shapes)}")
        return np.stack(slices)
