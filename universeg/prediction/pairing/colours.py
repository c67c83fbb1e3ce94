"""Masks in which a colour is a label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.formats import reader_of, suffix_of
from megamedical.reading.library_errors import blaming
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume
from universeg.prediction.inputs import Input
from universeg.prediction.pairing.pair import Pairing, Say

_MOST = 64  # colours; more are shades
_BLACK = 0


@dataclass(frozen=True)
class Coloured:
    """A picture in which each of some colours, as 0xRRGGBB, has a value; see `Made`."""

    path: Path
    values: Mapping[int, int]
    dimension: int = 2

    @property
    def files(self) -> tuple[Path, ...]:
        """See `Made`."""
        return (self.path,)

    def labels_on(self, scan: Scan, volume: Volume | None, say: Say) -> NDArray[Any]:
        """See `Made`."""
        del scan, volume, say
        colours = _colours(self.path)
        labels = np.zeros(colours.shape, dtype=np.min_scalar_type(max(self.values.values())))
        for colour, value in self.values.items():
            labels[colours == colour] = value
        return labels


def with_colours(pairing: Pairing, asked: Mapping[int, int]) -> Pairing:
    """The pairs, those masks that are in colour as such.

    Args:
        pairing: as it was found.
        asked: the colours that are labels, as 0xRRGGBB, with their values; where there are none,
            every colour but black is, if there are few.
    """
    masks = [pair.mask for pair in pairing.pairs]
    pictures = [mask for mask in masks if isinstance(mask, Input) and _may_be(mask, asked)]
    if not pictures:
        return pairing
    names: Mapping[int, str] = {}
    if not asked:
        found = _colours_of(pictures)
        asked = {colour: number for number, colour in enumerate(sorted(found), start=1)}
        names = {number: as_text(colour) for colour, number in asked.items()}
        if not asked:
            return pairing
    shown = {value: as_text(colour) for colour, value in asked.items()}
    pairs = tuple(
        replace(pair, mask=Coloured(pair.mask.path, asked)) if pair.mask in pictures else pair
        for pair in pairing.pairs
    )
    return replace(pairing, pairs=pairs, names=names or pairing.names, colours=shown)


def as_text(colour: int) -> str:
    """`#rrggbb`."""
    return f"#{colour:06x}"


def _may_be(mask: Input, asked: Mapping[int, int]) -> bool:
    """Whether a mask may be in colour; of a palette, only if colours are asked for."""
    if mask.dimension != 2 or mask.damage or mask.series:
        return False
    return bool(asked) or (mask.is_colour and not _has_palette(mask.path))


def _has_palette(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.mode in ("P", "PA")
    except Exception:
        return False  # whoever reads it will say what is wrong with it


def _colours_of(masks: Iterable[Input]) -> set[int]:
    """The colours of some masks; none where all of them are grey, or there are too many."""
    found: set[int] = set()
    is_any = False
    for mask in masks:
        try:
            colours = np.unique(_colours(mask.path))
        except SubjectError:
            continue  # told when it is read
        if len(colours) > _MOST + 1:
            return set()
        found |= {int(colour) for colour in colours}
        is_any = is_any or any(_is_no_grey(int(colour)) for colour in colours)
    return found - {_BLACK} if is_any and len(found) <= _MOST + 1 else set()


def _is_no_grey(colour: int) -> bool:
    return not colour >> 16 == colour >> 8 & 255 == colour & 255


def _colours(path: Path) -> NDArray[np.uint32]:
    """The colour of each pixel as 0xRRGGBB, (H, W); black where nothing of it is seen.

    Raises:
        SubjectError: it cannot be read, or is a JPEG, which blurs colours.
    """
    if suffix_of(path) in (".jpg", ".jpeg"):
        raise SubjectError("decode", path.name, "is a JPEG, which blurs colours: save it as PNG")
    with blaming(path):
        values = _rgb(path)
    red, green, blue = (values[..., channel].astype(np.uint32) for channel in range(3))
    packed = (red << 16 | green << 8 | blue).astype(np.uint32)
    if values.shape[-1] == 4:
        packed[values[..., 3] == 0] = _BLACK
    return packed


def _rgb(path: Path) -> NDArray[Any]:
    if _has_palette(path):
        reader_of(path).labels(path)  # which looks whether it is whole, and how large it is
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGBA"))
    values = reader_of(path).part(path, Part())
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * 255
    if values.dtype != np.uint8 or values.shape[-1] < 3:
        raise SubjectError("decode", path.name, "has no colours of 8 bits")
    return values
