"""Outlines on pictures, with a legend: lines as wide as a picture asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from megamedical.store.contact_sheet import FAINT, GAP, INK, PAPER, font
from universeg.results.labels import Label

Pixels = NDArray[np.uint8]
Layers = Mapping[int, NDArray[np.bool_]]

_LINES = 200  # of them would fill the longer side of a picture
_DARK = 1 / 3  # of the width of a line: its outer edge, so that it is seen on any colour
_STRETCHED = 16.0  # times; pixels longer than that are shown shorter than they are


@dataclass(frozen=True)
class Size:
    """How large a picture is drawn: its longer side in pixels.

    Smaller ones than `least` are enlarged by a whole number, larger ones than `most` shrunk.
    """

    least: int
    most: int

    def of(self, shape: Sequence[int], mm: Sequence[float]) -> tuple[int, int]:
        """(height, width) of a picture (H, W) with pixels of so many mm, in true proportions."""
        stretched = np.divide(mm, min(mm)).clip(max=_STRETCHED)
        sides = np.multiply(shape[:2], stretched)
        longer = float(sides.max())
        times = self.least // longer if longer < self.least else min(1, self.most / longer)
        height, width = (max(1, round(float(side))) for side in sides * times)
        return height, width


def outlined(
    pixels: Pixels,
    layers: Layers,
    labels: Sequence[Label],
    size: Size,
    mm: Sequence[float] = (1, 1),
) -> Pixels:
    """A picture with the outline of each of its labels.

    A line lies inside of what it surrounds, so that those of labels that touch lie side by side.

    Args:
        pixels: (H, W) grey or (H, W, 3) in colour.
        layers: where each label is, (H, W), by its value.
        labels: in the order in which they are drawn.
        size: of what is drawn.
        mm: of a row and of a column.

    Returns:
        (h, w, 3).
    """
    height, width = size.of(pixels.shape, mm)
    is_smaller = height * width < pixels.shape[0] * pixels.shape[1]
    how = Image.Resampling.BOX if is_smaller else Image.Resampling.BICUBIC
    canvas = np.array(Image.fromarray(pixels).convert("RGB").resize((width, height), how))
    line = max(1, round(max(height, width) / _LINES))
    for label in labels:
        layer = layers.get(label.value)
        if layer is None or not layer.any():
            continue
        inside = _resized(layer, (width, height))
        (box,) = ndimage.find_objects(inside.astype(np.uint8))
        drawn, own = canvas[box], inside[box]
        drawn[own & ~_shrunk(own, line)] = label.rgb
        if dark := int(line * _DARK):
            drawn[own & ~_shrunk(own, dark)] = INK
    return canvas


def with_legend(picture: Pixels, labels: Sequence[Label], found: Mapping[int, str]) -> Pixels:
    """A picture (H, W, 3) above the names of labels; `found` says how much of each there is."""
    height, width = picture.shape[:2]
    letters = font(max(12, round(max(height, width) / 50)))
    tall = round(letters.getbbox("Ag")[3] * 1.5)
    entries = [(label, _entry(label, found)) for label in labels]
    places, right, row = [], GAP, 0
    for _, said in entries:
        wide = tall + round(letters.getlength(said)) + 2 * GAP
        if right > GAP and right + wide > width:
            right, row = GAP, row + 1
        places.append((right, row))
        right += wide + GAP
    paper = Image.new("RGB", (width, height + (row + 1) * tall + 2 * GAP), PAPER)
    paper.paste(Image.fromarray(picture))
    pen = ImageDraw.Draw(paper)
    for (label, said), (left, line) in zip(entries, places, strict=True):
        top = height + GAP + line * tall
        box = [left + tall // 5, top + tall // 5, left + tall * 4 // 5, top + tall * 4 // 5]
        pen.rectangle(box, fill=label.rgb, outline=INK)
        ink = INK if label.value in found else FAINT
        pen.text((left + tall, top + tall // 2), said, ink, letters, anchor="lm")
    return np.asarray(paper)


def sheet_of(tiles: Sequence[Pixels], titles: Sequence[str], across: int) -> Pixels:
    """Pictures of one size (h, w, 3) in rows of so many, each under its title."""
    height, width = tiles[0].shape[:2]
    letters = font(max(12, round(max(height, width) / 20)))
    tall = round(letters.getbbox("Ag")[3] * 1.3)
    rows = ceil(len(tiles) / across)
    across = min(across, len(tiles))
    size = (across * (width + GAP) + GAP, rows * (height + tall + GAP) + GAP)
    paper = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(paper)
    for number, (tile, title) in enumerate(zip(tiles, titles, strict=True)):
        row, column = divmod(number, across)
        left, top = GAP + column * (width + GAP), GAP + row * (height + tall + GAP)
        pen.text((left, top), title, INK, letters)
        paper.paste(Image.fromarray(tile), (left, top + tall))
    return np.asarray(paper)


def _entry(label: Label, found: Mapping[int, str]) -> str:
    return ": ".join(filter(None, [label.name, found.get(label.value, "not found")]))


def _resized(layer: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A layer of another size; what is thinner than a pixel of it stays."""
    if layer.shape[::-1] == size:
        return layer
    grey: Any = Image.fromarray(layer.astype(np.uint8) * 255)
    is_smaller = size[0] * size[1] < layer.size
    if is_smaller:
        return np.asarray(grey.resize(size, Image.Resampling.BOX)) > 64  # a line of 1 in 3 pixels
    return np.asarray(grey.resize(size, Image.Resampling.NEAREST)) > 127


def _shrunk(inside: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """What is left of it that lies so many pixels from its edge, and from that of its box."""
    values = inside.astype(np.uint8)
    shrunk = ndimage.minimum_filter(values, size=2 * by + 1, mode="constant", cval=0)
    return shrunk.astype(np.bool_)
