"""The colours of photographs, for showing them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.contract import Part
from megamedical.reading.formats import reader_of, sought_dimension, suffix_of


def colours_of(path: Path) -> NDArray[np.uint8] | None:
    """The colours of a photograph (H, W, 3), as its reader has them; None for any other picture."""
    if sought_dimension(path) != 2:
        return None
    values = reader_of(path).part(path, Part())
    if values.ndim != 3 or values.dtype != np.uint8:
        return None
    if values.shape[-1] == 4 and suffix_of(path) == ".png":
        values = values[..., :3]
    return np.ascontiguousarray(values) if values.shape[-1] == 3 else None
