"""The ways in which folders have images beside their masks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from megamedical.errors import SubjectError
from megamedical.reading.formats import suffix_of
from megamedical.reading.text_tables import read_table
from megamedical.reading.vocabulary import IMAGE, MASK
from universeg.prediction.inputs import Input, inputs_at
from universeg.prediction.pairing.made import Several
from universeg.prediction.pairing.nested import in_folders
from universeg.prediction.pairing.pair import Pair, Pairing
from universeg.tuning.support import SupportError

IMAGE_FOLDER = re.compile(f"({IMAGE})(tr)?", re.IGNORECASE)
MASK_FOLDER = re.compile(f"({MASK})(tr)?", re.IGNORECASE)
_IMAGE_ENDING = re.compile(r"[ _.-](image|img|0000)$", re.IGNORECASE)
_MASK_ENDING = re.compile(rf"[ _.-]({MASK})([ _.-]?\d+)?$", re.IGNORECASE)
_NUMBER = re.compile(r"[ _.-]?\d+$")
_COLUMNS = [re.compile(word, re.IGNORECASE) for word in (IMAGE, MASK)]


def by_table(source: Path) -> Pairing | None:
    """The pairs that a CSV file lists, in the columns image and mask.

    Raises:
        SupportError: it is damaged.
    """
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


def by_folders(folder: Path) -> Pairing | None:
    """A folder of images beside one of masks, named alike, or with folders in it.

    Raises:
        SupportError: several of them could be meant.
    """
    inside = sorted(path for path in folder.iterdir() if path.is_dir())
    images = [path for path in inside if IMAGE_FOLDER.fullmatch(path.name)]
    masks = [path for path in inside if MASK_FOLDER.fullmatch(path.name)]
    found = []
    for ours in images:
        for theirs in masks:
            how = f"{ours.name}/x with {theirs.name}/x"
            pairing = _matched(inputs_at(ours), inputs_at(theirs), how)
            pairing = pairing if pairing.pairs else in_folders(ours, theirs)
            if pairing.pairs:
                found.append((pairing, {ours, theirs}))
    if len(found) > 1:
        ways = " and ".join(pairing.how for pairing, _ in found)
        raise SupportError(
            f"{folder} can be paired in {len(found)} ways: {ways}",
            "Put what is not meant elsewhere, or list the pairs in a CSV.",
        )
    if not found:
        return None
    pairing, meant = found[0]
    aside = [f"{path.name}/" for path in (*images, *masks) if path not in meant]
    notes = [f"Left aside: {', '.join(aside)}"] if aside else []
    return replace(pairing, notes=(*pairing.notes, *notes))


def by_endings(folder: Path) -> Pairing:
    """Masks whose names end in `_mask` and the like, maybe with a number."""
    inputs = inputs_at(folder)
    masks = [each for each in inputs if _MASK_ENDING.search(each.name)]
    endings = sorted({_ending_of(mask) for mask in masks})
    images = [each for each in inputs if each not in masks]
    return _matched(images, masks, f"x with x{' or x'.join(endings)}")


def by_formats(folder: Path) -> Pairing:
    """Masks in PNG beside images of the same name in another format."""
    pictures = [each for each in inputs_at(folder) if each.dimension == 2]
    masks = [picture for picture in pictures if suffix_of(picture.path) == ".png"]
    images = [picture for picture in pictures if picture not in masks]
    formats = " or ".join(sorted({suffix_of(image.path) for image in images}))
    return _matched(images, masks, f"x{formats} with x.png")


def _matched(images: Collection[Input], masks: Collection[Input], how: str) -> Pairing:
    """Pair what has the same name but for its endings, where there is one image of it.

    Of masks there may be several that differ in a number alone: `x_mask`, `x_mask_1`.
    """
    candidates: dict[str, tuple[list[Input], list[Input]]] = defaultdict(lambda: ([], []))
    for image in images:
        candidates[_IMAGE_ENDING.sub("", image.name)][0].append(image)
    own = {*candidates}
    for mask in masks:
        name = _MASK_ENDING.sub("", mask.name)
        without = _NUMBER.sub("", name)
        candidates[without if name not in own and without in own else name][1].append(mask)
    pairs, unpaired, several = [], [], 0
    for ours, theirs in candidates.values():
        if len(ours) == len(theirs) == 1:
            pairs.append(Pair(*ours, *theirs))
        elif len(ours) == 1 and theirs and len({_ending_of(mask) for mask in theirs}) == 1:
            several += 1
            masks_of_it = tuple((mask, None) for mask in theirs)
            pairs.append(Pair(ours[0], Several(theirs[0].path, masks_of_it)))
        else:
            unpaired += [each.path for each in (*ours, *theirs)]
    notes = (f"{several} images have several masks, which are put together",) if several else ()
    return Pairing(tuple(pairs), how, tuple(unpaired), notes=notes)


def name_of_mask(mask: Input) -> str:
    """What a mask is called, without an ending as `_mask`."""
    return _MASK_ENDING.sub("", mask.name)


def _ending_of(mask: Input) -> str:
    """What the name of a mask ends in, `_mask` or the like, without a number."""
    found = _MASK_ENDING.search(mask.name)
    return _NUMBER.sub("", found[0]) if found else ""
