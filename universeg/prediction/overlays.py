"""Predictions as pictures: masks, probabilities, and outlines on the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.files.writing import whole_file
from megamedical.store.contact_sheet import OUTLINES, outline_of

_LEGIBLE = 512  # pixels; smaller images are enlarged to about that, so that lines are thin
_STRETCHED = 16  # times; pixels longer than that are shown shorter than they are
_LARGEST = np.iinfo(np.uint16).max  # that a grey PNG can hold


def write_picture(values: NDArray[Any], target: Path) -> None:
    """Write a PNG, whole or not at all: (H, W) in uint8 or uint16, or (H, W, 3) in uint8.

    Raises:
        SubjectError: a PNG does not hold values so large.
    """
    if values.dtype.itemsize > 2:
        raise SubjectError(
            "process", target.name, f"label values above {_LARGEST} do not fit into a PNG"
        )
    with whole_file(target) as path:
        Image.fromarray(values).save(path, format="PNG")


def as_grey(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Probabilities in [0, 1] as grey values from 0 to 255."""
    return np.rint(probabilities * 255).astype(np.uint8)


def outlined(
    image: NDArray[np.float32], mask: NDArray[np.integer], spacing: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.uint8]:
    """An image (H, W) in [0, 1] with the outline of each label of its mask.

    Returns:
        (n * H, m * W, 3): each pixel is shown so many times that small images are legible, and
        pixels that are not square, as `spacing` says, have about their proportions.
    """
    stretched = np.divide(spacing, min(spacing)).clip(max=_STRETCHED)
    times = max(1, _LEGIBLE // int(np.multiply(image.shape, stretched).max()))
    rows, columns = np.rint(times * stretched).astype(int)
    image = image.repeat(rows, axis=0).repeat(columns, axis=1)
    mask = mask.repeat(rows, axis=0).repeat(columns, axis=1)
    picture = np.repeat(as_grey(image)[..., None], 3, axis=2)
    for value in np.unique(mask[mask > 0]):
        picture[outline_of(mask == value)] = OUTLINES[int(value) % len(OUTLINES)]
    return picture
