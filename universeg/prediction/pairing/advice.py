"""What a person is told where nothing could be paired: what was taken for what, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from universeg.annotations.kinds import unread_kinds
from universeg.prediction.inputs import inputs_at
from universeg.prediction.pairing.drawn import files_below
from universeg.prediction.pairing.ways import IMAGE_FOLDER, MASK_FOLDER
from universeg.tuning.support import SupportError

_SHOWN = 4  # reasons
_USUAL = (
    "Put images in images/ and masks of the same names in masks/, or name them x.png and "
    "x_mask.png, or list them in a CSV with the columns image and mask. Annotations are read from "
    "LabelMe, COCO, CVAT, QuPath, VIA, 3D Slicer, DICOM SEG and RTSTRUCT."
)


def nothing_paired(source: Path, reasons: Sequence[str]) -> SupportError:
    """The error that says why; `reasons` are those of annotations that could not be used."""
    said = [*reasons[:_SHOWN]]
    if len(reasons) > _SHOWN:
        said.append(f"and {len(reasons) - _SHOWN} more files like these")
    if source.is_dir():
        said += _taken(source) + unread_kinds(files_below(source))
    found = "\n".join(["", *said]).replace("\n", "\n  ")
    return SupportError(f"No image of {source} could be paired with a mask{found}", _USUAL)


def _taken(folder: Path) -> list[str]:
    """Which folders were taken for images and masks, and that their names differ."""
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    images = [path for path in inside if IMAGE_FOLDER.fullmatch(path.name)]
    masks = [path for path in inside if MASK_FOLDER.fullmatch(path.name)]
    if not images or not masks:
        what = "images" if images else "masks"
        other = "masks" if images else "images"
        taken = ", ".join(f"{path.name}/" for path in (*images, *masks))
        return [f"{taken} was taken for {what}, and no folder for {other}"] if taken else []
    sides = []
    for kind, folders in (("images", images), ("masks", masks)):
        names = [f"{path.name}/ ({_some(path)})" for path in folders]
        sides.append(f"{' and '.join(names)} for {kind}")
    return [f"{' and '.join(sides)}: no name is in both"]


def _some(folder: Path) -> str:
    """One of the files of a folder, or what is in their place."""
    found = inputs_at(folder)
    if found:
        return found[0].path.name
    others = sorted(path.name for path in folder.iterdir())
    return f"none that is read, but {others[0]}" if others else "empty"
