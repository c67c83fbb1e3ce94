"""Variables of MATLAB: files of versions 4 and 5, which SciPy reads, and of 7.3, which are HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.arrays.hdf5 import dataset_of, expect_chunks
from megamedical.reading.arrays.named import NamedArrays, expect_array, expect_numbers

_VERSION_AT, _OF_HDF5 = 124, (b"\x00\x02", b"\x02\x00")  # bytes of its header
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_AT = (0, 512)
_WHOLE = ("logical", "char")  # classes, beside those of numbers, that are arrays
_NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


class MatReader(NamedArrays):
    """Variables by name; structures, cells, functions and sparse matrices are none."""

    def named(self, path: Path, array: str) -> NDArray[Any]:
        """See `NamedArrays`."""
        if _is_hdf5(path):
            with dataset_of(path, array) as found:
                expect_array(found.shape)
                expect_chunks(found, array)
                return np.asarray(found[()]).T  # MATLAB writes the last axis first
        from scipy.io import loadmat, whosmat

        claims = {name: (shape, kind) for name, shape, kind in whosmat(path)}
        if array not in claims:
            raise ValueError(f"holds no array {array}, but {', '.join(claims) or 'none'}")
        shape, kind = claims[array]
        if kind not in (*_NUMBERS, *_WHOLE, "single", "double"):
            raise ValueError(f"{array} is no array of numbers, but {kind}")
        expect_array(shape)
        read = np.asarray(loadmat(path, variable_names=[array])[array])
        expect_numbers(read.dtype, array)
        return read


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_HDF5_AT[-1] + len(_HDF5))
    is_there = any(start[place : place + len(_HDF5)] == _HDF5 for place in _HDF5_AT)
    is_text = 0 not in start[:4]  # as all but version 4 begin
    return is_there or (is_text and start[_VERSION_AT : _VERSION_AT + 2] in _OF_HDF5)
