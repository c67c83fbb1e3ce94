"""Slices of scans as a browser shows them, and small pictures of whole scans."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.files.writing import whole_file
from megamedical.processing.slicing import AXIS_OF_PLANE, PICTURE
from megamedical.reading.scan import Scan
from universeg.desk.catalogue import Entry
from universeg.desk.masks import Cut, seen
from universeg.results.photographs import colours_of

THUMBNAIL = 160  # pixels of the longer side
_KEPT = 3  # scans in memory
_LARGEST = 1 << 26  # pixels of a picture that a browser can draw on
_LIGHT = (
    1 << 20
)  # pixels; larger photographs are sent as JPEG, which is seen in a tenth of the time
_LEVELS = 65535
_EDGES = (0.5, 99.5)  # percentiles that are black and white to begin with
_COUNTED = 1 << 20  # voxels that these are taken from


@dataclass(frozen=True, eq=False)
class Shown:
    """A scan in memory: its voxels, its colours if it is a photograph, its intensities.

    `low` and `high` are the darkest and the brightest voxel, `window` what is black and white to
    begin with, in the unit of the voxels.
    """

    scan: Scan
    colours: NDArray[np.uint8] | None
    low: float
    high: float
    window: tuple[float, float]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the voxels."""
        return self.scan.voxels.shape

    def planes(self) -> dict[str, dict[str, Any]]:
        """Of each plane: how many slices, (rows, columns), and mm of a row and a column."""
        shape, spacing = self.shape, self.scan.spacing
        if len(shape) == 2:
            return {PICTURE: {"count": 1, "size": [*shape], "mm": [*spacing]}}
        return {
            plane: {
                "count": shape[along],
                "size": [n for axis, n in enumerate(shape) if axis != along],
                "mm": [mm for axis, mm in enumerate(spacing) if axis != along],
            }
            for plane, along in AXIS_OF_PLANE.items()
        }

    def slice_of(self, cut: Cut) -> tuple[bytes, str]:
        """A slice, and what kind of bytes it is.

        A photograph is a PNG or JPEG. Anything else is raw: 16 bits a pixel, little end first, from
        0 for `low` to 65535 for `high`.

        Raises:
            NoSuchPlaceError: the scan has no such slice.
        """
        if self.colours is not None:
            seen(self.scan.voxels, cut)
            return _encoded(self.colours)
        values = seen(self.scan.voxels, cut).astype(np.float32)
        scaled = (values - np.float32(self.low)) * np.float32(_LEVELS / (self.high - self.low))
        return np.rint(scaled).clip(0, _LEVELS).astype("<u2").tobytes(), "application/octet-stream"

    def small(self) -> NDArray[np.uint8]:
        """The picture, or the middle of a volume, in few pixels: (h, w) or (h, w, 3)."""
        if self.colours is not None:
            return _shrunk(self.colours, (1.0, 1.0))
        plane, mm = PICTURE, self.scan.spacing
        if len(self.shape) == 3:
            plane = "axial"
            mm = self.scan.spacing[1:]
        values = seen(self.scan.voxels, (plane, self.shape[0] // 2 if len(self.shape) == 3 else 0))
        low, high = self.window
        scaled = (values.astype(np.float32) - low) / (high - low)
        return _shrunk((scaled.clip(0, 1) * 255).astype(np.uint8), mm)


class Shelf:
    """The scans that were looked at last; no more than a few are in memory."""

    def __init__(self) -> None:
        """An empty shelf."""
        self._kept: OrderedDict[str, Shown] = OrderedDict()
        self._lock = Lock()
        self._reading = Lock()

    def of(self, entry: Entry) -> Shown:
        """A scan, read if it is not in memory.

        Raises:
            SubjectError: it cannot be read, or shown.
        """
        if found := self.kept(entry):  # nobody waits here while another one is read
            return found
        with self._reading:  # one is read at a time, so that memory is bounded
            if found := self.kept(entry):
                return found
            with self._lock:
                while len(self._kept) >= _KEPT:
                    self._kept.popitem(last=False)
            shown = read_shown(entry)
            with self._lock:
                self._kept[entry.identity] = shown
            return shown

    def kept(self, entry: Entry) -> Shown | None:
        """A scan, if it is in memory."""
        with self._lock:
            if entry.identity not in self._kept:
                return None
            self._kept.move_to_end(entry.identity)
            return self._kept[entry.identity]


def read_shown(entry: Entry) -> Shown:
    """Read a scan to show it.

    Raises:
        SubjectError: it cannot be read, is larger than a browser can draw on, or is constant.
    """
    entry.expect_inside()
    with ThreadPoolExecutor(1) as beside:  # photographs are decoded twice: on two cores at once
        coming = beside.submit(_colours, entry)
        return shown_of(entry, entry.file.read()[0], coming.result)


def shown_of(
    entry: Entry, scan: Scan, colours: Callable[[], NDArray[np.uint8] | None] | None = None
) -> Shown:
    """A scan that was read, ready to be shown; its `colours` are read, if they are not given.

    Raises:
        SubjectError: see `read_shown`.
    """
    if scan.voxels.ndim == 2 and scan.voxels.size > _LARGEST:
        raise SubjectError(
            "read",
            entry.file.path.name,
            f"has {scan.voxels.size:,} pixels; up to {_LARGEST:,} can be drawn on: cut it in parts",
        )
    if scan.voxels.dtype == np.bool_:  # a picture of one bit a pixel
        scan = replace(scan, voxels=scan.voxels.astype(np.uint8))
    step = max(1, scan.voxels.size // _COUNTED)
    some = scan.voxels.ravel()[::step] if step == 1 else scan.voxels.flat[::step]
    some = some[np.isfinite(some)] if scan.voxels.dtype.kind == "f" else some
    low, high = float(np.nanmin(scan.voxels)), float(np.nanmax(scan.voxels))
    if not (np.isfinite([low, high]).all() and low < high):
        raise SubjectError("standardise", entry.file.path.name, "is constant, or not all numbers")
    dark, bright = (float(value) for value in np.percentile(some, _EDGES))
    own = colours() if colours else _colours(entry)
    if own is not None and own.shape[:2] != scan.voxels.shape:
        own = None
    window = (dark, bright) if dark < bright else (low, high)
    return Shown(scan, own, low, high, window)


def _colours(entry: Entry) -> NDArray[np.uint8] | None:
    return colours_of(entry.file.path) if entry.file.dimension == 2 else None


def write_thumbnail(shown: Shown, path: Path) -> None:
    """Write a small picture, whole or not at all."""
    with whole_file(path) as unfinished:
        Image.fromarray(shown.small()).save(unfinished, format="PNG")


def _encoded(colours: NDArray[np.uint8]) -> tuple[bytes, str]:
    stream = io.BytesIO()
    picture = Image.fromarray(colours)
    if colours.shape[0] * colours.shape[1] > _LIGHT:
        picture.save(stream, format="JPEG", quality=92, subsampling=0)
        return stream.getvalue(), "image/jpeg"
    picture.save(stream, format="PNG", compress_level=1)
    return stream.getvalue(), "image/png"


def _shrunk(pixels: NDArray[np.uint8], mm: tuple[float, ...]) -> NDArray[np.uint8]:
    height, width = pixels.shape[0] * mm[0], pixels.shape[1] * mm[1]
    scale = THUMBNAIL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
