"""Which files of a folder are images, which are their masks, and what is in them."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading import read_label_values, read_scan, suffix_of
from megamedical.scan import Scan
from universeg.segmenter import expect_same_size, label_values
from universeg.support import SupportError

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
VOLUMES = frozenset({".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"})

_IMAGE_FOLDER = re.compile(r"(images?|imgs?|scans?|volumes?)(tr)?", re.IGNORECASE)
_MASK_FOLDER = re.compile(
    r"(masks?|labels?|segs?|segmentations?|annotations?|gts?|ground[_-]?truth)(tr)?", re.IGNORECASE
)
_IMAGE_ENDING = re.compile(r"[ _.-](image|img|0000)$", re.IGNORECASE)
_MASK_ENDING = re.compile(
    r"[ _.-](masks?|labels?|seg|segmentation|annotation|gt|ground[_-]?truth)$", re.IGNORECASE
)
_IMAGE_COLUMNS = ("image", "img", "scan", "volume")
_MASK_COLUMNS = ("mask", "label", "seg", "segmentation", "gt", "annotation")


@dataclass(frozen=True)
class Pair:
    """The files of an image and of its mask."""

    image: Path
    mask: Path


@dataclass(frozen=True)
class Pairing:
    """What was paired, `how` in a few words, and the files that found no partner."""

    pairs: tuple[Pair, ...]
    how: str
    unpaired: tuple[Path, ...]


def find_pairs(source: Path) -> Pairing:
    """Pair the images and masks of a folder, or of a CSV file with a column for each.

    Tried in this order: a CSV file; a folder of images beside one of masks, files named alike;
    masks whose names end in `_mask`, `_seg`, `_label` or `_gt`; and masks in PNG beside images of
    the same name in another format.

    Raises:
        SupportError: nothing is there, or nothing could be paired.
    """
    if not source.exists():
        raise SupportError(f"{source} is not there", "Name a folder of images and masks, or a CSV.")
    ways = (_by_table, _by_folders, _by_endings, _by_formats)
    pairings = (_by_table(source),) if source.is_file() else (way(source) for way in ways)
    for pairing in pairings:
        if pairing and pairing.pairs:
            return pairing
    raise SupportError(
        f"No image of {source} could be paired with a mask",
        "Put images in images/ and masks of the same names in masks/, or name them "
        "x.png and x_mask.png, or list them in a CSV with the columns image and mask.",
    )


def read_example(pair: Pair) -> tuple[Scan, NDArray[Any]]:
    """An image, and its label values on the same grid.

    Raises:
        SubjectError: one of the files cannot be read, their sizes or dimensions differ, or what
            the mask holds are no labels.
    """
    dimension = dimension_of(pair.image)
    if dimension_of(pair.mask) != dimension:
        raise SubjectError("match", pair.image.name, f"its mask is no {_KINDS[dimension]}")
    scan = read_scan(pair.image, dimension)
    try:
        mask = read_label_values(pair.mask, dimension)
    except SubjectError as error:
        reason = f"its mask {pair.mask.name} {error.reason}"
        raise SubjectError(error.stage, pair.image.name, reason) from error
    expect_same_size(scan, mask)
    label_values(mask)
    return scan, mask


def scans_in(source: Path) -> list[Path]:
    """The pictures and volumes of a folder, by name; or the one file that is meant.

    Raises:
        SupportError: there are none.
    """
    if not source.exists():
        raise SupportError(f"{source} is not there", "Name a folder of images, or one of them.")
    files = [source] if source.is_file() else _readable(source)
    if not files:
        raise SupportError(
            f"{source} holds nothing to predict",
            f"It takes {', '.join(sorted(PICTURES | VOLUMES))} files.",
        )
    return files


def dimension_of(path: Path) -> int:
    """3 for a volume, 2 for anything else, by the file's name."""
    return 3 if suffix_of(path) in VOLUMES else 2


def is_colour(path: Path) -> bool:
    """Whether a file is a picture in colour."""
    from PIL import Image

    if dimension_of(path) == 3:
        return False
    try:
        with Image.open(path) as picture:
            return len(picture.getbands()) >= 3 or picture.mode in ("P", "PA")
    except OSError:
        return False  # whoever reads it will say what is wrong with it


def name_of(path: Path) -> str:
    """A file's name without its suffix, `.nii.gz` being one suffix."""
    return path.name[: len(path.name) - len(suffix_of(path))]


_KINDS = {2: "picture", 3: "volume"}


def _by_table(source: Path) -> Pairing | None:
    tables = [source] if source.is_file() else sorted(source.glob("*.csv"))
    if len(tables) != 1:
        return None
    with tables[0].open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.DictReader(file)
        image, mask = (
            next((c for c in rows.fieldnames or () if c.strip().lower() in names), None)
            for names in (_IMAGE_COLUMNS, _MASK_COLUMNS)
        )
        if image is None or mask is None:
            return None
        listed = [
            Pair(tables[0].parent / row[image].strip(), tables[0].parent / row[mask].strip())
            for row in rows
            if row[image] and row[mask]
        ]
    pairs = tuple(pair for pair in listed if pair.image.is_file() and pair.mask.is_file())
    missing = tuple(pair.image for pair in listed if pair not in pairs)
    return Pairing(pairs, f"as {tables[0].name} lists them", missing)


def _by_folders(folder: Path) -> Pairing | None:
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    images = [path for path in inside if _IMAGE_FOLDER.fullmatch(path.name)]
    masks = [path for path in inside if _MASK_FOLDER.fullmatch(path.name)]
    if len(images) != 1 or len(masks) != 1:
        return None
    how = f"{images[0].name}/x with {masks[0].name}/x"
    return _matched(_readable(images[0]), _readable(masks[0]), how)


def _by_endings(folder: Path) -> Pairing:
    files = _readable(folder)
    masks = [path for path in files if _MASK_ENDING.search(name_of(path))]
    endings = sorted({_MASK_ENDING.search(name_of(path))[0] for path in masks})  # type: ignore[index]
    images = [path for path in files if path not in masks]
    return _matched(images, masks, f"x with x{' or x'.join(endings)}")


def _by_formats(folder: Path) -> Pairing:
    files = [path for path in _readable(folder) if dimension_of(path) == 2]
    masks = [path for path in files if suffix_of(path) == ".png"]
    images = [path for path in files if path not in masks]
    formats = " or ".join(sorted({suffix_of(path) for path in images}))
    return _matched(images, masks, f"x{formats} with x.png")


def _matched(images: Collection[Path], masks: Collection[Path], how: str) -> Pairing:
    """Pair what has the same name but for its endings, where there is one of each."""
    candidates: dict[str, tuple[list[Path], list[Path]]] = defaultdict(lambda: ([], []))
    for side, paths, ending in ((0, images, _IMAGE_ENDING), (1, masks, _MASK_ENDING)):
        for path in paths:
            candidates[ending.sub("", name_of(path))][side].append(path)
    pairs = tuple(
        Pair(*ours, *theirs)
        for ours, theirs in candidates.values()
        if len(ours) == len(theirs) == 1
    )
    paired = set(_files(pairs))
    return Pairing(pairs, how, tuple(p for p in (*images, *masks) if p not in paired))


def _files(pairs: Iterable[Pair]) -> Iterator[Path]:
    for pair in pairs:
        yield from (pair.image, pair.mask)


def _readable(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name[0] != "." and suffix_of(path) in PICTURES | VOLUMES
    )
