"""What the foreground of a mask of two values is, decided once.

Such masks are written as 0 and 1, as one bit a pixel, or as 0 and 255; one dataset may mix them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import FileGroup
from megamedical.errors import SubjectError
from megamedical.subjects.shades import FEWEST, shades_of

_STRAY = 0.02  # of a mask: real ones have a few pixels of whatever was drawn first
_SET = (1, 255, 65535)  # how a bit that is set is written in one bit, eight and sixteen


def set_bit(group: FileGroup) -> int:
    """What a set bit becomes in a mask of one bit a pixel: above whatever the manifest names."""
    is_cut = group.mask.decode == "threshold"
    return max(1, math.floor(group.mask.above) + 1) if is_cut else 1


def as_stored(values: NDArray[Any], group: FileGroup, times: int) -> NDArray[Any]:
    """The values of a mask of few bits, as shown or as stored: whichever the manifest names.

    Args:
        values: those that are shown.
        group: whose labels have values.
        times: how many times as large these are as those that are stored.

    Raises:
        SubjectError: labels have values of both.
    """
    if times == 1 or group.mask.decode != "values":
        return values
    shown = {int(value) for value in np.unique(values)} - {0}
    stored = {value // times for value in shown}
    if not stored & group.labels.keys():
        return values
    if shown & group.labels.keys():
        raise SubjectError(
            "decode",
            "",
            f"the mask is a PNG of few bits that stores {_some(stored)} and shows {_some(shown)}: "
            "labels have values of both; save it with 8 bits",
        )
    return values // times


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


def expect_no_shades(values: NDArray[Any], group: FileGroup) -> None:
    """Make sure that the values of a picture's mask that have no name are no edges of labels.

    Raises:
        SubjectError: they are shades, as smoothing leaves them, and more than a few stray pixels.
    """
    if group.mask.decode != "values":
        return
    lost = shades_of(values) - group.labels.keys()
    if len(lost) < FEWEST:
        return
    if np.isin(values, [*lost]).sum() / np.count_nonzero(values) > _STRAY:
        raise SubjectError(
            "decode",
            "",
            f"the mask holds {len(lost)} shades of grey, as at smooth edges, which are no labels: "
            "save it without smoothing, or say `decode: threshold` and what is `above:`",
        )


def _some(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in sorted(values))
