"""Grey values of colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601-2, as Pillow has it


def luma(colours: NDArray[Any]) -> NDArray[np.float32]:
    """Red, green and blue (..., 3) as grey (...), in their own unit."""
    return colours.astype(np.float32) @ _LUMA


def one_value_a_pixel(
    pixels: NDArray[Any], path: Path, channel: int | Literal["any"] | None = None
) -> NDArray[Any]:
    """A picture (H, W) or (H, W, C) of a file as (H, W).

    Args:
        pixels: the picture.
        path: its file.
        channel: which of its channels is meant, or `any` for the brightest of its colours; by
            default, red, green and blue become grey.

    Raises:
        SubjectError: it has no such channel, its last axis has none, or it is no picture.
    """
    if channel is not None and pixels.ndim == 3 and pixels.shape[-1] > min(pixels.shape[:2]):
        raise SubjectError(
            "read", path.name, f"has shape {pixels.shape} there: channels are meant to come last"
        )
    if channel == "any" and pixels.ndim == 3:
        pixels = pixels[..., :3].max(axis=-1) if pixels.shape[-1] > 2 else pixels[..., 0]
    elif channel is not None and channel != "any" and pixels.ndim == 3:
        if channel >= pixels.shape[-1]:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        pixels = pixels[..., channel]
    if pixels.ndim == 3 and pixels.shape[-1] == 3:
        pixels = luma(pixels)
    if pixels.ndim != 2:
        raise SubjectError("read", path.name, f"has shape {pixels.shape} there, not (H, W)")
    return np.ascontiguousarray(pixels)
