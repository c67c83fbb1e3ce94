"""CVAT for images, 1.1: one XML file for many pictures."""

from __future__ import annotations

from collections.abc import Iterator
from math import radians
from pathlib import Path
from xml.etree.ElementTree import Element

from universeg.annotations.drawing import Annotations, Bitmap, Drawing, Mark, Named, Region
from universeg.annotations.outlines.left_out import LeftOut
from universeg.annotations.outlines.points import box, ellipse, numbers_of, points_of, polygon
from universeg.annotations.outlines.runs import pixels_of


def is_cvat(root: Element) -> bool:
    """Whether it is what CVAT writes."""
    return root.tag == "annotations" and (
        root.find("image") is not None
        or root.find("track") is not None
        or root.find("meta") is not None
    )


def read_cvat(path: Path, root: Element) -> Annotations:
    """What is drawn on all pictures, in the order of their layers.

    Raises:
        ValueError: it says what no CVAT says, or is of a video.
    """
    if root.find("track") is not None:
        raise ValueError(
            "was exported as `CVAT for video`, which names no pictures: export `CVAT for images`"
        )
    left_out = LeftOut()
    drawings = []
    for image in root.iter("image"):
        height, width = numbers_of(image.get("height"), image.get("width"))
        marks = list(_marks(image, left_out))
        size = (round(height), round(width))
        drawings.append(Drawing(path, image.get("name") or "", size, marks))
    used = {mark.label for drawing in drawings for mark in drawing.marks}
    labels = [label for label in _labels(root) if label.name in used]
    return Annotations(drawings, labels, left_out.told(path))


def _labels(root: Element) -> Iterator[Named]:
    """The labels of the task, with their colours."""
    for label in root.iterfind("./meta//labels/label"):
        colour = (label.findtext("color") or "").strip().lower()
        is_colour = (
            len(colour) == 7 and colour[0] == "#" and set(colour[1:]) <= {*"0123456789abcdef"}
        )
        yield Named((label.findtext("name") or "").strip(), None, colour if is_colour else "")


def _marks(image: Element, left_out: LeftOut) -> Iterator[Mark]:
    shapes = [shape for shape in image if shape.get("label")]
    for shape in sorted(shapes, key=lambda each: int(each.get("z_order") or 0)):
        region = _region(shape)
        if region:
            yield Mark((shape.get("label") or "").strip(), region)
        else:
            left_out.count(shape.tag)


def _region(shape: Element) -> Region | None:
    said = shape.get
    degrees = numbers_of(said("rotation") or 0)[0]
    if shape.tag == "polygon":
        return polygon(points_of(each.split(",") for each in (said("points") or "").split(";")))
    if shape.tag == "box":
        sides = numbers_of(said("xtl"), said("ytl"), said("xbr"), said("ybr"))
        return box(sides, degrees)
    if shape.tag == "ellipse":
        sizes = numbers_of(said("cx"), said("cy"), said("rx"), said("ry"))
        return ellipse(sizes, radians(degrees))
    if shape.tag == "mask":
        left, top, width, height = map(
            round, numbers_of(said("left"), said("top"), said("width"), said("height"))
        )
        counts = [int(each) for each in (said("rle") or "").split(",")]
        return Bitmap(left, top, pixels_of(counts, (height, width), by_columns=False))
    return None
