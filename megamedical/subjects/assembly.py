"""From the files of a subject to its scan and its label values, whatever they are spread over.

Most subjects are one file and one mask. Some images are a part of a file, some volumes have a file
for each slice, and some masks have a file for each object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.dicom import (
    Header,
    find_series,
    is_dicom,
    read_header,
    read_series,
    the_only,
)
from megamedical.reading.file_parts import read_picture_part, read_run_lengths
from megamedical.reading.formats import reader_of
from megamedical.reading.images import (
    labels_of,
    may_be_read_at_once,
    read_label_values,
    read_scan,
    read_volume,
    scan_of,
    whole_numbers,
)
from megamedical.reading.library_errors import blaming
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume
from megamedical.subjects.contours import inside, read_contour
from megamedical.subjects.foreground import as_declared, as_stored, expect_no_shades, set_bit
from megamedical.subjects.grids import expect_same_facing, expect_same_plane, on_grid_of
from megamedical.subjects.subject import Subject


class Assembly:
    """The scan of a subject, and its label values on the same grid."""

    def __init__(self, group: FileGroup, subject: Subject) -> None:
        self._group = group
        self._subject = subject
        self._frame = int(subject.fields[group.frames]) if group.frames else None
        self._moment = _counted(subject.fields[group.moment]) if group.moment else None
        self._mask_frame = int(subject.fields[group.span.counts]) if group.span else self._frame
        self._ahead: dict[Path, Callable[[], Volume]] = {}

    def read_ahead(self, beside: Executor) -> None:
        """Begin to read the first mask, where it is a volume that may be read beside its image."""
        mask = next((self._subject.files[path] for path in self._subject.all_masks()), None)
        in_channels = self._group.mask.decode == "channels"
        if mask is None or self._group.dimension == 2 or self._group.slices or in_channels:
            return
        if may_be_read_at_once(self._images[0], mask):
            self._ahead[mask] = beside.submit(self._mask_volume, mask, None).result

    @cached_property
    def scan(self) -> Scan:
        """The image.

        Raises:
            SubjectError: see `read_scan`.
        """
        file = self._images[0]
        if self._group.dimension == 3:
            path = file.parent if self._group.slices else file
            return scan_of(self._on_axes(self._volume), path)
        part = Part(self._group.array, self._frame, self._group.channel)
        if part == Part():
            return read_scan(file, 2, self._group.grey)
        return Scan(read_picture_part(file, part), (1.0, 1.0))

    def label_values(self, pattern: str, name: str | int | None = None) -> NDArray[Any]:
        """What the files of one of the mask's patterns say, as whole numbers on the scan's grid.

        Args:
            pattern: a pattern of the mask.
            name: a label of which a file says it under its name, or the number of a channel.

        Raises:
            SubjectError: a file is damaged, or its mask lies on another grid than the scan.
        """
        masks = [self._files(paths) for paths in self._subject.masks[pattern]]
        if not any(masks):
            return np.zeros(self.scan.voxels.shape, dtype=np.uint8)
        if self._group.slices:
            return self._labels_of_stack(masks)
        return reduce(np.maximum, (self._fitted(file, name) for file in masks[0]))

    def _fitted(self, file: Path, name: str | int | None) -> NDArray[Any]:
        """What a file says, in the shape of the scan."""
        values, shape = self._values(file, name), self.scan.voxels.shape
        values = as_declared(values, self._group)
        if self._group.dimension == 2:
            expect_no_shades(values, self._group)
        if self._group.mask.stretched:
            return _stretched(values, shape)
        _expect_shape(values, shape, file)
        return values

    def _values(self, file: Path, name: str | int | None) -> NDArray[Any]:
        mask = self._group.mask
        array = Pattern(mask.array).fill(self._subject.fields)
        if file.suffix.lower() == ".json":
            return read_run_lengths(file, array, str(name)).astype(np.uint8)
        if self._group.dimension == 3:
            read = self._ahead.pop(file, lambda: self._mask_volume(file, name))
            return labels_of(self._on_axes(self._placed(read())), file)
        if self._group.mask.decode == "contours":
            return self._drawn(file, self.scan.voxels.shape)
        part = Part(array, self._mask_frame, self._mask_channel(name))
        if part == Part():
            if mask.place == "header":
                expect_same_facing(self._images[0], file)
            return self._picture_labels(file)
        labels = read_picture_part(file, replace(part, is_label=True))
        return self._as_kept(whole_numbers(labels, file, set_bit(self._group)), file)

    def _mask_volume(self, file: Path, name: str | int | None) -> Volume:
        """A mask on the axes of its file: the channel of that number, or the one that is meant."""
        channel = self._mask_channel(name)
        return read_volume(file, channel if isinstance(channel, int) else self._moment)

    def _mask_channel(self, name: str | int | None) -> int | Literal["any"] | None:
        return name if isinstance(name, int) else self._group.mask.channel

    def _placed(self, mask: Volume) -> Volume:
        """A mask where it lies: where its header says, unless the manifest knows better."""
        if self._group.mask.place == "header":
            return on_grid_of(self._volume, mask)
        return self._like_image(mask.voxels)

    def _on_axes(self, volume: Volume) -> Volume:
        """A volume in the body, unless its axes are taken as they are stored."""
        if self._group.axes == "body":
            return volume
        return Volume(volume.voxels, np.eye(3), volume.spacing, volume.origin)

    def _like_image(self, voxels: NDArray[Any]) -> Volume:
        """Voxels (k, j, i) in the order of the image's, and so in its place."""
        image = self._volume
        return Volume(voxels, image.directions, image.spacing, image.origin)

    def _files(self, paths: Sequence[str]) -> list[Path]:
        return [self._subject.files[path] for path in paths]

    @cached_property
    def _images(self) -> list[Path]:
        return self._files(self._subject.images or [self._subject.image])

    @cached_property
    def _volume(self) -> Volume:
        """The image, on the axes of its file."""
        if self._group.slices:
            return self._stack
        which = self._group.channel if self._moment is None else self._moment
        return read_volume(self._images[0], which)

    @cached_property
    def _headers(self) -> list[Header]:
        """Those of a file for each slice, in their order; none where they are pictures.

        Where one is DICOM all must be: one that is damaged would move the masks of the others.
        """
        if not any(is_dicom(file) for file in self._images):
            return []
        return [read_header(file) for file in self._images]

    @property
    def _stack(self) -> Volume:
        """The image of a subject that has a file for each slice.

        DICOM says where each slice lies. Pictures lie one on the other, the first at the bottom,
        their top in front and their left at the patient's right, as a radiologist sees them.
        """
        files = self._images
        if self._headers:
            found = find_series(self._headers)
            return read_series(the_only(found, files[0].parent.name))
        part = Part(channel=self._group.channel)
        pixels = [
            read_scan(file, 2, self._group.grey).voxels
            if part == Part()
            else read_picture_part(file, part)
            for file in files
        ]
        return Volume(_stacked(pixels, files), np.eye(3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))

    def _labels_of_stack(self, masks: Sequence[Sequence[Path]]) -> NDArray[Any]:
        """The slices of a mask, of which the n-th belongs to the n-th file of the image."""
        shape = self._volume.voxels.shape
        files = [file for slice_ in masks for file in slice_]
        order = _lowest_first(self._headers) if self._headers else range(len(masks))
        if self._group.mask.place == "header":
            self._expect_there(masks)
        slices = [self._drawn_together(masks[n], shape[1:]) for n in order]
        values = _stacked(slices, files)
        _expect_shape(values, shape, files[0])
        return labels_of(self._on_axes(self._like_image(values)), files[0])

    def _expect_there(self, masks: Sequence[Sequence[Path]]) -> None:
        """Make sure that masks that are DICOM, too, lie in the planes of their slices."""
        for header, of_slice in zip(self._headers, masks, strict=False):
            for mask in filter(is_dicom, of_slice):
                own = read_header(mask)
                if own.is_placed and not own.lacks:
                    between = self._volume.spacing[2]
                    expect_same_plane(header.planes[0], own.planes[0], between, mask.name)

    def _drawn_together(self, masks: Sequence[Path], shape: tuple[int, ...]) -> NDArray[Any]:
        """The label values of the masks of one slice, none of which may be there."""
        if not masks:
            return np.zeros(shape, dtype=np.uint8)
        values = [as_declared(self._drawn(mask, shape), self._group) for mask in masks]
        return reduce(np.maximum, _of_one_shape(values, masks))

    def _drawn(self, mask: Path, shape: tuple[int, ...]) -> NDArray[Any]:
        """The label values of one picture: its own, or those inside a line on one of a shape."""
        if self._group.mask.decode == "contours":
            height, width = shape
            return inside(read_contour(mask), (height, width)).astype(np.uint8)
        return self._picture_labels(mask)

    def _picture_labels(self, file: Path) -> NDArray[Any]:
        return self._as_kept(read_label_values(file, 2, set_bit(self._group)), file)

    def _as_kept(self, values: NDArray[Any], file: Path) -> NDArray[Any]:
        """The values of a picture of labels, if its format keeps such.

        Raises:
            SubjectError: it does not; or see `as_stored`.
        """
        if self._group.mask.decode == "threshold":  # which does without
            return values
        with blaming(file):
            reader = reader_of(file)
            lossy, times = reader.lossy_format(file), reader.shown_times(file)
        if lossy:
            raise SubjectError(
                "decode",
                file.name,
                f"is {lossy}, which blurs the values of labels: save masks as PNG, or, of one "
                "label, say `decode: threshold` and what is `above:`",
            )
        return as_stored(values, self._group, times)


def _counted(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise SubjectError("match", "", f"{text!r} says which volume is meant, and is no number")
    return int(text)


def _stretched(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """A mask (H, W) in another size: each pixel has the value that its centre lies in."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for old, new in zip(values.shape, shape, strict=True)
    )
    return values[rows[:, None], columns]


def _lowest_first(headers: Sequence[Header]) -> list[int]:
    """The order in which `read_series` puts DICOM files."""
    planes = [header.planes[0] for header in headers]
    heights = [float(plane.position @ planes[0].normal) for plane in planes]
    return sorted(range(len(heights)), key=heights.__getitem__)


def _stacked(slices: Sequence[NDArray[Any]], files: Sequence[Path]) -> NDArray[Any]:
    with blaming(files[0]):
        return np.stack(_of_one_shape(slices, files))


def _of_one_shape(slices: Sequence[NDArray[Any]], files: Sequence[Path]) -> Sequence[NDArray[Any]]:
    shapes = {each.shape for each in slices}
    if len(shapes) > 1:
        raise SubjectError("read", files[0].parent.name, f"has slices of {sorted(shapes)}")
    return slices


def _expect_shape(values: NDArray[Any], shape: tuple[int, ...], file: Path) -> None:
    if values.shape != shape:
        raise SubjectError(
            "decode", file.name, f"the mask is {_by(values.shape)}, the image {_by(shape)}"
        )


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(length) for length in shape)
