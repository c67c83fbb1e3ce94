"""Arrays: the libraries that write them are asked what a damaged one shows, bare."""

from __future__ import annotations

import ast
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from damaged.kind import Kind, Shown
from damaged.pictures import GREYS
from megamedical.reading.contract import Part
from megamedical.reading.file_parts import read_picture_part

_VALUES = GREYS.astype(np.int16) * 9


def _named(path: Path) -> Shown:
    return Shown(read_picture_part(path, Part("a")))


def _mat(*, packed: bool) -> Kind:
    def write(path: Path) -> None:
        savemat(path, {"a": _VALUES}, do_compression=packed)

    return Kind(write, _named, lambda path: loadmat(path)["a"])


def _h5(version: str = "earliest", **options: Any) -> Kind:
    def write(path: Path) -> None:
        with h5py.File(path, "w", libver=version) as file:
            file.create_dataset("a", data=_VALUES, **options)

    return Kind(write, _named, _as_h5py_reads)


def _as_h5py_reads(path: Path) -> NDArray[Any]:
    with h5py.File(path) as file:
        return file["a"][()]


def _by_hand(path: Path) -> NDArray[Any]:
    """A `.npy` of version 1 as its specification has it."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<H", content, 8)
    said = ast.literal_eval(content[10 : 10 + length].decode("latin-1"))
    order = "F" if said["fortran_order"] else "C"
    return np.frombuffer(content[10 + length :], said["descr"]).reshape(said["shape"], order=order)


KINDS = {
    "a.npy": Kind(lambda path: np.save(path, _VALUES), independent=_by_hand),
    "a.npz": Kind(lambda path: np.savez(path, a=_VALUES), _named),
    "packed.npz": Kind(lambda path: np.savez_compressed(path, a=_VALUES), _named),
    "a.mat": _mat(packed=False),
    "packed.mat": _mat(packed=True),
    "a.h5": _h5(),
    "packed.h5": _h5(compression="gzip"),
    "summed.h5": _h5("latest", fletcher32=True, chunks=(40, 50)),
}
