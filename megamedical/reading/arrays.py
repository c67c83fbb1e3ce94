"""Arrays as NumPy and MATLAB write them: `.npy`, `.npz` and `.mat`. Nothing is unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Grey, Part, Reader


class NpyReader(Reader):
    """One array: a picture, or pictures along its first axis."""

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        del grey  # there are no colours
        with path.open("rb") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        if array.ndim != 2:
            raise SubjectError("read", path.name, f"has shape {array.shape}, not (H, W)")
        return array

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        stored = _mapped(path)
        return np.asarray(stored if part.frame is None else stored[part.frame])

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        del array  # has no name
        return int(_mapped(path).shape[0])


class _NamedArrays(Reader):
    """Arrays by name."""

    def named(self, path: Path, array: str) -> NDArray[Any]:
        """The array of a name."""
        raise NotImplementedError

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        found = self.named(path, part.array)
        return found if part.frame is None else found[part.frame]

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        return int(self.named(path, array).shape[0])


class NpzReader(_NamedArrays):
    """A zip file of arrays."""

    def named(self, path: Path, array: str) -> NDArray[Any]:
        """See `_NamedArrays`."""
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[array])


class MatReader(_NamedArrays):
    """Variables of MATLAB."""

    def named(self, path: Path, array: str) -> NDArray[Any]:
        """See `_NamedArrays`."""
        from scipy.io import loadmat

        return np.asarray(loadmat(path, variable_names=[array])[array])


def _mapped(path: Path) -> NDArray[Any]:
    stored: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return stored
