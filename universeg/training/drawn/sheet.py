"""A contact sheet of drawn tasks: a query and its support in a row, a few rows of each family."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from megamedical.store.contact_sheet import GAP, INK, OUTLINES, PAPER, TILE, font, outlined_tile

_TEXT = 110  # pixels beside the rows


def task_sheet(tasks: list[tuple[str, Tensor, Tensor]]) -> NDArray[np.uint8]:
    """Draw tasks.

    Args:
        tasks: of each its name, its images and its masks, (N, H, W) in [0, 1] on the CPU.

    Returns:
        (height, width, 3) pixels.
    """
    columns = max(len(images) for _, images, _ in tasks)
    size = (_TEXT + columns * (TILE + GAP), len(tasks) * (TILE + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (name, images, masks) in enumerate(tasks):
        top = GAP + number * (TILE + GAP)
        draw.text((GAP, top + GAP), name, font=font(14), fill=INK)
        for column, (image, mask) in enumerate(zip(images, masks, strict=True)):
            tile = Image.fromarray(outlined_tile(image.numpy(), mask.numpy(), OUTLINES[0]))
            sheet.paste(tile, (_TEXT + column * (TILE + GAP), top))
    return np.asarray(sheet)
