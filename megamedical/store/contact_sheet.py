"""What contact sheets are drawn with: tiles, outlines, colours and letters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont
from scipy import ndimage

Colour = tuple[int, int, int]

TILE = 192  # pixels of one slice on a sheet
GAP = 6
PAPER: Colour = (250, 250, 248)
INK: Colour = (40, 40, 40)
FAINT: Colour = (120, 120, 120)
OUTLINES: tuple[Colour, ...] = (
    (230, 60, 60),
    (30, 170, 230),
    (245, 170, 20),
    (60, 190, 90),
    (200, 90, 220),
    (240, 110, 170),
)


def outlined_tile(
    image: NDArray[np.float32], mask: NDArray[np.float32], colour: Colour
) -> NDArray[np.uint8]:
    """An image with the outline of its mask at 0.5, both enlarged to the size of a tile.

    Args:
        image: (H, W) in [0, 1].
        mask: (H, W) in [0, 1].
        colour: of the outline.

    Returns:
        (192, 192, 3).
    """
    grey = _enlarged(image, Image.Resampling.BICUBIC)
    inside = _enlarged(mask, Image.Resampling.BILINEAR) > 0.5
    pixels = np.repeat((grey.clip(0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    pixels[outline_of(inside)] = colour
    return pixels


def outline_of(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels (H, W) at the edge of what is inside, and of it."""
    outline: NDArray[np.bool_] = inside ^ ndimage.binary_erosion(inside, border_value=1)
    return outline


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Letters of a height in pixels."""
    return ImageFont.load_default(size)


def _enlarged(plane: NDArray[np.float32], how: Image.Resampling) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(plane).resize((TILE, TILE), how))
