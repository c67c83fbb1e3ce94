"""MetaImage: `.mha`, and `.mhd` with its voxels in a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.volume import Volume
from megamedical.reading.volumes.detached import beside
from megamedical.reading.volumes.flat import VolumeReader
from megamedical.reading.volumes.header import expect_flat, expect_volume, millimetres
from megamedical.reading.volumes.stored import Stored, header_lines, numbers_of, sizes_of

_KINDS = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_KEYS = frozenset(
    [
        "NDims",
        "DimSize",
        "DistanceUnits",
        "ElementType",
        "ElementDataFile",
        "ElementSpacing",
        "ElementSize",
        "Offset",
        "Position",
        "Origin",
        "TransformMatrix",
        "Rotation",
        "Orientation",
        "ElementNumberOfChannels",
        "HeaderSize",
        "CompressedData",
        "CompressedDataSize",
        "BinaryData",
        "BinaryDataByteOrderMSB",
        "ElementByteOrderMSB",
        "ElementToIntensityFunctionSlope",
        "ElementToIntensityFunctionOffset",
    ]
)
_MOST = 9  # dimensions


class MetaImageReader(VolumeReader):
    """MetaImage: a volume, or a picture."""

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        if channel is not None:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        said, stored = _described(path)
        expect_volume(path, stored.size, _values(said))
        voxels = stored.read(path).reshape(stored.size[2::-1])
        count = len(stored.size)
        to_mm = millimetres(said.get("DistanceUnits", ""), path)
        spacing = np.abs(_spacing(said, count, path))[:3] * to_mm
        origin = _of(said, ("Offset", "Position", "Origin"), np.zeros(count), path)[:3] * to_mm
        directions = _directions(said, count, path)[:3, :3]
        return Volume(voxels, directions, tuple(spacing.tolist()), tuple(origin.tolist()))

    def flat(self, path: Path) -> NDArray[Any]:
        """See `VolumeReader`."""
        said, stored = _described(path)
        expect_flat(path, stored.size, _values(said))
        return stored.read(path)

    def facing(self, path: Path) -> NDArray[np.float64]:
        """See `Reader`."""
        said, stored = _described(path)
        directions, count = np.eye(3), min(len(stored.size), 3)
        of_file = _directions(said, len(stored.size), path)
        directions[:count, :count] = of_file[:count, :count]
        return directions


def _described(path: Path) -> tuple[Mapping[str, str], Stored]:
    """What a header says, and where the voxels are."""
    lines, length = header_lines(path)
    said = _said(path, lines)
    _expect_known(path, said)
    return said, _stored(path, said, length)


def _values(said: Mapping[str, str]) -> int:
    return int(said.get("ElementNumberOfChannels", "1"))


def _spacing(said: Mapping[str, str], count: int, path: Path) -> NDArray[np.float64]:
    key = "ElementSpacing" if "ElementSpacing" in said else "ElementSize"
    spacing = _of(said, (key,), np.ones(count), path)
    if not spacing[:3].all():
        raise SubjectError("read", path.name, "its header says that voxels lie 0 mm apart")
    return spacing


def _directions(said: Mapping[str, str], count: int, path: Path) -> NDArray[np.float64]:
    """Where the axes point, as columns; one along which spacing is negative points back."""
    matrix = _of(said, ("TransformMatrix", "Rotation", "Orientation"), np.eye(count), path)
    turned: NDArray[np.float64] = matrix.reshape(count, count).T
    return turned * np.where(_spacing(said, count, path) < 0, -1.0, 1.0)


def _said(path: Path, lines: list[str]) -> dict[str, str]:
    said = {}
    for line in lines:
        key, sign, text = line.partition("=")
        if line.strip() and not sign:
            raise SubjectError("read", path.name, f"its header says {line!r}, with no = in it")
        if key.strip() in said and key.strip() in _KEYS:
            raise SubjectError("read", path.name, f"its header says {key.strip()} twice")
        said[key.strip()] = text.strip()
    return said


def _expect_known(path: Path, said: Mapping[str, str]) -> None:
    """Refuse a key that is almost one of those that say how to read: it was one, and is damaged."""
    for key in said.keys() - _KEYS:
        meant = next((known for known in _KEYS if _are_near(key, known)), None)
        if meant:
            raise SubjectError("read", path.name, f"its header says {key!r}: is {meant} meant?")


def _are_near(one: str, other: str) -> bool:
    if one.lower() == other.lower():
        return True
    return len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


def _stored(path: Path, said: Mapping[str, str], length: int) -> Stored:
    for key in ("NDims", "DimSize", "ElementType", "ElementDataFile"):
        if key not in said:
            raise SubjectError("read", path.name, f"is no MetaImage: its header has no {key}")
    if said["ElementType"] not in _KINDS:
        raise SubjectError("read", path.name, f"has voxels of type {said['ElementType']}")
    if float(said.get("ElementToIntensityFunctionSlope", 1)) != 1 or float(
        said.get("ElementToIntensityFunctionOffset", 0)
    ):
        raise SubjectError("read", path.name, "has a slope and an offset: convert it first")
    (count,) = sizes_of(said["NDims"], 1, path)
    if not 0 < count <= _MOST:
        raise SubjectError("read", path.name, f"its header claims {count} dimensions")
    is_local = said["ElementDataFile"].upper() == "LOCAL"
    skipped = int(said.get("HeaderSize", "0"))
    is_big = any(_is_true(said, f"{what}ByteOrderMSB") for what in ("Element", "BinaryData"))
    is_packed = _is_true(said, "CompressedData")
    if is_packed and skipped:
        raise SubjectError("read", path.name, "is packed, and its voxels begin somewhere in it")
    return Stored(
        file=path if is_local else beside(path, said["ElementDataFile"]),
        begins=None if skipped < 0 else skipped or (length if is_local else 0),
        packing="zlib" if is_packed else "",
        is_text=not _is_true(said, "BinaryData", "True"),
        kind=np.dtype(_KINDS[said["ElementType"]]).newbyteorder(">" if is_big else "<"),
        size=sizes_of(said["DimSize"], count, path),
        packed=_packed(path, said) if is_packed and not is_local else None,
    )


def _packed(path: Path, said: Mapping[str, str]) -> int | None:
    """The length of what is packed: ITK leaves what was in a longer file before."""
    size = said.get("CompressedDataSize")
    return max(sizes_of(size, 1, path)[0], 0) if size else None


def _is_true(said: Mapping[str, str], key: str, otherwise: str = "False") -> bool:
    return said.get(key, otherwise)[:1].upper() in ("T", "1")


def _of(
    said: Mapping[str, str], keys: tuple[str, ...], otherwise: np.ndarray, path: Path
) -> np.ndarray:
    """The numbers under those of some keys that are there, which mean the same.

    Raises:
        SubjectError: they are not so many, or two keys say different things.
    """
    found = {key: numbers_of(said[key], otherwise.size, path) for key in keys if key in said}
    if len({*map(tuple, found.values())}) > 1:
        raise SubjectError(
            "read", path.name, f"its header says different things in {' and '.join(found)}"
        )
    return next((np.array(numbers) for numbers in found.values()), otherwise)
