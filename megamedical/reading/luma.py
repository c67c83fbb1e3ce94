"""Grey values of colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601-2, as Pillow has it


def luma(colours: NDArray[Any]) -> NDArray[np.float32]:
    """Red, green and blue (..., 3) as grey (...), in their own unit."""
    return colours.astype(np.float32) @ _LUMA
