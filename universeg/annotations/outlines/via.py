"""VIA, the VGG Image Annotator, of versions 1, 2 and 3: projects, exported JSON, and CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from universeg.annotations.drawing import Annotations, Drawing, Mark, Region
from universeg.annotations.outlines.documents import parse_json
from universeg.annotations.outlines.left_out import LeftOut
from universeg.annotations.outlines.points import (
    box,
    ellipse,
    numbers_of,
    pairs_of,
    points_of,
    polygon,
)

_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
_USUAL = ("label", "class", "name", "category", "type")  # names of the attribute that is the label
_KINDS = {1: "point", 2: "rect", 3: "circle", 4: "ellipse", 5: "line", 6: "polyline", 7: "polygon"}

Attributes = Mapping[str, Any]
Marked = tuple[str, Attributes, Attributes]  # a picture, a shape, what is said of it


def is_via(said: Any) -> bool:  # noqa: ANN401  (whatever a file holds)
    """Whether it is a project of VIA, or what it exports."""
    if not isinstance(said, Mapping) or not said:
        return False
    if "_via_img_metadata" in said or _is_of_three(said):
        return True
    return all(
        isinstance(each, Mapping) and {"filename", "regions"} <= each.keys()
        for each in said.values()
    )


def is_via_table(columns: Sequence[str]) -> bool:
    """Whether the first line of a table is that of VIA's CSV."""
    return {*_COLUMNS} <= {column.lstrip("# ") for column in columns}


def read_via(path: Path, said: Mapping[str, Any]) -> Annotations:
    """What is drawn on all pictures.

    Raises:
        ValueError: it says what no VIA says.
    """
    if _is_of_three(said):
        options = {
            str(each.get("aname") or key): each.get("options") or {}
            for key, each in (said.get("attribute") or {}).items()
        }
        return _annotations(path, _of_three(said), options)
    options = (said.get("_via_attributes") or {}).get("region") or {}
    pictures = said.get("_via_img_metadata", said)
    marked = (
        (
            str(picture["filename"]),
            region["shape_attributes"],
            region.get("region_attributes") or {},
        )
        for picture in pictures.values()
        for region in _listed(picture["regions"])
    )
    names = [str(picture["filename"]) for picture in pictures.values()]
    known = {key: each.get("options") or {} for key, each in options.items()}
    return _annotations(path, marked, known, names)


def read_via_table(path: Path, rows: Sequence[Sequence[str]]) -> Annotations:
    """What is drawn, of a CSV file whose first line names its columns.

    Raises:
        ValueError: a cell is no JSON.
    """
    columns = [column.lstrip("# ") for column in rows[0]]
    image, shape, about = (columns.index(column) for column in _COLUMNS)
    marked = (
        (row[image], parse_json(row[shape]), parse_json(row[about] or "{}"))
        for row in rows[1:]
        if len(row) > max(image, shape, about) and row[shape] not in ("", "{}")
    )
    return _annotations(path, marked, {}, [row[image] for row in rows[1:] if len(row) > image])


def _annotations(
    path: Path,
    marked: Iterator[Marked],
    options: Mapping[str, Attributes],
    names: Sequence[str] = (),
) -> Annotations:
    left_out = LeftOut()
    found = list(marked)
    key = _label_key([about for _, _, about in found])
    marks: dict[str, list[Mark]] = {name: [] for name in names}
    for image, shape, about in found:
        own = marks.setdefault(image, [])
        region = _region(shape)
        if region:
            own.append(Mark(_said(about.get(key), options.get(key, {})), region))
        else:
            left_out.count(shape.get("name"))
    drawings = [Drawing(path, image, None, own) for image, own in marks.items()]
    return Annotations(drawings, notes=left_out.told(path))


def _label_key(attributes: Sequence[Attributes]) -> str:
    """Which attribute of regions is their label: one of a usual name, or the one most have."""
    counts: dict[str, int] = {}
    for about in attributes:
        for key, value in about.items():
            counts[key] = counts.get(key, 0) + bool(value)
    usual = [key for key in counts if key.strip().lower() in _USUAL]
    usual.sort(key=lambda key: _USUAL.index(key.strip().lower()))
    return next(iter(usual), max(counts, key=lambda key: counts[key], default=""))


def _said(value: Any, options: Attributes) -> str:  # noqa: ANN401
    """The name of a label: what an option is called, or which box is ticked."""
    ticked = (
        [key for key, is_it in value.items() if is_it] if isinstance(value, Mapping) else [value]
    )
    known = options if isinstance(options, Mapping) else {}
    return ", ".join(str(known.get(str(each)) or each or "").strip() for each in ticked)


def _listed(regions: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401
    """Regions are a list, and in version 1 a table by numbers."""
    yield from regions.values() if isinstance(regions, Mapping) else regions


def _region(shape: Attributes) -> Region | None:
    kind = shape.get("name")
    if kind == "polygon":
        xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise ValueError("holds a polygon whose x and y are not as many")
        return polygon(points_of(zip(xs, ys, strict=True)))
    if kind == "rect":
        x, y, width, height = numbers_of(*(shape.get(key) for key in ("x", "y", "width", "height")))
        return box((x, y, x + width, y + height))
    if kind == "circle":
        x, y, radius = numbers_of(*(shape.get(key) for key in ("cx", "cy", "r")))
        return ellipse((x, y, radius, radius))
    if kind == "ellipse":
        sizes = numbers_of(*(shape.get(key) for key in ("cx", "cy", "rx", "ry")))
        return ellipse(sizes, numbers_of(shape.get("theta") or 0)[0])
    return None


def _is_of_three(said: Mapping[str, Any]) -> bool:
    return all(isinstance(said.get(key), Mapping) for key in ("metadata", "view", "file"))


def _of_three(said: Mapping[str, Any]) -> Iterator[Marked]:
    """The regions of a project of version 3, as those of version 2 are."""
    attributes = said.get("attribute") or {}
    for each in said["metadata"].values():
        if not each.get("xy"):
            continue
        view = said["view"][str(each["vid"])]
        file = said["file"][str(view["fid_list"][0])]
        about = {
            str(attributes.get(key, {}).get("aname") or key): value
            for key, value in (each.get("av") or {}).items()
        }
        yield str(file.get("fname") or file.get("src") or ""), _shape_of_three(each["xy"]), about


def _shape_of_three(xy: Sequence[Any]) -> Attributes:
    kind = _KINDS.get(xy[0], "extreme points")
    numbers = [*xy[1:]]
    if kind == "polygon":
        points = pairs_of(numbers)
        return {
            "name": kind,
            "all_points_x": points[:, 0].tolist(),
            "all_points_y": points[:, 1].tolist(),
        }
    keys = {
        "rect": ("x", "y", "width", "height"),
        "circle": ("cx", "cy", "r"),
        "ellipse": ("cx", "cy", "rx", "ry"),
    }.get(kind, ())
    return {"name": kind, **dict(zip(keys, numbers, strict=False))}
