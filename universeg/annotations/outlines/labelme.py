"""LabelMe: one JSON file a picture, with its shapes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from megamedical.reading.limits import expect_picture
from universeg.annotations.drawing import Annotations, Bitmap, Drawing, Mark, Region
from universeg.annotations.outlines.left_out import LeftOut
from universeg.annotations.outlines.points import box, ellipse, points_of, polygon

_OUTLINES = ("polygon", "rectangle", "oriented_rectangle", "rotation")  # the last of X-AnyLabeling
_NO_LABELS = ("__ignore__", "_background_")  # by the convention of LabelMe's own examples


def is_labelme(said: Any) -> bool:  # noqa: ANN401  (whatever a file holds)
    """Whether it is what LabelMe writes."""
    return isinstance(said, Mapping) and isinstance(said.get("shapes"), list)


def read_labelme(path: Path, said: Mapping[str, Any]) -> Annotations:
    """The shapes of one picture.

    Raises:
        ValueError: it says what no LabelMe says.
    """
    left_out = LeftOut()
    marks = list(_marks(said["shapes"], left_out))
    height, width = said.get("imageHeight"), said.get("imageWidth")
    is_sized = type(height) is int and type(width) is int
    size = (height, width) if is_sized and height and width else None
    image = said.get("imagePath")
    name = image if isinstance(image, str) and image else path.stem
    return Annotations([Drawing(path, name, size, marks)], notes=left_out.told(path))


def _marks(shapes: list[Any], left_out: LeftOut) -> Iterator[Mark]:
    for shape in shapes:
        kind = shape.get("shape_type") or "polygon"
        label = str(shape.get("label") or "").strip()
        region = None if label in _NO_LABELS else _region(kind, shape)
        if region:
            yield Mark(label, region)
        else:
            left_out.count(label if label in _NO_LABELS else kind)


def _region(kind: str, shape: Mapping[str, Any]) -> Region | None:
    points = points_of(shape.get("points") or [])
    if kind == "mask":
        return _mask(shape, points[0].tolist() if len(points) else [])
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return box((left, top, right, bottom))
    if kind == "circle" and len(points) == 2:
        radius = float(np.linalg.norm(points[1] - points[0]))
        return ellipse((*points[0].tolist(), radius, radius))
    return polygon(points) if kind in _OUTLINES else None


def _mask(shape: Mapping[str, Any], corner: list[float]) -> Region:
    """A mask that is drawn pixel by pixel: a PNG, and where its first pixel lies."""
    from PIL import Image

    if not corner or not isinstance(shape.get("mask"), str):
        raise ValueError("holds a mask that lies nowhere, or is none")
    content = base64.b64decode(shape["mask"], validate=True)
    with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
        expect_picture(picture.size)
        values = np.asarray(picture.convert("L")) > 0
    return Bitmap(round(corner[0]), round(corner[1]), values)
