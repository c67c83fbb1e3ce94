"""Which files of a folder are images, which are their masks, and what is in them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.formats import sought_suffixes, suffix_of
from megamedical.reading.scan import Scan
from megamedical.reading.text_tables import read_table
from megamedical.reading.vocabulary import IMAGE, MASK
from universeg.prediction.inputs import Input, inputs_at
from universeg.prediction.labels import expect_no_shades, only
from universeg.prediction.showing import expect_same_size, label_values
from universeg.tuning.support import SupportError

_IMAGE_FOLDER = re.compile(f"({IMAGE})(tr)?", re.IGNORECASE)
_MASK_FOLDER = re.compile(f"({MASK})(tr)?", re.IGNORECASE)
_IMAGE_ENDING = re.compile(r"[ _.-](image|img|0000)$", re.IGNORECASE)
_MASK_ENDING = re.compile(rf"[ _.-]({MASK})$", re.IGNORECASE)
_COLUMNS = [re.compile(word, re.IGNORECASE) for word in (IMAGE, MASK)]


@dataclass(frozen=True)
class Pair:
    """An image and its mask, which are yet to be read."""

    image: Input
    mask: Input


@dataclass(frozen=True)
class Pairing:
    """What was paired, `how` in a few words, and the files and folders without a partner."""

    pairs: tuple[Pair, ...]
    how: str
    unpaired: tuple[Path, ...]


def find_pairs(source: Path) -> Pairing:
    """Pair the images and masks of a folder, or of a CSV file with a column for each.

    Commas, semicolons or tabs may part the cells of the latter, in UTF-8, UTF-16 or cp1252.

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


def read_example(
    pair: Pair, say: Callable[[str], None], labels: Collection[int] = ()
) -> tuple[Scan, NDArray[Any]]:
    """An image, and its label values on the same grid.

    Args:
        pair: their files.
        say: takes warnings, of masks that are probably not what they should be.
        labels: the values that are looked for; with them, a mask may hold what are no labels too.

    Raises:
        SubjectError: one of the files cannot be read, their sizes or dimensions differ, or what
            the mask holds are no labels.
    """
    if pair.mask.dimension != pair.image.dimension:
        kind = "picture" if pair.image.dimension == 2 else "volume"
        raise SubjectError("match", pair.image.name, f"its mask is no {kind}")
    scan, place = pair.image.read()
    try:
        mask, place_of_mask = pair.mask.read_labels()
    except SubjectError as error:
        reason = f"its mask {pair.mask.path.name} {error.reason}"
        raise SubjectError(error.stage, pair.image.name, reason) from error
    expect_same_size(scan, mask)
    try:
        expect_no_shades(mask)
        label_values(mask)
    except SubjectError as error:
        if not labels:
            reason = f"{error.reason}, or name the values that are labels with --label"
            raise SubjectError(error.stage, pair.image.name, reason) from error
        say(f"Of {pair.mask.path.name}, only what --label names is seen: {error.reason}")
        mask = only(mask, labels)
    if place and place_of_mask:
        apart = float(np.linalg.norm(place.centre - place_of_mask.centre))
        if apart > max(place.spacing):
            say(
                f"Warning: {pair.mask.path.name} lies {apart:.0f} mm from its image; its voxels "
                "are taken for those of the image: was it drawn on it?"
            )
    elif suffix_of(pair.mask.path) in (".jpg", ".jpeg"):
        say(f"Warning: {pair.mask.path.name} is a JPEG, which blurs labels: save masks as PNG")
    return scan, mask


def scans_in(source: Path) -> list[Input]:
    """The pictures and volumes of a folder, by name; or the one file that is meant.

    Raises:
        SupportError: there are none.
    """
    if not source.exists():
        raise SupportError(f"{source} is not there", "Name a folder of images, or one of them.")
    scans = inputs_at(source)
    if not scans:
        raise SupportError(
            f"{source} holds nothing to predict",
            f"It takes {', '.join(sought_suffixes())} files, and DICOM.",
        )
    return scans


def _by_table(source: Path) -> Pairing | None:
    tables = [source] if source.is_file() else sorted(source.glob("*.csv"))
    if len(tables) != 1:
        return None
    columns, *rows = _table(tables[0]) or [[]]
    image, mask = (
        next((n for n, column in enumerate(columns) if known.fullmatch(column)), None)
        for known in _COLUMNS
    )
    if image is None or mask is None:
        return None
    for row in rows:
        if any(row[len(columns) :]):
            raise SupportError(
                f"{tables[0].name} has more cells than columns in the row {', '.join(row)}",
                "Put names that hold what parts cells in quotation marks.",
            )
    listed = [
        [tables[0].parent / row[column] for column in (image, mask)]
        for row in rows
        if len(row) > max(image, mask) and row[image] and row[mask]
    ]
    pairs, missing = [], []
    for paths in listed:
        found = [inputs_at(path) if path.exists() else [] for path in paths]
        if all(len(inputs) == 1 for inputs in found):
            pairs.append(Pair(found[0][0], found[1][0]))
        else:
            missing.append(paths[0])
    return Pairing(tuple(pairs), f"as {tables[0].name} lists them", tuple(missing))


def _table(path: Path) -> list[list[str]]:
    try:
        return read_table(path)
    except SubjectError as error:
        raise SupportError(
            f"{path.name} {error.reason}", "It is a table in UTF-8, parted by commas."
        ) from error


def _by_folders(folder: Path) -> Pairing | None:
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    images = [path for path in inside if _IMAGE_FOLDER.fullmatch(path.name)]
    masks = [path for path in inside if _MASK_FOLDER.fullmatch(path.name)]
    if len(images) != 1 or len(masks) != 1:
        return None
    how = f"{images[0].name}/x with {masks[0].name}/x"
    return _matched(inputs_at(images[0]), inputs_at(masks[0]), how)


def _by_endings(folder: Path) -> Pairing:
    inputs = inputs_at(folder)
    masks = [each for each in inputs if _MASK_ENDING.search(each.name)]
    endings = sorted({_MASK_ENDING.search(mask.name)[0] for mask in masks})  # type: ignore[index]
    images = [each for each in inputs if each not in masks]
    return _matched(images, masks, f"x with x{' or x'.join(endings)}")


def _by_formats(folder: Path) -> Pairing:
    pictures = [each for each in inputs_at(folder) if each.dimension == 2]
    masks = [picture for picture in pictures if suffix_of(picture.path) == ".png"]
    images = [picture for picture in pictures if picture not in masks]
    formats = " or ".join(sorted({suffix_of(image.path) for image in images}))
    return _matched(images, masks, f"x{formats} with x.png")


def _matched(images: Collection[Input], masks: Collection[Input], how: str) -> Pairing:
    """Pair what has the same name but for its endings, where there is one of each."""
    candidates: dict[str, tuple[list[Input], list[Input]]] = defaultdict(lambda: ([], []))
    for side, inputs, ending in ((0, images, _IMAGE_ENDING), (1, masks, _MASK_ENDING)):
        for each in inputs:
            candidates[ending.sub("", each.name)][side].append(each)
    pairs, unpaired = [], []
    for ours, theirs in candidates.values():
        if len(ours) == len(theirs) == 1:
            pairs.append(Pair(*ours, *theirs))
        else:
            unpaired += [each.path for each in (*ours, *theirs)]
    return Pairing(tuple(pairs), how, tuple(unpaired))
