"""Which DICOM files make one scan, and the order of its slices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from megamedical.errors import SubjectError
from megamedical.reading.dicom.files import dicom_files
from megamedical.reading.dicom.header import Header, NoImage, Plane, read_header
from megamedical.reading.volume import SHEAR

_UNEVEN = 0.01  # of the distance between slices
_ROUNDED = 0.01  # mm; positions are often written with two decimals
_SAME = 1e-4  # mm; slices that are closer lie in one place

Slice = tuple[Header, int]  # a file, and one of its frames


@dataclass(frozen=True)
class Series:
    """The files that make one scan: the slices of a volume, or a single file."""

    headers: tuple[Header, ...]

    @property
    def title(self) -> str:
        """What the scanner calls it: `series 3 (T2 axial)`."""
        number, description = self.headers[0].number, self.headers[0].description
        return " ".join(["series", *filter(None, [number, description and f"({description})"])])

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, in no order that means anything."""
        return tuple(header.path for header in self.headers)

    @property
    def dimension(self) -> int:
        """3 for a volume, 2 for a picture."""
        return 3 if sum(len(header.planes) for header in self.headers) > 1 else 2


def find_series(headers: Iterable[Header]) -> list[Series]:
    """The scans that files hold, in the order of their first files.

    Single frames of one series, if they say where they lie, are the slices of a volume. Any other
    file is a scan of its own.
    """
    scans: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in headers:
        is_slice = header.is_placed and len(header.planes) == 1
        scans[(header.uid,) if is_slice else (header.uid, str(header.path))].append(header)
    return [Series(tuple(files)) for files in scans.values()]


def series_of(path: Path) -> Series:
    """The one scan that a file or a folder holds; what is no image lies beside it in a folder.

    Raises:
        SubjectError: it holds none, or several; or a file is damaged.
    """
    found = find_series(_images_in(path) if path.is_dir() else [read_header(path)])
    if not found:
        raise SubjectError("read", path.name, "holds no DICOM image")
    return the_only(found, path.name)


def the_only(found: Sequence[Series], name: str) -> Series:
    """The one series of several files.

    Raises:
        SubjectError: they are of several, or do not say that they are of one.
    """
    if len(found) == 1:
        return found[0]
    unplaced = [header for series in found for header in series.headers if not header.is_placed]
    if unplaced and len({series.headers[0].uid for series in found}) == 1:
        raise SubjectError(
            "read",
            name,
            f"holds {len(unplaced)} files of one series that do not say where they lie "
            f"(ImagePositionPatient), as {unplaced[0].path.name}",
        )
    titles = ", ".join(dict.fromkeys(series.title for series in found))
    raise SubjectError("read", name, f"holds {len(found)} series, not one: {titles}")


def _images_in(folder: Path) -> Iterator[Header]:
    for path in dicom_files(folder):
        try:
            yield read_header(path)
        except NoImage:
            continue


def slices_in_order(series: Series) -> tuple[list[Slice], float]:
    """All slices from the lowest to the highest along their normal, and their distance in mm.

    Raises:
        SubjectError: a slice is missing, or there twice; slices differ in size, direction or
            spacing, or are shifted against each other.
    """
    try:
        slices = _in_order(series)
        return slices, _distance(series, slices)
    except SubjectError as error:
        name = series.files[0].parent.name
        raise SubjectError("read", name, f"{series.title} {error.reason}") from error


def _in_order(series: Series) -> list[Slice]:
    """All slices from the lowest to the highest along their normal, which must be alike."""
    slices = [(header, n) for header in series.headers for n in range(len(header.planes))]
    first, first_plane = series.headers[0], series.headers[0].planes[0]
    for header, n in slices:
        if header.is_placed and header.lacks:
            what = " and ".join(header.lacks)
            raise SubjectError("read", "", f"has slices without {what}, as {header.path.name}")
        plane = header.planes[n]
        if header.shape[1:] != first.shape[1:] or header.is_colour != first.is_colour:
            sizes = " and ".join("{} x {}".format(*each.shape[1:]) for each in (first, header))
            names = f"{first.path.name} and {header.path.name}"
            raise SubjectError("read", "", f"has slices of different kinds, {sizes}: {names}")
        if not (np.isfinite(plane.position).all() and 0 < min(plane.spacing) < math.inf):
            raise SubjectError("read", "", f"has slices that lie nowhere, as {header.path.name}")
        if not np.allclose(plane.axes, first_plane.axes, atol=SHEAR):
            names = f"{first.path.name} and {header.path.name}"
            raise SubjectError("read", "", f"has slices in different directions, as {names}")
        if not np.allclose(plane.spacing, first_plane.spacing, rtol=SHEAR):
            names = f"{first.path.name} and {header.path.name}"
            raise SubjectError("read", "", f"has slices of different pixel spacing, as {names}")
    return sorted(slices, key=lambda each: float(plane_of(each).position @ first_plane.normal))


def _distance(series: Series, slices: Sequence[Slice]) -> float:
    """How far slices in order lie apart, in mm, which must be the same all along."""
    if len(slices) == 1:
        return series.headers[0].between
    positions = np.stack([plane_of(each).position for each in slices])
    normal = plane_of(slices[0]).normal
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    for (one, other), step in zip(pairwise(slices), steps, strict=True):
        names = " and ".join(dict.fromkeys(header.path.name for header, _ in (one, other)))
        if step < _SAME:
            raise SubjectError(
                "read",
                "",
                f"has two slices in one place ({names}): split it, if it has time points",
            )
        if abs(step - usual) > _UNEVEN * usual + _ROUNDED:
            what = "lacks slices" if step > 1.5 * usual else "has uneven slices"
            raise SubjectError(
                "read", "", f"{what}: {names} lie {step:.4g} mm apart, others {usual:.4g} mm"
            )
    length = float(steps.sum())
    heights = (positions - positions[0]) @ normal
    aside = np.linalg.norm(positions - positions[0] - np.outer(heights, normal), axis=1)
    allowed = SHEAR * length + _ROUNDED
    if aside[-1] > allowed:
        degrees = math.degrees(math.atan2(float(aside[-1]), length))
        raise SubjectError(
            "read",
            "",
            f"was taken with a gantry tilted by {degrees:.1f} degrees: resample it to a straight "
            "volume first",
        )
    if aside.max() > allowed:  # out of the line, into which those after it come back
        name = slices[int(aside.argmax())][0].path.name
        raise SubjectError(
            "read",
            "",
            f"has slices that are shifted against each other: {name} lies {aside.max():.4g} mm "
            "beside the line of the others",
        )
    return length / len(steps)


def plane_of(each: Slice) -> Plane:
    """Where a slice lies."""
    header, frame = each
    return header.planes[frame]
