"""What the foreground of a mask of two values is, decided once.

Such masks are written as 0 and 1, as one bit a pixel, or as 0 and 255; one dataset may mix them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import FileGroup

_SET = (1, 255, 65535)  # how a bit that is set is written in one bit, eight and sixteen


def set_bit(group: FileGroup) -> int:
    """What a set bit becomes in a mask of one bit a pixel: above whatever the manifest names."""
    is_cut = group.mask.decode == "threshold"
    return max(1, math.floor(group.mask.above) + 1) if is_cut else 1


def as_declared(values: NDArray[Any], group: FileGroup) -> NDArray[Any]:
    """The values of a mask, in which the group's one label has the value that its manifest gives.

    A mask that has this value somewhere is left as it is, and so is one of three values or more. A
    manifest that means something else by 1 or 255 has more labels than one, or another value.
    """
    declared = list(group.labels)
    if group.mask.decode != "values" or len(declared) > 1 or declared[0] not in _SET:
        return values
    (value,) = declared
    highest = int(values.max(initial=0))
    if highest not in _SET or highest == value or (values == value).any():
        return values
    is_set = values == highest
    if (values[~is_set] != 0).any():
        return values
    return np.where(is_set, np.int32(value), np.int32(0))
