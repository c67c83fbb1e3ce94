"""Masks as the lengths of runs, outside and inside by turns, outside first, as in COCO and CVAT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.limits import expect_picture

_MOST_BITS = 60  # of a length


def pixels_of(counts: Any, shape: tuple[int, int], *, by_columns: bool) -> NDArray[np.bool_]:  # noqa: ANN401  (whatever a file has there)
    """The pixels (H, W) that runs fill, row by row or column by column.

    Raises:
        ValueError: they do not fill it, or it is larger than a picture.
    """
    if min(shape) < 1:
        raise ValueError(f"holds a mask of {shape[0]} x {shape[1]} pixels")
    expect_picture(shape)
    lengths = _lengths(counts)
    area = shape[0] * shape[1]
    if ((lengths < 0) | (lengths > area)).any() or int(lengths.sum()) != area:
        raise ValueError(f"holds runs that do not fill a mask of {shape[0]} x {shape[1]} pixels")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(shape[::-1]).T if by_columns else flat.reshape(shape)


def lengths_in(text: str) -> list[int]:
    """The lengths that COCO packs into letters, as differences to the last but one.

    Raises:
        ValueError: it is no such text.
    """
    lengths: list[int] = []
    value, bits = 0, 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or bits > _MOST_BITS:
            raise ValueError("holds runs that are packed in no way that is known")
        value |= (code & 31) << bits
        bits += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << bits
        if len(lengths) > 2:
            value += lengths[-2]
        lengths.append(value)
        value, bits = 0, 0
    if bits:
        raise ValueError("holds runs that are cut off")
    return lengths


def _lengths(counts: Any) -> NDArray[np.int64]:  # noqa: ANN401  (whatever a file has there)
    if isinstance(counts, str):
        counts = lengths_in(counts)
    if not isinstance(counts, Sequence) or not all(type(each) is int for each in counts):
        raise ValueError("holds runs that are no whole numbers")
    try:
        return np.array(counts, dtype=np.int64)
    except OverflowError:
        raise ValueError("holds runs that are longer than any picture") from None
