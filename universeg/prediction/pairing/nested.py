"""Masks in folders: one folder for each image, for each label, or for each patient."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from megamedical.reading.vocabulary import IMAGE, MASK
from universeg.annotations.drawing import Named
from universeg.annotations.naming import unified
from universeg.prediction.inputs import Input, inputs_at
from universeg.prediction.pairing.made import Several
from universeg.prediction.pairing.pair import Pair, Pairing

_IMAGE = re.compile(IMAGE, re.IGNORECASE)
_MASK = re.compile(MASK, re.IGNORECASE)
_IN_NAME = re.compile(rf"(?<![a-z])({MASK})(?![a-z])", re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d]([^\d]*[^\W\d])?")  # a name without a number

Parts = Mapping[str, Sequence[tuple[str, Input]]]  # by image: masks, each with what it is called


def in_folders(images: Path, masks: Path) -> Pairing:
    """Images with masks in folders named after them, or in folders named after labels."""
    own = {image.name: image for image in inputs_at(images)}
    below = {path: _inside(path) for path in sorted(masks.iterdir()) if path.is_dir()}
    of_images = {path.name: found for path, found in below.items() if path.name in own and found}
    if of_images:
        parts = {name: [(m.name, m) for m in found] for name, found in of_images.items()}
        how = f"{images.name}/x with all of {masks.name}/x/"
        return _put_together(own, parts, how, are_labels=_are_labels(parts))
    by_image: dict[str, list[tuple[str, Input]]] = defaultdict(list)
    for path, found in below.items():
        for mask in found:
            if mask.name in own:
                by_image[mask.name].append((path.name, mask))
    how = f"{images.name}/x with {masks.name}/LABEL/x"
    return _put_together(own, by_image, how, are_labels=True)


def by_cases(folder: Path) -> Pairing | None:
    """Folders of one image each, with a folder of its masks, or with one mask."""
    images: dict[str, Input] = {}
    parts: dict[str, list[tuple[str, Input]]] = {}
    for case in sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."):
        folders = [path for path in sorted(case.iterdir()) if path.is_dir()]
        of_masks = [path for path in folders if _MASK.fullmatch(path.name)]
        of_images = [path for path in folders if _IMAGE.fullmatch(path.name)]
        here = _inside(of_images[0] if len(of_images) == 1 else case)
        masks = [mask for path in of_masks for mask in _inside(path)]
        if not masks:
            masks = [each for each in here if _IN_NAME.search(each.name)]
            here = [each for each in here if each not in masks]
        if len(here) == 1 and masks and (of_masks or len(masks) == 1):
            images[case.name] = here[0]
            parts[case.name] = [(mask.name, mask) for mask in masks]
    if not images:
        return None
    how = "an image with its masks in each folder"
    return _put_together(images, parts, how, are_labels=_are_labels(parts))


def _put_together(
    images: Mapping[str, Input], parts: Parts, how: str, *, are_labels: bool
) -> Pairing:
    """Images with all their masks: each a label, or each an object of the one label."""
    names = unified(Named(called) for own in parts.values() for called, _ in own)
    pairs = []
    for name, own in parts.items():
        if len(own) == 1 and not are_labels:
            pairs.append(Pair(images[name], own[0][1]))
            continue
        values = [names.values[called] if are_labels else None for called, _ in own]
        masks = tuple((mask, value) for (_, mask), value in zip(own, values, strict=True))
        pairs.append(Pair(images[name], Several(own[0][1].path, masks)))
    unpaired = tuple(image.path for name, image in images.items() if name not in parts)
    return Pairing(tuple(pairs), how, unpaired, names.names if are_labels else {})


def _are_labels(parts: Parts) -> bool:
    """Whether masks are named after labels: by words, several of one image, and often the same."""
    called = [{name for name, _ in own} for own in parts.values()]
    counts = Counter(name for own in called for name in own)
    if max(map(len, called), default=0) < 2 or not all(map(_WORDS.fullmatch, counts)):
        return False
    return len(called) == 1 or max(counts.values()) > 1


def _inside(folder: Path) -> list[Input]:
    """What lies in a folder itself; of its folders, such as hold a DICOM series alone."""
    return [each for each in inputs_at(folder) if folder in (each.path, each.path.parent)]
