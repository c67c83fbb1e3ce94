"""Arrays in HDF5 files, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.contract import Part, Reader


class Hdf5Reader(Reader):
    """Datasets of an HDF5 file; of many pictures in one, only the one that is meant is read."""

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        import h5py

        with h5py.File(path, "r") as file:
            found = file[part.array]
            return np.asarray(found[() if part.frame is None else part.frame])

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        import h5py

        with h5py.File(path, "r") as file:
            return int(file[array].shape[0])
