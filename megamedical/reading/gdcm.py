"""Compressed DICOM pixels, decoded by GDCM in a process of its own: damaged ones can crash it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError

if TYPE_CHECKING:
    from pydicom import Dataset

_START = b"\xff\xd8"  # of a JPEG stream
_FILLING = 0xFF
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers: JPEG's, and JPEG-LS's


def decode(paths: Sequence[Path]) -> list[NDArray[Any]]:
    """The pixels of compressed files, in the unit that slope and intercept give.

    Raises:
        SubjectError: one of them cannot be decoded.
    """
    with TemporaryDirectory() as folder:
        # it finds the modules that this process finds, and no others
        command = [sys.executable, "-P", "-m", "megamedical.reading.gdcm", folder]
        told = subprocess.run(
            command,
            input=json.dumps([str(path) for path in paths]).encode(),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=False,
        )
        done = len(list(Path(folder).iterdir()))
        if told.returncode or done < len(paths):
            raise SubjectError(
                "read",
                paths[min(done, len(paths) - 1)].name,
                "its compressed pixels cannot be decoded: it is damaged or cut off, or of a kind "
                "that GDCM does not know",
            )
        return [np.load(_target(folder, n), allow_pickle=False) for n in range(len(paths))]


def expect_sound(dataset: Dataset) -> None:
    """Make sure that JPEG streams hold such pixels as their file says: GDCM believes the stream.

    Raises:
        ValueError: a stream is missing or cut off, or of another size or depth; or there are none.
    """
    from pydicom.encaps import generate_frames
    from pydicom.uid import JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

    if "PixelData" not in dataset:
        raise ValueError("is damaged or cut off: its pixels cannot be read")
    if dataset.file_meta.TransferSyntaxUID not in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    for stream in generate_frames(dataset.PixelData, number_of_frames=frames):
        depth, *size = _said_by(stream)
        if size != [dataset.Rows, dataset.Columns] or not 2 <= depth <= dataset.BitsAllocated:
            raise ValueError(
                f"is damaged: its header says {dataset.Rows} x {dataset.Columns} pixels of "
                f"{dataset.BitsAllocated} bits, its JPEG stream {size[0]} x {size[1]} of {depth}"
            )


def _said_by(stream: bytes) -> tuple[int, int, int]:
    """The bits of a value, rows and columns, as the frame header of a JPEG stream has them."""
    place = len(_START)
    while stream.startswith(_START) and place + 9 <= len(stream):
        marker, length = struct.unpack_from(">xBH", stream, place)
        if marker in _FRAME_HEADERS:
            return struct.unpack_from(">BHH", stream, place + 4)
        place += 1 if marker == _FILLING else 2 + length
    raise ValueError("is damaged or cut off: it holds no JPEG stream")


def _target(folder: str, number: int) -> Path:
    return Path(folder) / f"{number}.npy"


def _main(folder: str) -> None:
    """Decode the files that standard input lists, up to one that cannot be."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for number, path in enumerate(json.load(sys.stdin)):
        reader.SetFileName(path)
        np.save(_target(folder, number), sitk.GetArrayFromImage(reader.Execute()))


if __name__ == "__main__":
    _main(sys.argv[1])
