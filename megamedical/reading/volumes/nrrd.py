"""NRRD: `.nrrd`, and `.nhdr` with its voxels in a file beside it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.volume import Volume
from megamedical.reading.volumes.detached import beside
from megamedical.reading.volumes.flat import VolumeReader
from megamedical.reading.volumes.header import expect_flat, expect_volume, millimetres
from megamedical.reading.volumes.packed import Packing
from megamedical.reading.volumes.stored import Stored, header_lines, numbers_of, sizes_of

_KINDS = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long"), "i8"),
    **dict.fromkeys(("signed long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8"),
    **dict.fromkeys(("uint64", "uint64_t"), "u8"),
    **dict.fromkeys(("int16_t",), "i2"),
    **dict.fromkeys(("uint16_t",), "u2"),
    "float": "f4",
    "double": "f8",
}
_PACKINGS: Mapping[str, Packing] = {
    "raw": "",
    **dict.fromkeys(("gzip", "gz"), "gzip"),
    **dict.fromkeys(("bzip2", "bz2"), "bzip2"),
}
_TEXT = ("ascii", "txt", "text")
_TO_LPS = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1, -1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1, -1, 1)),
    **dict.fromkeys(("left-posterior-superior", "lps", "", "scanner-xyz"), (1, 1, 1)),
    **dict.fromkeys(("3d-right-handed", "3d-left-handed"), (1, 1, 1)),
}
_FIELDS = frozenset(
    [
        "axismaxs",
        "axismins",
        "blocksize",
        "byteskip",
        "centerings",
        "centers",
        "content",
        "datafile",
        "dimension",
        "encoding",
        "endian",
        "kinds",
        "labels",
        "lineskip",
        "max",
        "measurementframe",
        "min",
        "number",
        "oldmax",
        "oldmin",
        "sampleunits",
        "sizes",
        "space",
        "spacedimension",
        "spacedirections",
        "spaceorigin",
        "spaceunits",
        "spacings",
        "thicknesses",
        "type",
        "units",
        "blocksizes",
    ]
)
_MOST = 16  # dimensions
_ROUNDED = 1e-3  # of a length
_OF_SPACE = ("domain", "space", "???", "none", "")  # kinds of axes along which voxels lie


@dataclass(frozen=True)
class Header:
    """What a file says: `fields` by their names, `values` what others wrote as `key:=value`.

    `length` is that of the header in bytes.
    """

    fields: Mapping[str, str]
    values: Mapping[str, str]
    length: int


class NrrdReader(VolumeReader):
    """NRRD: a volume, or a picture."""

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        if channel is not None:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        header = read_header(path)
        stored = stored_of(path, header)
        axes = axes_of_space(header, len(stored.size))
        size = [stored.size[axis] for axis in axes]
        values = math.prod(stored.size) // max(math.prod(size), 1)
        if values > 1 and _segments(header):
            raise SubjectError(
                "read",
                path.name,
                f"is a segmentation of Slicer whose segments ({', '.join(_segments(header))}) lie "
                f"in {values} layers: export them from Slicer as one label map, or a file for each",
            )
        expect_volume(path, size, values)
        return place(stored.read(path).reshape(size[2::-1]), header, axes[:3], path)

    def flat(self, path: Path) -> NDArray[Any]:
        """See `VolumeReader`."""
        header = read_header(path)
        stored = stored_of(path, header)
        of_space = math.prod(stored.size[axis] for axis in axes_of_space(header, len(stored.size)))
        expect_flat(path, stored.size, math.prod(stored.size) // max(of_space, 1))
        return stored.read(path)

    def facing(self, path: Path) -> NDArray[np.float64]:
        """See `Reader`."""
        header = read_header(path)
        axes = axes_of_space(header, len(stored_of(path, header).size))
        return _facing(header, axes[:3], path)


def _facing(header: Header, axes: Sequence[int], path: Path) -> NDArray[np.float64]:
    """Where two axes or three point; a third that is not there is at right angles to both."""
    said, to_lps = header.fields, np.array(_to_lps(header.fields.get("space", ""), path))
    if "spacedirections" in said:
        vectors = re.findall(r"none|\([^)]*\)", said["spacedirections"])
        steps = [_short_vector(vectors[axis], path) for axis in axes]
    else:
        lengths = _lengths(said.get("spacings", ""), axes)
        steps = [length * axis for length, axis in zip(lengths, np.eye(3), strict=False)]
    turned: list[NDArray[np.float64]] = [to_lps * step for step in steps]
    if len(turned) == 2:
        turned.append(np.cross(turned[0], turned[1]))
    matrix = np.column_stack(turned)
    with np.errstate(invalid="ignore", divide="ignore"):  # no length, no direction
        found: NDArray[np.float64] = matrix / np.linalg.norm(matrix, axis=0)
    return found


def _short_vector(said: str, path: Path) -> NDArray[np.float64]:
    """A vector in a space of two dimensions or three."""
    count = said.count(",") + 1
    numbers = numbers_of(said.strip("()").replace(",", " "), count, path)
    return np.array([*numbers, 0.0, 0.0])[:3]


def _segments(header: Header) -> list[str]:
    """The names of what Slicer has segmented, in their order; none in any other file."""
    names = {
        key: name for key, name in header.values.items() if re.fullmatch(r"Segment\d+_Name", key)
    }
    return [names[key] for key in sorted(names, key=lambda key: int(re.findall(r"\d+", key)[0]))]


def read_header(path: Path) -> Header:
    """What is said before the voxels.

    Raises:
        SubjectError: it is no NRRD.
    """
    lines, length = header_lines(path)
    if not lines or not re.fullmatch("NRRD000[1-9]", lines[0]):
        raise SubjectError("read", path.name, "is no NRRD, whatever its name says")
    fields, values = {}, {}
    for line in lines[1:]:
        if line.startswith("#"):
            continue
        key, sign, text = line.partition(":")
        if not sign:
            raise SubjectError("read", path.name, f"its header says {line!r}")
        if text.startswith("="):
            values[key.strip()] = text[1:].strip()
        else:
            field = key.replace(" ", "").lower()
            if field in fields:
                raise SubjectError("read", path.name, f"its header says {key} twice")
            fields[field] = text.strip()
    unknown = fields.keys() - _FIELDS
    if unknown:
        raise SubjectError("read", path.name, f"its header says {min(unknown)}, which NRRD has not")
    return Header(fields, values, length)


def stored_of(path: Path, header: Header) -> Stored:
    """Where the voxels of a file are.

    Raises:
        SubjectError: the header does not say it, or they are nowhere that may be read.
    """
    said = header.fields
    for field in ("type", "dimension", "sizes", "encoding"):
        if field not in said:
            raise SubjectError("read", path.name, f"is no NRRD: its header has no {field}")
    kind, encoding = _KINDS.get(said["type"].lower()), said["encoding"].lower()
    if kind is None:
        raise SubjectError("read", path.name, f"has voxels of type {said['type']}")
    if encoding not in _PACKINGS and encoding not in _TEXT:
        raise SubjectError("read", path.name, f"is encoded as {encoding}: save it raw or in gzip")
    if kind[1] != "1" and encoding in _PACKINGS and said.get("endian") not in ("little", "big"):
        raise SubjectError("read", path.name, "its header does not say in what order bytes come")
    (count,) = sizes_of(said["dimension"], 1, path)
    if not 0 < count <= _MOST:
        raise SubjectError("read", path.name, f"its header claims {count} dimensions")
    detached = said.get("datafile", "")
    is_detached = "datafile" in said
    file = beside(path, detached) if is_detached else path
    (skipped,) = sizes_of(said.get("byteskip", "0"), 1, path)
    if int(said.get("lineskip", "0")):
        raise SubjectError("read", path.name, "skips lines before its voxels: save it anew")
    if skipped < 0 and encoding != "raw":
        raise SubjectError("read", path.name, "counts its voxels from the end, and is packed")
    return Stored(
        file=file,
        begins=None if skipped < 0 else 0 if is_detached else header.length,
        packing=_PACKINGS.get(encoding, ""),
        is_text=encoding in _TEXT,
        kind=np.dtype(kind).newbyteorder(">" if said.get("endian") == "big" else "<"),
        size=sizes_of(said["sizes"], count, path),
        skipped=max(skipped, 0),
    )


def axes_of_space(header: Header, count: int) -> list[int]:
    """Which axes are of space; along others lie the values of a voxel."""
    directions, kinds = header.fields.get("spacedirections"), header.fields.get("kinds")
    if directions is not None:
        vectors = re.findall(r"none|\([^)]*\)", directions)
        found = [axis for axis, vector in enumerate(vectors) if vector != "none"]
    elif kinds is not None:
        found = [axis for axis, kind in enumerate(kinds.split()) if kind.lower() in _OF_SPACE]
    else:
        found = [*range(count)]
    return [axis for axis in found if axis < count]


def place(voxels: NDArray[Any], header: Header, axes: Sequence[int], path: Path) -> Volume:
    """Voxels (k, j, i) where a header says that they lie; `axes` are those of i, j and k."""
    said = header.fields
    origin = _vector(said["spaceorigin"], path) if "spaceorigin" in said else np.zeros(3)
    if "spacedirections" in said:
        vectors = re.findall(r"none|\([^)]*\)", said["spacedirections"])
        steps = np.column_stack([_vector(vectors[axis], path) for axis in axes])
        told = _lengths(said.get("spacings", ""), axes, otherwise=math.nan)
        if (np.abs(np.linalg.norm(steps, axis=0) - np.abs(told)) > _ROUNDED * np.abs(told)).any():
            raise SubjectError(
                "read", path.name, "its header says other spacings than its space directions have"
            )
        to_mm = _units(said.get("spaceunits", ""), range(3), path)
        steps, origin = to_mm[:, None] * steps, to_mm * origin
    else:
        to_mm = _units(said.get("units", ""), axes, path)
        if "axismaxs" in said and "spacings" not in said:
            raise SubjectError(
                "read", path.name, "says where its axes begin and end, not its spacings: save these"
            )
        lengths = _lengths(said.get("spacings", ""), axes) * to_mm
        steps = np.diag(lengths)
        if "spaceorigin" not in said:
            begins = _lengths(said.get("axismins", ""), axes, otherwise=0.0) * to_mm
            centers = said.get("centers", said.get("centerings", ""))
            centred = [c in ("cell", "") for c in _words(centers, axes)]
            origin = begins + np.where(centred, lengths / 2, 0) * ("axismins" in said)
    to_lps = np.array(_to_lps(said.get("space", ""), path))
    spacing = np.sqrt((steps**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):  # no spacing, no directions
        directions = to_lps[:, None] * steps / spacing
    return Volume(voxels, directions, tuple(spacing.tolist()), tuple((to_lps * origin).tolist()))


def _to_lps(space: str, path: Path) -> tuple[int, int, int]:
    """The sense of each axis of a space; one that is none of the body is taken for LPS, as in ITK.

    Raises:
        SubjectError: NRRD knows no such space: a letter of it is damaged.
    """
    name = space.strip().strip('"').lower()
    found = _TO_LPS.get(name.removesuffix("-time").removesuffix("t") or name, _TO_LPS.get(name))
    if found is None:
        raise SubjectError("read", path.name, f"lies in a space {space!r}, which NRRD has not")
    return found


def _units(said: str, axes: Iterable[int], path: Path) -> NDArray[np.float64]:
    """How long the unit of each axis is, in mm."""
    words = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', said)]
    units = [words[axis] if axis < len(words) else "" for axis in axes]
    return np.array([millimetres(unit, path) for unit in units])


def _vector(said: str, path: Path) -> NDArray[np.float64]:
    numbers = numbers_of(said.strip().strip("()").replace(",", " "), 3, path)
    return np.array(numbers)


def _words(said: str, axes: Sequence[int]) -> list[str]:
    words = said.lower().split()
    return [words[axis] if axis < len(words) else "" for axis in axes]


def _lengths(said: str, axes: Sequence[int], otherwise: float = 1.0) -> NDArray[np.float64]:
    numbers = np.array([float(word or "nan") for word in _words(said, axes)])
    return np.where(np.isfinite(numbers), numbers, otherwise)
