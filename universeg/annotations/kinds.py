"""Which program a file of annotations is from, and what to do with one that is not read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from megamedical.errors import SubjectError
from megamedical.reading.text_tables import read_table
from universeg.annotations.drawing import Annotations
from universeg.annotations.outlines.coco import is_coco, read_coco
from universeg.annotations.outlines.cvat import is_cvat, read_cvat
from universeg.annotations.outlines.documents import read_json, read_xml
from universeg.annotations.outlines.geojson import is_geojson, read_geojson
from universeg.annotations.outlines.labelme import is_labelme, read_labelme
from universeg.annotations.outlines.via import is_via, is_via_table, read_via, read_via_table

SUFFIXES = (".json", ".geojson", ".xml", ".csv")

_JSON = {
    "LabelMe": (is_labelme, read_labelme),
    "COCO": (is_coco, read_coco),
    "GeoJSON": (is_geojson, read_geojson),
    "VIA": (is_via, read_via),
}
_SETTINGS = re.compile(
    r"(dataset|plans|package|project_info|labels?|classes|meta(data)?)\.json", re.I
)
_EXPORT = "export COCO, CVAT or LabelMe from the program that it was drawn with"
_OTHERS: Mapping[str, tuple[str, str]] = {
    ".roi": ("ImageJ regions", "save a mask from ImageJ (Edit > Selection > Create Mask) as PNG"),
    ".svg": ("SVG drawings", "save them as PNG masks"),
    ".txt": ("text, as YOLO writes boxes and polygons", "convert it to COCO"),
    ".mat": ("MATLAB arrays", "save the masks as PNG or NIfTI"),
    ".npy": ("NumPy arrays", "save the masks as PNG or NIfTI"),
    ".npz": ("NumPy arrays", "save the masks as PNG or NIfTI"),
    ".h5": ("HDF5", "save the masks as PNG or NIfTI"),
    ".xlsx": ("a spreadsheet", "save the list of pairs as CSV"),
    ".ndpa": ("annotations of NDP.view", "import them into QuPath and export GeoJSON"),
    ".mrb": ("a bundle of 3D Slicer", "save the segmentation from Slicer as .seg.nrrd"),
    ".qpdata": ("data of QuPath", "export GeoJSON (File > Export objects as GeoJSON)"),
    ".stl": ("surfaces", "save the segmentation as .seg.nrrd or NIfTI"),
    ".vtk": ("surfaces", "save the segmentation as .seg.nrrd or NIfTI"),
    ".zip": ("an archive", "unpack it first"),
    ".tar": ("an archive", "unpack it first"),
    ".gz": ("an archive", "unpack it first"),
    ".7z": ("an archive", "unpack it first"),
    ".rar": ("an archive", "unpack it first"),
    ".svs": ("whole slides", "export regions from QuPath, with their annotations"),
    ".ndpi": ("whole slides", "export regions from QuPath, with their annotations"),
    ".czi": ("microscope files of ZEISS", "save them as TIFF or PNG"),
    ".nd2": ("microscope files of Nikon", "save them as TIFF or PNG"),
    ".heic": ("photographs in HEIC", "save them as JPEG or PNG"),
    ".pdf": ("PDF", "save the pictures as PNG"),
}


class NotAnnotations(SubjectError):
    """A file that is sound, and of a kind that is not read as annotations."""


def read_annotations(path: Path) -> tuple[str, Annotations]:
    """The program that a file is from, and what is drawn in it.

    Raises:
        NotAnnotations: it is of no kind that is read; the reason says which it is, if known.
        SubjectError: it is damaged, or says what its program never says.
    """
    suffix = path.suffix.lower()
    program, read, content = _recognised(path, suffix)
    try:
        return program, read(path, content)
    except SubjectError:
        raise
    except (KeyError, IndexError) as error:
        reason = f"is laid out as {program} has it, but lacks {error}"
    except (ValueError, ArithmeticError) as error:
        reason = str(error)
    except Exception as error:  # whatever is not where it should be
        reason = f"is laid out as {program} has it, but holds something else there: {error}"
    raise SubjectError("decode", path.name, reason)


def unread_kinds(files: Iterable[Path]) -> list[str]:
    """What a person is told of files that nothing can be done with: how many of which kind."""
    counts: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in _OTHERS:
            counts.setdefault(file.suffix.lower(), []).append(file)
    told = []
    for suffix, found in counts.items():
        what, remedy = _OTHERS[suffix]
        some = found[0].name if len(found) == 1 else f"{len(found)} {suffix} files"
        told.append(f"{some}: {what}, not read here; {remedy}")
    return told


def _recognised(path: Path, suffix: str) -> tuple[str, Any, Any]:
    if suffix == ".csv":
        rows = read_table(path)
        if not rows or not is_via_table(rows[0]):
            raise NotAnnotations("read", path.name, "is no table of annotations")
        return "VIA", read_via_table, rows
    if suffix == ".xml":
        root = read_xml(path)
        if is_cvat(root):
            return "CVAT", read_cvat, root
        raise NotAnnotations("read", path.name, _other_xml(root.tag))
    said = read_json(path)
    for program, (is_it, read) in _JSON.items():
        if is_it(said):
            return program, read, said
    raise NotAnnotations("read", path.name, _other_json(path, said))


def _other_xml(tag: str) -> str:
    if tag == "annotation":
        return (
            "holds the boxes of Pascal VOC, not outlines: draw outlines, or segment the boxes first"
        )
    if tag in ("ASAP_Annotations", "Annotations"):
        return "is of a viewer of whole slides: import it into QuPath and export GeoJSON"
    return f"is XML of an unknown kind (<{tag[:40]}>): {_EXPORT}"


def _other_json(path: Path, said: Any) -> str:  # noqa: ANN401
    if _SETTINGS.fullmatch(path.name):
        return ""
    first = said[0] if isinstance(said, list) and said else said
    keys = {*first} if isinstance(first, Mapping) else set()
    if {"objects", "size"} <= keys:
        return "is of Supervisely: export COCO from there"
    if {"data_row", "projects"} <= keys or "Labeled Data" in keys:
        return "is of Labelbox: export COCO, or masks as PNG"
    if {"data", "annotations"} <= keys or {"data", "completions"} <= keys:
        return "is of Label Studio: export COCO, or masks as PNG"
    if "markups" in keys:
        return "holds markups of 3D Slicer, as points and curves: save a segmentation as .seg.nrrd"
    return f"is JSON of an unknown kind: {_EXPORT}"
