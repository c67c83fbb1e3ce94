"""What can be read: pictures, volumes and DICOM, in folders as people keep them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.dicom import (
    SUFFIXES,
    Header,
    NoImage,
    Series,
    dicom_files,
    find_series,
    is_dicom,
    read_header,
)
from megamedical.reading.dicom import read_series as read_dicom_series
from megamedical.reading.formats import reader_of, sought_dimension, suffix_of
from megamedical.reading.images import (
    labels_of,
    read_label_values,
    read_scan,
    read_volume,
    scan_of,
)
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume


@dataclass(frozen=True)
class Input:
    """A scan or a mask that can be read: a file, or a DICOM series.

    `path` is the file, or the folder of the series; `name` is what comes of it is called;
    `dimension` is 3 for a volume and 2 for a picture; `damage` is why it cannot be read, where that
    is known. What `lies_aside` is sound and no image, as a report beside a scan.
    """

    path: Path
    name: str
    dimension: int
    series: Series | None = None
    damage: str = ""
    lies_aside: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are read."""
        return self.series.files if self.series else (self.path,)

    @property
    def is_colour(self) -> bool:
        """Whether its values are colours, which will be made grey."""
        if self.series:
            return any(header.is_colour for header in self.series.headers)
        return self.dimension == 2 and reader_of(self.path).is_colour(self.path)

    def read(self) -> tuple[Scan, Volume | None]:
        """The picture or volume, in grey and canonical orientation; a volume on its own axes too.

        Raises:
            SubjectError: see `read_scan`.
        """
        if self.dimension == 2:
            return read_scan(self.path, 2), None
        volume = self._volume()
        return scan_of(volume, self.path), volume

    def read_labels(self) -> tuple[NDArray[Any], Volume | None]:
        """The values of a mask, on axes in the order of its image's; a volume on its own too.

        Raises:
            SubjectError: see `read_label_values`.
        """
        if self.dimension == 2:
            return read_label_values(self.path, 2), None
        volume = self._volume()
        return labels_of(volume, self.path), volume

    def _volume(self) -> Volume:
        return read_dicom_series(self.series) if self.series else read_volume(self.path)


def inputs_at(path: Path) -> list[Input]:
    """All that a folder holds, by name; or the one file that is meant.

    Of a folder these are the pictures and volumes in it, and DICOM in it or in folders below. A
    series is named after its folder, and if that holds several, also by its number and description.
    """
    if path.is_dir():
        return sorted([*_plain(path), *_dicom_below(path)], key=lambda each: (each.path, each.name))
    if sought_dimension(path) or not is_dicom(path):
        return [_of_file(path)]
    headers, damaged = _headers([path])
    return [*damaged, *(_of_series(series, path, _stem(path)) for series in find_series(headers))]


def _of_file(path: Path) -> Input:
    name = path.name[: len(path.name) - len(suffix_of(path))]  # `.nii.gz` is one suffix
    return Input(path, name, reader_of(path).dimension)


def _of_series(series: Series, path: Path, name: str) -> Input:
    return Input(path, name, series.dimension, series)


def _plain(folder: Path) -> Iterator[Input]:
    for path in folder.iterdir():
        if path.is_file() and path.name[0] != "." and sought_dimension(path):
            yield _of_file(path)


def _dicom_below(folder: Path) -> Iterator[Input]:
    folders = [folder, *(path for path in sorted(folder.rglob("*")) if path.is_dir())]
    for inside in folders:
        below = inside.relative_to(folder).parts
        if any(part[0] == "." for part in below):
            continue
        headers, others = _headers([p for p in dicom_files(inside) if not sought_dimension(p)])
        yield from others
        scans = list(_named(find_series(headers), inside, "-".join(below)))
        yield from (_with_all_slices(scan, others) for scan in scans) if len(scans) == 1 else scans


def _with_all_slices(scan: Input, others: Sequence[Input]) -> Input:
    """The one scan of a folder, refused where a file beside its slices may be one of them."""
    lost = [each.path.name for each in others if each.damage and not each.lies_aside]
    if not lost or len(scan.files) == 1:
        return scan
    return replace(scan, damage=f"lacks a slice, if {lost[0]} is one, which cannot be read")


def _named(scans: Sequence[Series], folder: Path, below: str) -> Iterator[Input]:
    """The scans of one folder; `below` is its place in the folder that was asked for, if not it."""
    labels = [_label(series) for series in scans]
    if len(set(labels)) < len(labels):
        labels = [_stem(series.files[0]) for series in scans]
    for series, label in zip(scans, labels, strict=True):
        is_file = len(series.files) == 1
        outer = below or ("" if is_file else folder.resolve().name)
        inner = label if len(scans) > 1 or not outer else ""
        path = series.files[0] if is_file else folder
        yield _of_series(series, path, "-".join(filter(None, [outer, inner])))


def _label(series: Series) -> str:
    """What tells a scan from others in its folder, as a part of a file's name."""
    header = series.headers[0]
    said = " ".join(filter(None, [header.number, header.description]))
    is_file = len(series.files) == 1
    return _stem(header.path) if is_file or not said else re.sub(r"[^\w.+-]+", "_", said)


def _stem(path: Path) -> str:
    """The name of a DICOM file without its suffix; often it has none, and dots all the same."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _headers(files: Sequence[Path]) -> tuple[list[Header], list[Input]]:
    """The headers of the DICOM images among files, and the files that are damaged or no images."""
    headers, others = [], []
    for path in files:
        try:
            headers.append(read_header(path))
        except SubjectError as error:
            is_aside = isinstance(error, NoImage) and len(files) > 1
            others.append(Input(path, _stem(path), 2, damage=error.reason, lies_aside=is_aside))
    return headers, others
