"""What a kind of file is to the damage that is done to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from megamedical.reading import read_scan


class Shown(NamedTuple):
    """What was read of a file: its values, and where they lie if it says so."""

    values: NDArray[Any]
    place: tuple[NDArray[np.float64], ...] = ()


def read_picture(path: Path) -> Shown:
    return Shown(read_scan(path, 2).voxels)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    `independent` gives its values as another reader has them; where it is missing, all that could
    be changed has a checksum. Values of the two may differ by `apart`. `half` is the name of a
    second file that belongs to it.
    """

    write: Callable[[Path], None]
    read: Callable[[Path], Shown] = read_picture
    independent: Callable[[Path], NDArray[Any]] | None = None
    apart: float = 1e-6
    half: str = ""
