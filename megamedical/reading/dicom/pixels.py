"""The pixels of DICOM files in their unit: a picture, or the slices of a volume in their order."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.dicom import compressed
from megamedical.reading.dicom.dataset import read_dataset, scale_of
from megamedical.reading.dicom.header import Header, read_header
from megamedical.reading.dicom.series import Series, plane_of, series_of, slices_in_order
from megamedical.reading.library_errors import blaming
from megamedical.reading.limits import expect_scale
from megamedical.reading.luma import luma
from megamedical.reading.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset


def read_dicom_picture(path: Path) -> NDArray[Any]:
    """The pixels of a file of one frame: (H, W), or (H, W, 3) uint8 in colour.

    Raises:
        SubjectError: it holds several, or none; it is damaged; or its colours are deeper.
    """
    (header,) = series_of(path).headers
    if len(header.planes) > 1:
        raise SubjectError("read", path.name, f"holds {len(header.planes)} pictures, not one")
    return _shallow(_frames([header])[path][0], path)


def read_frame(path: Path, number: int) -> NDArray[Any]:
    """One frame of a file, counted from 0: (H, W), or (H, W, 3) uint8 in colour.

    Frames that are asked for one after the other are decoded once.

    Raises:
        SubjectError: the file is damaged, or has no such frame; or its colours are deeper.
    """
    frames = _film(path, path.stat().st_mtime_ns)
    if number >= len(frames):
        raise SubjectError("read", path.name, f"has no frame {number}: it has {len(frames)}")
    return _shallow(frames[number], path)


@lru_cache(maxsize=1)  # the frames of one film come one after the other
def _film(path: Path, _changed: int) -> NDArray[Any]:
    return _frames([read_header(path)])[path]


def _shallow(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    if pixels.ndim == 3 and pixels.dtype != np.uint8:
        raise SubjectError("read", path.name, f"has colours in {pixels.dtype}, not in uint8")
    return pixels


def read_series(series: Series) -> Volume:
    """Read a volume: slices in the order of their place along the normal, colour as grey.

    Raises:
        SubjectError: see `slices_in_order`; or a file is damaged.
    """
    for header in series.headers:
        if header.no_volume:
            raise SubjectError("read", header.path.name, header.no_volume)
    slices, between = slices_in_order(series)
    frames = _frames(series.headers)
    voxels = np.stack([frames[header.path][frame] for header, frame in slices])
    first = plane_of(slices[0])
    return Volume(
        luma(voxels) if voxels.ndim == 4 else voxels,
        np.column_stack([first.axes, first.normal]),
        (*first.spacing, between),
        tuple(first.position.tolist()),
    )


def _frames(headers: Sequence[Header]) -> dict[Path, NDArray[Any]]:
    """The pixels of each file: (frames, rows, columns), and 3 values for each in colour."""
    found: dict[Path, NDArray[Any]] = {}
    with compressed.Decoder() as decoder:
        for header in headers:
            with blaming(header.path), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = read_dataset(header.path)
                if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                    decoder.add(header.path, dataset)
                else:
                    found[header.path] = _in_unit(dataset, _plain(dataset))
        for path, dataset, pixels in decoder.decoded():
            with blaming(path):
                found[path] = _in_unit(dataset, pixels)
    for header in headers:
        with blaming(header.path):
            colours = [3] if header.is_colour else []
            found[header.path] = found[header.path].reshape(*header.shape, *colours)
    return found


def _plain(dataset: Dataset) -> NDArray[Any]:
    """Pixels that are not compressed; GDCM would crash on some damaged headers."""
    from pydicom.pixels.utils import get_expected_length, pixel_array

    pixels = pixel_array(dataset)
    excess = len(dataset.get("PixelData", b"")) - get_expected_length(dataset)
    shortest = min(dataset.Rows, dataset.Columns) * pixels.itemsize
    if excess > 1 and excess >= shortest:  # some scanners fill up to a length that they like
        raise ValueError(f"is damaged: it holds {excess} bytes more than the pixels that it claims")
    return pixels


def _in_unit(dataset: Dataset, pixels: NDArray[Any]) -> NDArray[Any]:
    """Stored values in the unit of the file, bright where they are meant to be; colours as such."""
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours
    is_inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    if dataset.get("ModalityLUTSequence"):  # in the place of slope and intercept
        pixels = apply_modality_lut(pixels, dataset)
        return np.iinfo(pixels.dtype).max - pixels if is_inverted else pixels
    if is_inverted:
        is_signed = pixels.dtype.kind == "i"
        pixels = (-1 if is_signed else (1 << dataset.BitsStored) - 1) - pixels
    slope, intercept = scale_of(dataset)
    if (slope, intercept) == (1, 0):
        return pixels
    if pixels.dtype.kind in "iu":
        expect_scale(slope, intercept, pixels.dtype)
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)
