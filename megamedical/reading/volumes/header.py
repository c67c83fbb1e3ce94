"""What a header claims, before anything is read or allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from megamedical.errors import SubjectError
from megamedical.reading.limits import VOLUME

_UNITS = {
    **dict.fromkeys(("", "?", "none", "unknown", "voxel", "voxels", "pixel", "pixels"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers"), 1e-3),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-6),
}


def expect_volume(path: Path, size: Sequence[int], values: int = 1) -> None:
    """Make sure that a header claims one volume of a size that can be.

    Args:
        path: the file.
        size: the lengths of its axes; all after the third must be 1.
        values: how many there are in a voxel.

    Raises:
        SubjectError: it has other dimensions, several values in a voxel, or is larger than a scan.
    """
    expect_size(path, size)
    if len(size) < 3 or any(length != 1 for length in size[3:]):
        raise SubjectError(
            "read", path.name, f"has {len(size)} dimensions ({by(size)}), the manifest declares 3"
        )
    if values != 1:
        raise SubjectError("read", path.name, f"has {values} values a voxel, not one")


def expect_flat(path: Path, size: Sequence[int], values: int = 1) -> None:
    """Make sure that a header claims one picture, whatever axes of length 1 it has besides.

    Raises:
        SubjectError: it has other dimensions, several values in a pixel, or is larger than a scan.
    """
    expect_size(path, size)
    if values != 1 or sum(length > 1 for length in size) > 2:
        each = f" with {values} values a pixel" if values != 1 else ""
        raise SubjectError("read", path.name, f"is no picture: it is {by(size)}{each}")


def expect_channel(path: Path, size: Sequence[int], channel: int) -> None:
    """Make sure that a header claims several volumes of one grid, and so many.

    Raises:
        SubjectError: it does not, or is larger than a scan.
    """
    expect_size(path, size)
    if len(size) != 4 or not 0 <= channel < size[3]:
        raise SubjectError("read", path.name, f"has no channel {channel}: it is {by(size)}")


def expect_size(path: Path, size: Sequence[int]) -> None:
    """Make sure that the lengths of axes can be.

    Raises:
        SubjectError: one is not positive, or there are more voxels than in any scan.
    """
    if not size or min(size) < 1:
        raise SubjectError("read", path.name, f"its header claims a size of {by(size)} voxels")
    if math.prod(size) > VOLUME:
        raise SubjectError("read", path.name, "its header claims more than 2 billion voxels")


def millimetres(unit: str, path: Path) -> float:
    """How long a unit of length is, in mm; one that is not said is a millimetre.

    Raises:
        SubjectError: it is no length that is known.
    """
    try:
        return _UNITS[unit.strip().lower()]
    except KeyError:
        raise SubjectError(
            "read", path.name, f"measures its voxels in {unit!r}: save it in millimetres"
        ) from None


def by(size: Sequence[int]) -> str:
    """A size in words: `512x512x120`."""
    return "x".join(str(length) for length in size) or "no"
