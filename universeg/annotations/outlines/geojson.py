"""GeoJSON as QuPath and others write it: one file a picture, polygons in pixels, with classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from universeg.annotations.drawing import Annotations, Drawing, Mark, Named, Region, Rings
from universeg.annotations.outlines.left_out import LeftOut
from universeg.annotations.outlines.points import points_of

_ENDINGS = (".geojson", ".json")
_CLASSES = ("classification", "class", "label", "name", "annotation_type", "type")
_IGNORED = "*"  # at the end of a class that QuPath does not count as one: Ignore*, Region*
_DEEPEST = 8  # collections in each other


def is_geojson(said: Any) -> bool:  # noqa: ANN401  (whatever a file holds)
    """Whether it is GeoJSON, or a bare list of features as older programs write."""
    if isinstance(said, list) and said:
        said = said[0]
    return isinstance(said, Mapping) and said.get("type") in ("FeatureCollection", "Feature")


def read_geojson(path: Path, said: Any) -> Annotations:  # noqa: ANN401  (whatever it holds)
    """What is drawn on the picture that the file is named after.

    Raises:
        ValueError: it says what no GeoJSON says.
    """
    left_out = LeftOut()
    marks: list[Mark] = []
    labels: dict[str, Named] = {}
    for feature in _features(said):
        properties = feature.get("properties") or {}
        named = _class_of(properties)
        if named.name.endswith(_IGNORED):
            left_out.count(named.name)
            continue
        regions = list(_regions(feature.get("geometry") or {}, left_out))
        if regions and not labels.get(named.name, named).colour:
            labels[named.name] = named
        labels.setdefault(named.name, named)
        marks += [Mark(named.name, region) for region in regions]
    used = {mark.label for mark in marks}
    image = path.name
    while image.lower().endswith(_ENDINGS):
        image = image[: image.rindex(".")]
    drawing = Drawing(path, image, None, marks)
    known = [label for name, label in labels.items() if name in used]
    return Annotations([drawing], known, left_out.told(path))


def _features(said: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401
    features = said if isinstance(said, list) else said.get("features", [said])
    for feature in features:
        if isinstance(feature, Mapping) and feature.get("type") == "FeatureCollection":
            yield from feature["features"]
        else:
            yield feature


def _class_of(properties: Mapping[str, Any]) -> Named:
    """The name and colour of a feature's class, in whichever way it is said."""
    for key in _CLASSES:
        found = properties.get(key)
        if isinstance(found, Mapping) and (found.get("name") or found.get("names")):
            name = found.get("name") or ": ".join(map(str, found["names"]))
            return Named(str(name).strip(), None, _colour(found))
        if isinstance(found, str) and found.strip():
            return Named(found.strip(), None, _colour(properties))
    return Named("", None, _colour(properties))


def _colour(said: Mapping[str, Any]) -> str:
    """`#rrggbb` of a list of three, or of the one number in which older QuPath packs them."""
    colour: Any = said.get("color")
    packed = said.get("colorRGB")
    if isinstance(packed, int) and not isinstance(packed, bool):
        return f"#{packed & 0xFFFFFF:06x}"
    is_listed = isinstance(colour, list) and len(colour) == 3
    if is_listed and all(type(each) is int and 0 <= each < 256 for each in colour):
        return "#{:02x}{:02x}{:02x}".format(*colour)
    return ""


def _regions(geometry: Mapping[str, Any], left_out: LeftOut, depth: int = 0) -> Iterator[Region]:
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if depth > _DEEPEST:
        raise ValueError("holds collections that are nested too deep")
    if kind == "Polygon":
        yield from _polygon(coordinates)
    elif kind == "MultiPolygon":
        for rings in coordinates or []:
            yield from _polygon(rings)
    elif kind == "GeometryCollection":
        for inner in geometry.get("geometries") or []:
            yield from _regions(inner, left_out, depth + 1)
    else:
        left_out.count(kind or "feature without a shape")


def _polygon(rings: Any) -> Iterator[Region]:  # noqa: ANN401
    """The first ring surrounds it, the others are its holes."""
    found = [points_of(ring) for ring in rings or []]
    if found and len(found[0]) > 2:
        yield Rings([ring for ring in found if len(ring) > 2])
