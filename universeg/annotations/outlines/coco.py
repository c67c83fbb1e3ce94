"""COCO: one JSON file for many pictures, with polygons, runs, and categories."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from universeg.annotations.drawing import Annotations, Bitmap, Drawing, Mark, Named, Region, Shape
from universeg.annotations.outlines.left_out import LeftOut
from universeg.annotations.outlines.points import pairs_of, polygon
from universeg.annotations.outlines.runs import pixels_of


def is_coco(said: Any) -> bool:  # noqa: ANN401  (whatever a file holds)
    """Whether it is laid out as COCO is."""
    return isinstance(said, Mapping) and all(
        isinstance(said.get(key), list) for key in ("images", "annotations")
    )


def read_coco(path: Path, said: Mapping[str, Any]) -> Annotations:
    """What is drawn on all pictures; a crowd is drawn like any other.

    Raises:
        ValueError: it says what no COCO file says.
    """
    left_out = LeftOut()
    categories = {
        str(each["id"]): Named(str(each["name"]).strip(), _value(each["id"]))
        for each in said.get("categories") or []
    }
    by_image: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in said["annotations"]:  # some programs write 1 here and "1" there
        by_image[str(annotation["image_id"])].append(annotation)
    listed = {str(image["id"]) for image in said["images"]}
    for _ in (each for key, own in by_image.items() if key not in listed for each in own):
        left_out.count("annotation of a picture that is not listed")
    drawings = []
    for image in said["images"]:
        size = (int(image["height"]), int(image["width"]))
        marks = list(_marks(by_image[str(image["id"])], categories, size, left_out))
        drawings.append(Drawing(path, str(image["file_name"]), size, marks))
    used = {mark.label for drawing in drawings for mark in drawing.marks}
    labels = [category for category in categories.values() if category.name in used]
    return Annotations(drawings, labels, left_out.told(path))


def _marks(
    annotations: list[Mapping[str, Any]],
    categories: Mapping[str, Named],
    size: Shape,
    left_out: LeftOut,
) -> Iterator[Mark]:
    for annotation in annotations:
        number = str(annotation["category_id"])
        name = categories[number].name if number in categories else f"category {number}"
        regions = list(_regions(annotation.get("segmentation"), size))
        if not regions:
            left_out.count("box or keypoints without a segmentation")
        for region in regions:
            yield Mark(name, region)


def _regions(segmentation: Any, size: Shape) -> Iterator[Region]:  # noqa: ANN401
    if isinstance(segmentation, Mapping):
        height, width = segmentation["size"]
        if (height, width) != size:
            raise ValueError(
                f"holds runs of {height} x {width} pixels for a picture of {size[0]} x {size[1]}"
            )
        yield Bitmap(0, 0, pixels_of(segmentation["counts"], size, by_columns=True))
        return
    for points in segmentation or []:
        if region := polygon(pairs_of(points)):
            yield region


def _value(number: Any) -> int | None:  # noqa: ANN401
    return number if type(number) is int else None
