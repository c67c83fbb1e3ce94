"""What somebody drew on one picture: regions with the names of labels, as pixels of that picture.

Coordinates are those of all programs that draw on pictures: x to the right, y down, in pixels, the
corner of the first pixel at (0, 0) and its middle at (0.5, 0.5). A pixel is inside where its middle
is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.subjects.contours import inside

Points = NDArray[np.float64]
Box = tuple[slice, slice]
Shape = tuple[int, int]

_MOST_WORK = 1 << 33  # pixels of all boxes around what is drawn, and rows times points


class Region(Protocol):
    """A part of a picture; `points` are those that each of its rows is held against."""

    @property
    def points(self) -> int:
        """How many there are."""
        ...

    def box(self, shape: Shape) -> Box:
        """The rows and columns of a picture (H, W) that it may be in."""
        ...

    def pixels(self, box: Box) -> NDArray[np.bool_]:
        """Which pixels of a box belong to it, (h, w)."""
        ...


@dataclass(frozen=True, eq=False)
class Rings:
    """What closed lines of points (N, 2) surround; what two of them surround is a hole."""

    rings: Sequence[Points]

    @property
    def points(self) -> int:
        """See `Region`."""
        return sum(map(len, self.rings))

    def box(self, shape: Shape) -> Box:
        """See `Region`."""
        return _box_around(np.concatenate(self.rings), shape)

    def pixels(self, box: Box) -> NDArray[np.bool_]:
        """See `Region`."""
        rows, columns = box
        found = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.bool_)
        for ring in self.rings:
            found ^= inside(ring - (columns.start + 0.5, rows.start + 0.5), found.shape)
        return found


@dataclass(frozen=True)
class Ellipse:
    """An ellipse: its middle, its half axes in pixels, turned clockwise by an angle in radians."""

    middle: tuple[float, float]
    radii: tuple[float, float]
    angle: float = 0.0
    points: int = 0

    def box(self, shape: Shape) -> Box:
        """See `Region`."""
        reach = max(self.radii)
        corners = np.array(self.middle) + np.array([[-reach, -reach], [reach, reach]])
        return _box_around(corners, shape)

    def pixels(self, box: Box) -> NDArray[np.bool_]:
        """See `Region`."""
        rows, columns = box
        y, x = np.ogrid[rows, columns]
        across, down = x + 0.5 - self.middle[0], y + 0.5 - self.middle[1]
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        along = (across * cosine + down * sine) / self.radii[0]
        aside = (down * cosine - across * sine) / self.radii[1]
        found: NDArray[np.bool_] = along**2 + aside**2 <= 1
        return found


@dataclass(frozen=True, eq=False)
class Bitmap:
    """Pixels (h, w) at a place: those of `left` and `top` are the first ones."""

    left: int
    top: int
    values: NDArray[np.bool_]
    points: int = 0

    def box(self, shape: Shape) -> Box:
        """See `Region`."""
        height, width = self.values.shape
        return _side(self.top, self.top + height, shape[0]), _side(
            self.left, self.left + width, shape[1]
        )

    def pixels(self, box: Box) -> NDArray[np.bool_]:
        """See `Region`."""
        rows, columns = box
        return self.values[
            rows.start - self.top : rows.stop - self.top,
            columns.start - self.left : columns.stop - self.left,
        ]


@dataclass(frozen=True)
class Mark:
    """A region, and the name of its label."""

    label: str
    region: Region


@dataclass(frozen=True, eq=False)
class Drawing:
    """All that is drawn on one picture.

    `image` is how the file calls it, maybe with folders; `size` is its (H, W) as the file says it,
    if it does.
    """

    file: Path
    image: str
    size: Shape | None
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Named:
    """A label as a file has it: its name, the value that it is known by, its colour."""

    name: str
    value: int | None = None
    colour: str = ""


@dataclass(frozen=True)
class Annotations:
    """What one file holds: drawings, labels that it names beside those drawn, what is not used."""

    drawings: Sequence[Drawing]
    labels: Sequence[Named] = ()
    notes: Sequence[str] = field(default_factory=list)

    def named(self) -> Iterator[Named]:
        """All labels, also such as are drawn only."""
        yield from self.labels
        known = {label.name for label in self.labels}
        for drawing in self.drawings:
            for mark in drawing.marks:
                if mark.label not in known:
                    known.add(mark.label)
                    yield Named(mark.label)


def label_maps(drawing: Drawing, shape: Shape, values: Mapping[str, int]) -> NDArray[Any]:
    """A drawing as label values on its picture.

    Args:
        drawing: the regions.
        shape: of the picture, (H, W).
        values: of labels, by their names; others are left out.

    Returns:
        (H, W); or (K, H, W) where labels overlap, each of which is in one of the K.

    Raises:
        SubjectError: it was drawn on a picture of another size, or would take for ever to paint.
    """
    if drawing.size and drawing.size != shape:
        sizes = (" x ".join(map(str, each)) for each in (drawing.size, shape))
        said = "was drawn on a picture of {}, the image is {}: is it the same picture?"
        raise SubjectError("match", drawing.file.name, said.format(*sizes))
    layers: dict[int, NDArray[np.bool_]] = {}
    work = 0
    for mark in drawing.marks:
        if mark.label not in values:
            continue
        box = mark.region.box(shape)
        height, width = (side.stop - side.start for side in box)
        work += height * (width + mark.region.points)
        if work > _MOST_WORK:
            raise SubjectError(
                "decode",
                drawing.file.name,
                "draws over its picture again and again: is it damaged?",
            )
        layer = layers.setdefault(values[mark.label], np.zeros(shape, dtype=np.bool_))
        layer[box] |= mark.region.pixels(box)
    if layers and not any(layer.any() for layer in layers.values()):
        raise SubjectError(
            "match",
            drawing.file.name,
            "has nothing that lies on its picture: was it drawn on a larger version of it?",
        )
    return sheets_of(layers.items(), shape)


def sheets_of(
    layers: Iterable[tuple[int, NDArray[np.bool_]]], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Layers with their label values as one label map, or several where they overlap.

    No more than one layer is looked at a time; see `label_maps`.
    """
    sheets = [np.zeros(shape, dtype=np.uint8)]
    for value, layer in layers:
        kind = np.promote_types(sheets[0].dtype, np.min_scalar_type(value))
        sheets = [sheet.astype(kind, copy=False) for sheet in sheets]
        for sheet in sheets:
            if np.isin(sheet[layer], (0, value)).all():
                sheet[layer] = value
                break
        else:
            sheets.append(np.where(layer, value, 0).astype(kind))
    return sheets[0] if len(sheets) == 1 else np.stack(sheets)


def _box_around(points: Points, shape: Shape) -> Box:
    """The pixels whose middle may be between points."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return (
        _side(ceil(top - 0.5), floor(bottom - 0.5) + 1, shape[0]),
        _side(ceil(left - 0.5), floor(right - 0.5) + 1, shape[1]),
    )


def _side(start: int, stop: int, length: int) -> slice:
    start = min(max(start, 0), length)
    return slice(start, min(max(stop, start), length))
