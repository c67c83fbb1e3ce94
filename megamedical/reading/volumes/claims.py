"""What a header claims, before anything is read or allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from megamedical.errors import SubjectError
from megamedical.reading.contract import LARGEST


def expect_volume(path: Path, size: Sequence[int], values: int) -> None:
    """Make sure that a header claims a volume of a size that can be.

    Args:
        path: the file.
        size: the lengths of its axes; all after the third must be 1.
        values: how many there are in a voxel.

    Raises:
        SubjectError: it has other dimensions, several values in a voxel, or is larger than a scan.
    """
    if len(size) < 3 or any(length != 1 for length in size[3:]):
        found = "x".join(str(length) for length in size)
        raise SubjectError(
            "read", path.name, f"has {len(size)} dimensions ({found}), the manifest declares 3"
        )
    if values != 1:
        raise SubjectError("read", path.name, f"has {values} values a voxel, not one")
    if math.prod(size) > LARGEST:
        raise SubjectError("read", path.name, "its header claims more than 16 billion voxels")
