"""`.seg.nrrd` of 3D Slicer: segments with names and colours, in layers where they overlap."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.limits import expect_volume as expect_scan
from megamedical.reading.volume import Volume
from megamedical.reading.volumes.header import expect_volume
from megamedical.reading.volumes.nrrd import (
    Header,
    axes_of_space,
    place,
    read_header,
    stored_of,
)
from universeg.annotations.drawing import Named, sheets_of
from universeg.annotations.volumes.placing import placed
from universeg.annotations.volumes.segments import Segments

_NAME = re.compile(r"Segment(\d+)_Name")
_PROGRAM = "3D Slicer"


@dataclass(frozen=True)
class _Segment:
    """Its name, its value within its layer, its colour as `#rrggbb`."""

    name: str
    value: int
    layer: int
    colour: str


def slicer_segments(path: Path) -> Segments | None:
    """What Slicer has segmented, of which no voxel is read yet; None in any other NRRD.

    Raises:
        SubjectError: its header is damaged.
    """
    header = read_header(path)
    segments = _segments(header, path)
    if not segments:
        return None
    values = [segment.value for segment in segments]
    are_told_apart = len({*values}) == len(values)
    labels = [
        Named(segment.name, segment.value if are_told_apart else None, segment.colour)
        for segment in segments
    ]
    return Segments(path, _PROGRAM, labels, "", _painted)


def _segments(header: Header, path: Path) -> list[_Segment]:
    numbers = sorted(int(found[1]) for key in header.values if (found := _NAME.fullmatch(key)))
    segments = []
    for place_of_it, number in enumerate(numbers):
        said = {
            key: header.values.get(f"Segment{number}_{key}", "")
            for key in ("Name", "LabelValue", "Layer", "Color")
        }
        is_layered = header.fields.get("dimension") == "4"
        try:
            value = int(said["LabelValue"] or (1 if is_layered else place_of_it + 1))
            layer = int(said["Layer"] or (place_of_it if is_layered else 0))
        except ValueError:
            raise SubjectError(
                "read", path.name, f"gives segment {said['Name']} no whole number for its label"
            ) from None
        segments.append(_Segment(said["Name"].strip(), value, layer, _colour(said["Color"])))
    return segments


def _painted(
    path: Path, image: Volume, values: Mapping[str, int], say: Callable[[str], None]
) -> NDArray[Any]:
    """The segments on the voxels of an image; the file may hold a part of its grid only."""
    header = read_header(path)
    grids = _layers(path, header)
    meant = [segment for segment in _segments(header, path) if segment.name in values and grids]
    for segment in meant:
        if not 0 <= segment.layer < len(grids):
            raise SubjectError(
                "read", path.name, f"has {len(grids)} layers, and {segment.name} in another one"
            )
    found = {layer: placed(grids[layer], image) for layer in {each.layer for each in meant}}
    if not all(is_same for _, is_same in found.values()):
        say(f"{path.name} lies on another grid than its image: the nearest voxels are taken")
    layers = ((values[each.name], found[each.layer][0] == each.value) for each in meant)
    return sheets_of(layers, image.voxels.shape)


def _layers(path: Path, header: Header) -> list[Volume]:
    """The grids of all layers; none, where Slicer had nothing to save."""
    stored = stored_of(path, header)
    axes = axes_of_space(header, len(stored.size))
    if len(axes) != 3 or len(stored.size) not in (3, 4):
        raise SubjectError("read", path.name, "has segments that are no volume")
    if math.prod(stored.size) == 1:
        return []
    size = [stored.size[axis] for axis in axes]
    expect_volume(path, size)
    expect_scan(stored.size)
    voxels = stored.read(path)
    count = voxels.ndim
    of_space = [count - 1 - axis for axis in reversed(axes)]  # in the array, which is turned around
    others = [axis for axis in range(count) if axis not in of_space]
    voxels = voxels.transpose([*others, *of_space]).reshape(-1, *size[::-1])
    return [place(layer, header, axes, path) for layer in voxels]


def _colour(said: str) -> str:
    """`#rrggbb` of three shares from 0 to 1."""
    try:
        shares = [float(each) for each in said.split()]
    except ValueError:
        return ""
    if len(shares) != 3 or not all(0 <= share <= 1 for share in shares):
        return ""
    return "#{:02x}{:02x}{:02x}".format(*(round(share * 255) for share in shares))
