"""How large what is read may be: more is a damaged or hostile header, refused before it costs.

One limit for each dimension, whatever the format. They are several times what scans are: a
mammogram has 2^25 pixels, a CT of the whole body 2^29 voxels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

PICTURE = 1 << 27  # pixels: 11,585 x 11,585
VOLUME = 1 << 31  # voxels: 1,024 x 1,024 x 2,048, which in 16 bits fill 4 GiB


def expect_picture(shape: Sequence[int]) -> None:
    """Make sure that a picture (H, W) is no larger than pictures are.

    Raises:
        ValueError: it claims to be.
    """
    _expect(shape, PICTURE, "pixels", "picture")


def expect_volume(shape: Sequence[int]) -> None:
    """Make sure that a volume, or a stack of pictures, is no larger than scans are.

    Raises:
        ValueError: it claims to be.
    """
    _expect(shape, VOLUME, "voxels", "scan")


def expect_scale(slope: float, intercept: float, kind: DTypeLike) -> None:
    """Make sure that whole numbers of a kind, times slope and plus intercept, are float32 values.

    Raises:
        ValueError: the largest of them would be infinite.
    """
    import numpy as np

    largest = max(abs(np.iinfo(kind).min), np.iinfo(kind).max)
    if not largest * abs(slope) + abs(intercept) < float(np.finfo(np.float32).max):
        raise ValueError(
            f"is damaged: it has a slope of {slope:g} and an intercept of {intercept:g}, which "
            "make its values too large to be any"
        )


def _expect(shape: Sequence[int], most: int, unit: str, kind: str) -> None:
    if math.prod(int(length) for length in shape) > most:
        claimed = " x ".join(str(length) for length in shape)
        raise ValueError(
            f"its header claims {claimed} {unit}, more than the {most:,} that a {kind} may have"
        )
