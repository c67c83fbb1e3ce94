"""Which files of a folder are images, which are their masks, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.formats import sought_suffixes, suffix_of
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume
from universeg.annotations.kinds import SUFFIXES
from universeg.prediction.inputs import Input, inputs_at
from universeg.prediction.labels import asked_labels, expect_no_shades, only
from universeg.prediction.pairing.advice import nothing_paired
from universeg.prediction.pairing.colours import with_colours
from universeg.prediction.pairing.drawn import Unread, by_annotations
from universeg.prediction.pairing.made import Drawn, InPatient
from universeg.prediction.pairing.nested import by_cases
from universeg.prediction.pairing.pair import Pair, Pairing
from universeg.prediction.pairing.patients import by_references, with_segments
from universeg.prediction.pairing.ways import by_endings, by_folders, by_formats, by_table
from universeg.prediction.showing import expect_same_size, label_values
from universeg.tuning.support import SupportError

__all__ = ["Pair", "Pairing", "find_pairs", "read_example", "read_support", "scans_in"]


def find_pairs(source: Path, colours: Mapping[int, int] | None = None) -> Pairing:
    """Pair the images and masks of a folder, of a CSV file, or of a file of annotations.

    Tried in this order: a CSV file with a column for each; a folder of images beside one of masks,
    files named alike; masks whose names end in `_mask`, `_seg`, `_label` or `_gt`; masks in PNG
    beside images of the same name in another format; a folder for each image; segments that name
    their DICOM series; and what other programs have drawn. In a table commas, semicolons or tabs
    may part the cells, in UTF-8, UTF-16 or cp1252.

    Args:
        source: the folder or file.
        colours: those that are labels in masks, as 0xRRGGBB, with their values; by default every
            colour is, where masks are in colour.

    Raises:
        SupportError: nothing is there, or nothing could be paired; or in more than one way.
    """
    if not source.exists():
        raise SupportError(f"{source} is not there", "Name a folder of images and masks, or a CSV.")
    unread = Unread()
    ways: list[Callable[[Path], Pairing | None]] = [by_table]
    if source.is_dir():
        ways += [by_folders, by_endings, by_formats, by_cases, by_references]
    elif source.suffix.lower() in SUFFIXES and source.suffix.lower() != ".csv":
        ways = []
    ways.append(lambda path: by_annotations(path, unread))
    for way in ways:
        pairing = way(source)
        if pairing and pairing.pairs:
            return with_colours(with_segments(pairing), colours or {})
    raise nothing_paired(source, unread.reasons)


def read_example(
    pair: Pair, say: Callable[[str], None], labels: Collection[int] = ()
) -> tuple[Scan, NDArray[Any]]:
    """An image, and its label values on the same grid; one axis more where labels overlap.

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
        mask, place_of_mask = _labels_of(pair, scan, place, say)
    except SubjectError as error:
        reason = f"its mask {pair.mask.path.name} {error.reason}"
        raise SubjectError(error.stage, pair.image.name, reason) from error
    expect_same_size(scan, mask)
    try:
        if not isinstance(pair.mask, Drawn | InPatient):
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


def read_support(
    source: str | Path,
    labels: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[NDArray[Any]], list[NDArray[Any]], Mapping[int, str]]:
    """The labelled scans of a folder or file, whatever program labelled them, for `Segmenter.fit`.

    Args:
        source: see `find_pairs`.
        labels: what is looked for, as `--label` has it: `1=nucleus`, `#ff0000=tumour`, or a name
            that annotations have; by default all there is.
        say: takes notices and warnings.

    Returns:
        images, (H, W) grey or (Z, Y, X); their masks, with one axis before where labels overlap;
        and the names of the values in them, as far as they are known.

    Raises:
        SupportError: nothing could be paired, or a file cannot be used.
    """
    asked = asked_labels(labels)
    pairing = find_pairs(Path(source), asked.colours)
    named = asked.among(pairing.names)
    images, masks = [], []
    for pair in pairing.pairs:
        try:
            scan, mask = read_example(pair, say, named)
        except SubjectError as error:
            raise SupportError(
                f"{pair.image.path.name}: {error.reason}", "Mend it, or leave it out."
            ) from error
        images.append(scan.voxels)
        masks.append(mask)
    return images, masks, named


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


def _labels_of(
    pair: Pair, scan: Scan, place: Volume | None, say: Callable[[str], None]
) -> tuple[NDArray[Any], Volume | None]:
    """The label values of a mask, and where it lies, as far as that may be elsewhere."""
    if isinstance(pair.mask, Input):
        return pair.mask.read_labels()
    return pair.mask.labels_on(scan, place, say), None
