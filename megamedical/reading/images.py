"""Files into arrays: volumes in canonical orientation, pictures in grey, label maps as integers.

The reader is the one that `formats` has for the file. Whatever a file holds, it ends as an array or
as one `SubjectError` that says what is wrong with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Grey
from megamedical.reading.formats import reader_of
from megamedical.reading.library_errors import blaming
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume, canonical


def read_scan(path: Path, dimension: int, grey: Grey = "float") -> Scan:
    """Read an image.

    Args:
        path: the file, whose suffix says what it is, or the folder of a DICOM series.
        dimension: 3 for a volume, 2 for a picture.
        grey: what becomes of colour, see `Group`.

    Raises:
        SubjectError: the file is damaged, of another dimension, or its axes are not orthonormal.
    """
    if dimension == 3:
        return scan_of(read_volume(path), path)
    with blaming(path):
        pixels = reader_of(path).picture(path, grey)
    expect_intensities(pixels, path)
    return Scan(pixels, (1.0, 1.0))


def scan_of(volume: Volume, path: Path) -> Scan:
    """A volume that was read from a path, as `read_scan` gives it.

    Raises:
        SubjectError: its axes are not orthonormal, or what it holds are no intensities.
    """
    expect_intensities(volume.voxels, path)
    return canonical(volume)


def expect_intensities(voxels: NDArray[Any], path: Path) -> None:
    """Make sure that values can be those of an image.

    Raises:
        SubjectError: they are complex numbers, records or text.
    """
    if voxels.dtype.kind not in "biuf":
        raise SubjectError("read", path.name, f"holds {voxels.dtype} values, not intensities")


def read_label_values(path: Path, dimension: int, bit: int = 1) -> NDArray[Any]:
    """Read an annotation as integers, on axes in canonical order like those of its image.

    A palette picture gives its indices, not its colours. In a file of one bit a pixel, one that is
    set becomes `bit`.

    Raises:
        SubjectError: as `read_scan`; or the values are not whole numbers, or have several channels.
    """
    if dimension == 3:
        return labels_of(read_volume(path), path)
    with blaming(path):
        values = reader_of(path).labels(path)
    return whole_numbers(values, path, bit)


def labels_of(volume: Volume, path: Path) -> NDArray[Any]:
    """The label values of a volume that was read from a path, as `read_label_values` gives them.

    Raises:
        SubjectError: its axes are not orthonormal, or its values are not whole numbers.
    """
    return whole_numbers(canonical(volume).voxels, path)


def read_volume(path: Path, channel: int | None = None) -> Volume:
    """Read a volume on its own axes: a file, or a folder that holds one DICOM series.

    Args:
        path: the file or folder.
        channel: which volume of a file is meant that holds several of one grid, counted from 0.

    Raises:
        SubjectError: as `read_scan`.
    """
    with blaming(path):
        return reader_of(path).volume(path, channel)


def may_be_read_at_once(one: Path, other: Path) -> bool:
    """Whether two threads may read two volumes at the same time, each as if it were alone."""
    return reader_of(one).shares_nothing and reader_of(other).shares_nothing


def whole_numbers(values: NDArray[Any], path: Path, bit: int = 1) -> NDArray[Any]:
    """Label values as integers, however they were written; a bit that is set becomes `bit`.

    Raises:
        SubjectError: a value is not within 0.001 of a whole number.
    """
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "b":
        return values.astype(np.min_scalar_type(bit)) * bit
    if values.dtype.kind != "f":
        raise SubjectError("decode", path.name, f"holds {values.dtype} values, not labels")
    if not np.isfinite(values).all():
        raise SubjectError("decode", path.name, "holds NaN or infinite label values")
    rounded = np.rint(values)
    if np.abs(values - rounded).max(initial=0) > 1e-3:
        broken = values[np.abs(values - rounded) > 1e-3][0]
        raise SubjectError("decode", path.name, f"holds {broken:g}, which is no label value")
    if np.abs(rounded).max(initial=0) > np.iinfo(np.int32).max:
        raise SubjectError("decode", path.name, f"holds {np.abs(rounded).max():g} as a label value")
    return rounded.astype(np.int32)
