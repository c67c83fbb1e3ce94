"""What was drawn on pictures as polygons: COCO for programs, GeoJSON for QuPath."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.files.writing import whole_file
from universeg.desk.masks import Masks, runs_of
from universeg.results.labels import Label
from universeg.results.measures import boxes_of_objects

Ring = list[list[float]]


class Coco:
    """All pictures in one COCO file: polygons, and runs for objects with holes."""

    def __init__(self, labels: Sequence[Label]) -> None:
        """Begin."""
        self._labels = labels
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, file: str, masks: Masks) -> None:
        """Add a picture."""
        height, width = masks.shape
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": file, "height": height, "width": width})
        for label in self._labels:
            for box, inside in _objects(masks.layer(label.value)):
                rows, columns = box
                rings = rings_of(inside, rows.start, columns.start)
                has_holes = any(len(holes) > 1 for holes in rings)
                whole = np.zeros(masks.shape, dtype=np.bool_)
                whole[box] = inside
                segmentation: Any = [
                    [number for point in outer for number in point] for outer, *_ in rings
                ]
                if has_holes:
                    segmentation = {"counts": runs_of(whole.T), "size": [height, width]}
                self._annotations.append(
                    {
                        "id": len(self._annotations) + 1,
                        "image_id": number,
                        "category_id": label.value,
                        "segmentation": segmentation,
                        "area": int(np.count_nonzero(inside)),
                        "bbox": [columns.start, rows.start, inside.shape[1], inside.shape[0]],
                        "iscrowd": int(has_holes),
                    }
                )

    def write(self, path: Path) -> Path:
        """Write the file."""
        categories = [{"id": label.value, "name": label.name} for label in self._labels]
        return _write(
            path,
            {
                "images": self._images,
                "annotations": self._annotations,
                "categories": categories,
            },
        )


def write_geojson(path: Path, masks: Masks, labels: Sequence[Label]) -> Path:
    """The objects of one picture as QuPath reads them; x to the right, y down, in pixels."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": rings},
            "properties": {
                "objectType": "annotation",
                "classification": {
                    "name": label.name,
                    "color": [int(label.colour[at : at + 2], 16) for at in (1, 3, 5)],
                },
            },
        }
        for label in labels
        for (rows, columns), inside in _objects(masks.layer(label.value))
        for rings in rings_of(inside, rows.start, columns.start)
    ]
    return _write(path, {"type": "FeatureCollection", "features": features})


def rings_of(inside: NDArray[np.bool_], top: int, left: int) -> list[list[Ring]]:
    """The outlines of an object: of each of its parts the outer ring, then its holes.

    Rings are closed, their points (x, y) in pixels; the first pixel's middle is at (0.5, 0.5).
    """
    from contourpy import FillType, contour_generator

    padded = np.pad(inside.astype(np.float32), 1)
    generator = contour_generator(z=padded, fill_type=FillType.OuterOffset)
    filled: Any = generator.filled(0.5, 2.0)
    corner = np.array([left - 0.5, top - 0.5])
    rings = []
    for part, offsets in zip(*filled, strict=True):
        placed = part + corner
        rings.append([placed[a:b].tolist() for a, b in pairwise(offsets.tolist())])
    return rings


def _objects(
    layer: NDArray[np.bool_],
) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    numbers, boxes = boxes_of_objects(layer)
    for number, (rows, columns) in enumerate(boxes, start=1):
        yield (rows, columns), numbers[rows, columns] == number


def _write(path: Path, content: dict[str, Any]) -> Path:
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content), encoding="utf-8")
    return path
