"""Arrays in files: of NumPy, MATLAB and HDF5. Nothing is unpickled or followed elsewhere."""

from megamedical.reading.arrays.hdf5 import Hdf5Reader
from megamedical.reading.arrays.matlab import MatReader
from megamedical.reading.arrays.numpy_files import NpyReader, NpzReader

__all__ = ["Hdf5Reader", "MatReader", "NpyReader", "NpzReader"]
