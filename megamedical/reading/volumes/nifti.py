"""NIfTI 1 and 2, in one file or in two, packed or not, and Analyze, which is older than both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.limits import expect_scale
from megamedical.reading.volume import Volume
from megamedical.reading.volumes.detached import beside
from megamedical.reading.volumes.flat import VolumeReader
from megamedical.reading.volumes.header import expect_channel, expect_flat, expect_volume
from megamedical.reading.volumes.nifti_place import place_of, without_spacing
from megamedical.reading.volumes.packed import expect_end, expect_room, opened, voxels_in

if TYPE_CHECKING:
    import nibabel as nib

_FARTHEST = 1 << 28  # bytes before the first voxel: there is room for what others add


@dataclass(frozen=True)
class Claim:
    """What a header says of the voxels: the lengths of axes, i first, their type, what is in each.

    `values` is how many a voxel has, `begins` the byte at which the first one lies.
    """

    header: nib.Nifti1Header
    size: tuple[int, ...]
    kind: np.dtype[Any]
    values: int
    begins: int


class NiftiReader(VolumeReader):
    """NIfTI: a volume, several on one grid, or a picture."""

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""

        def expect(claim: Claim) -> None:
            if channel is None:
                expect_volume(path, claim.size, claim.values)
            else:
                expect_channel(path, claim.size, channel)

        claim, voxels = _read(path, expect, channel or 0)
        silent = without_spacing(claim.header, voxels.shape[::-1])
        if silent:
            raise SubjectError(
                "read", path.name, f"does not say how far apart its voxels lie along {silent}"
            )
        return Volume(voxels, *place_of(claim.header))

    def facing(self, path: Path) -> NDArray[np.float64]:
        """See `Reader`."""
        return place_of(header_of(path))[0]

    def flat(self, path: Path) -> NDArray[Any]:
        """See `VolumeReader`."""

        def expect(claim: Claim) -> None:
            expect_flat(path, claim.size, claim.values)

        return _read(path, expect)[1]


def header_of(path: Path) -> nib.Nifti1Header:
    """The header of the file that is named, NIfTI-1 or 2 or Analyze, as it stands there.

    Raises:
        SubjectError: it has none.
    """
    with opened(_header_file(path)) as content:
        return _header(content, path)


def _read(
    path: Path, expect: Callable[[Claim], None], channel: int = 0
) -> tuple[Claim, NDArray[Any]]:
    """What a file claims, if that is as expected, and one of its volumes, (k, j, i)."""
    file = _header_file(path)
    with opened(file) as content:
        claim = _claim(_header(content, path), path)
        expect(claim)
        if _magic(claim.header)[1:2] == b"+":
            content.read(claim.begins - len(claim.header.binaryblock))
            return claim, _voxels(content, claim, channel, path, file)
    if _kind_of(file) != ".hdr":
        raise SubjectError(
            "read", path.name, "says that its voxels are in a .img, and has another name"
        )
    file = _other_half(file, ".img")
    with opened(file) as content:
        content.read(claim.begins)
        return claim, _voxels(content, claim, channel, path, file)


def _header_file(path: Path) -> Path:
    return _other_half(path, ".hdr") if _kind_of(path) == ".img" else path


def _other_half(path: Path, suffix: str) -> Path:
    """The `.hdr` of an `.img`, or the other way round, zipped like this one or not."""
    bare = _unzipped_name(path)
    other = bare.with_suffix(suffix.upper() if bare.suffix.isupper() else suffix).name
    ends = [path.suffix, ""] if bare != path else ["", ".gz"]
    there = next((end for end in ends if (path.parent / f"{other}{end}").is_file()), ends[0])
    return beside(path, f"{other}{there}")


def _unzipped_name(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _kind_of(path: Path) -> str:
    return _unzipped_name(path).suffix.lower()


def _header(content: BinaryIO, path: Path) -> nib.Nifti1Header:
    import nibabel as nib

    kinds = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # by the length, which comes first
    first = content.read(4)
    length = next((n for order in "<>" if (n := _number(first, order)) in kinds), None)
    if length is None:
        raise SubjectError("read", path.name, "is no NIfTI, whatever its name says")
    block = first + content.read(length - 4)
    if len(block) < length:
        raise SubjectError("read", path.name, "is cut off in its header")
    header = kinds[length](
        block, endianness="<" if _number(first, "<") == length else ">", check=False
    )
    magic = _magic(header)
    known = {348: (b"n+1\0", b"ni1\0"), 540: (b"n+2\0", b"ni2\0")}[length]
    if magic in known:
        return header
    is_damaged = any(sum(a != b for a, b in zip(magic, each, strict=True)) == 1 for each in known)
    if length == 540 or is_damaged or _kind_of(path) not in (".hdr", ".img"):
        raise SubjectError("read", path.name, "is no NIfTI: its header lacks the word that says so")
    analyze = nib.AnalyzeHeader(block, endianness=header.endianness, check=False)
    orient = analyze["orient"].tobytes()[0]
    if orient:
        raise SubjectError(
            "read",
            path.name,
            f"says that its slices lie in another way than most of Analyze (orient {orient}), by "
            "which some programs go and others do not: convert it to NIfTI, and look at it",
        )
    return analyze


def _number(block: bytes, order: str) -> int:
    return int.from_bytes(block, "little" if order == "<" else "big")


def _magic(header: nib.Nifti1Header) -> bytes:
    """The word that says what it is, and whether its voxels follow (`n+1`) or not (`ni1`)."""
    return bytes(header["magic"].tobytes())[:4] if "magic" in header else b"\0\0\0\0"


def _claim(header: nib.Nifti1Header, path: Path) -> Claim:
    from nibabel.nifti1 import data_type_codes

    count, *lengths = (int(length) for length in header["dim"])
    if not 1 <= count <= len(lengths):
        raise SubjectError("read", path.name, f"its header claims {count} dimensions")
    code = int(header["datatype"])
    kind = np.dtype(data_type_codes.dtype[code]) if code in data_type_codes.dtype else np.dtype("V")
    values = len(kind.names) if kind.names else 2 if kind.kind == "c" else 1
    if not kind.itemsize or (kind.kind == "f" and kind.itemsize > 8):
        raise SubjectError("read", path.name, f"has voxels of a type that is not known ({code})")
    begins = float(header["vox_offset"])
    least = len(header.binaryblock) if _magic(header)[1:2] == b"+" else 0
    if not least <= begins <= _FARTHEST:
        raise SubjectError(
            "read", path.name, f"its header says that voxels begin at byte {begins:g}"
        )
    return Claim(
        header, tuple(lengths[:count]), kind.newbyteorder(header.endianness), values, int(begins)
    )


def _voxels(content: BinaryIO, claim: Claim, channel: int, path: Path, file: Path) -> NDArray[Any]:
    """One of the volumes that follow, in the unit that slope and intercept give."""
    i, j, k, *more = (*claim.size, 1, 1)[: max(3, len(claim.size))]
    length = i * j * k * math.prod(more) * claim.kind.itemsize
    expect_room(length, file, path)
    for number in range(math.prod(more)):
        voxels = voxels_in(content, claim.kind, (k, j, i), path)
        if number == channel:
            found = voxels
    expect_end(content, length // max(claim.size), path)
    return _scaled(found, claim.header, path)


def _scaled(voxels: NDArray[Any], header: nib.Nifti1Header, path: Path) -> NDArray[Any]:
    """Voxels in their unit; a slope of 0 is none, as the standard has it, whatever is beside it.

    In Analyze SPM, and what reads it, have a slope and an intercept where nobody else has anything.
    """
    names = ("scl_slope", "scl_inter") if "scl_slope" in header else ("funused1", "funused2")
    slope, intercept = (float(header[name]) for name in names)
    if not math.isfinite(slope) or slope == 0 or (slope, intercept) == (1, 0):
        return voxels
    if not math.isfinite(intercept):
        raise SubjectError(
            "read", path.name, f"has a slope of {slope:g}, and an intercept of {intercept:g}"
        )
    if voxels.dtype.kind == "f":
        return voxels * np.float64(slope) + np.float64(intercept)
    expect_scale(slope, intercept, voxels.dtype)
    scaled = np.empty(voxels.shape, np.float32)
    for plane, target in zip(voxels, scaled, strict=True):
        target[...] = plane.astype(np.float64) * slope + intercept
    return scaled
