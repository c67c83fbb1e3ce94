"""Compressed DICOM pixels, decoded by GDCM in a process of its own: damaged ones can crash it.

GDCM is given the pixels and what is needed to decode them, and gives the values as they are stored.
What they mean, as slope and intercept, it would take from some kinds of file and not from others.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError

if TYPE_CHECKING:
    from pydicom import Dataset

_START = b"\xff\xd8"  # of a JPEG stream
_FILLING = 0xFF
_APP0, _APP14 = 0xE0, 0xEE  # markers of JFIF, and of Adobe
_ADOBE_TRANSFORM = 11  # bytes of Adobe's before it says whether colours are luma and chroma
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # markers: JPEG's, and JPEG-LS's
_START_OF_2000 = b"\xff\x4f\xff\x51"  # of a JPEG 2000 stream, and of what it says of its size
_NEEDED = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)
# What the libjpeg of any depth warns of, one line a stream.
_OF_LIBJPEG = (
    "^(Corrupt JPEG data|Premature end of JPEG file|Warning: unknown JFIF|Unknown Adobe color|"
    "Inconsistent progression sequence|Invalid SOS parameters|Application transferred too)"
)
_ONE_VALUE = ("MONOCHROME1", "PALETTE COLOR")  # GDCM would turn these, each in a way of its own


class Decoder:
    """Takes compressed files, and decodes them all at once."""

    def __init__(self) -> None:
        self._added: list[tuple[Path, Dataset]] = []

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory()
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def add(self, path: Path, dataset: Dataset) -> None:
        """Take the pixels of a file.

        Raises:
            ValueError: a stream is missing or cut off, or of another size or depth than the file
                says, which GDCM would believe; or there are none.
        """
        _expect_sound(dataset)
        _bare(dataset).save_as(self._place(len(self._added), "dcm"), enforce_file_format=True)
        del dataset.PixelData
        self._added.append((path, dataset))

    def decoded(self) -> Iterator[tuple[Path, Dataset, NDArray[Any]]]:
        """Each file, what it says, and its stored values.

        Raises:
            SubjectError: one of them cannot be decoded.
        """
        if not self._added:
            return
        done = self._decode()
        if done < len(self._added):
            raise SubjectError(
                "read",
                self._added[done][0].name,
                "its compressed pixels cannot be decoded: it is damaged or cut off, or of a kind "
                "that GDCM does not know",
            )
        for number, (path, dataset) in enumerate(self._added):
            _expect_no_complaint(path, self._place(number, "txt"))
            yield path, dataset, np.load(self._place(number, "npy"), allow_pickle=False)

    def _decode(self) -> int:
        """How many of the files could be decoded, up to the first that could not."""
        # it finds the modules that this process finds, and no others
        command = [sys.executable, "-P", "-m", "megamedical.reading.dicom.gdcm_process"]
        places = [
            (str(self._place(number, "dcm")), str(self._place(number, "npy")))
            for number in range(len(self._added))
        ]
        told = subprocess.run(
            command,
            input=json.dumps(places).encode(),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=False,
        )
        done = sum(Path(target).exists() for _, target in places)
        return done if not told.returncode else min(done, len(places) - 1)

    def _place(self, number: int, suffix: str) -> Path:
        return Path(self._folder.name) / f"{number}.{suffix}"


def _expect_no_complaint(path: Path, told: Path) -> None:
    """Make sure that libjpeg had nothing to say: what it cannot decode it fills up."""
    for line in told.read_text(errors="replace").splitlines():
        if re.search(_OF_LIBJPEG, line):
            reason = f"is damaged or cut off, as libjpeg finds: {line.strip()}"
            raise SubjectError("read", path.name, reason)


def _bare(dataset: Dataset) -> Dataset:
    """The pixels of a file, and what is needed to decode them."""
    from pydicom import Dataset, FileMetaDataset
    from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

    bare = Dataset()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare.SOPClassUID = SecondaryCaptureImageStorage
    bare.SOPInstanceUID = generate_uid()
    for name in _NEEDED:
        if name in dataset:
            bare[name] = dataset[name]
    meant = _colours_of(dataset)
    if meant != bare.PhotometricInterpretation:
        del bare.PhotometricInterpretation  # the element is still that of the file
        bare.PhotometricInterpretation = meant
    return bare


def _colours_of(dataset: Dataset) -> str:
    """What the values of pixels are: of JPEG with loss what its stream says, if it says it.

    The header of many a file says RGB, while its stream is in luma and chroma as JFIF has it.
    """
    from pydicom.encaps import generate_frames
    from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

    said = str(dataset.PhotometricInterpretation)
    if said in _ONE_VALUE:
        return "MONOCHROME2"
    syntax = dataset.file_meta.TransferSyntaxUID
    if dataset.get("SamplesPerPixel") != 3 or syntax not in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return said
    frames = int(dataset.get("NumberOfFrames") or 1)
    stream = next(generate_frames(dataset.PixelData, number_of_frames=frames))
    parts = dict(_parts_of(stream))
    is_jfif = parts.get(_APP0, b"").startswith(b"JFIF")
    adobe = parts.get(_APP14, b"")
    is_told = adobe.startswith(b"Adobe") and len(adobe) > _ADOBE_TRANSFORM
    if is_jfif or (is_told and adobe[_ADOBE_TRANSFORM]):
        return "YBR_FULL_422" if said == "RGB" else said
    return "RGB" if is_told else said


def _expect_sound(dataset: Dataset) -> None:
    """Make sure that streams hold such pixels as their file says: GDCM believes the stream."""
    from pydicom.encaps import generate_frames
    from pydicom.uid import (
        JPEG2000TransferSyntaxes,
        JPEGLSTransferSyntaxes,
        JPEGTransferSyntaxes,
    )

    if "PixelData" not in dataset:
        raise ValueError("is damaged or cut off: its pixels cannot be read")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        said_by = _said_by_jpeg
    elif syntax in JPEG2000TransferSyntaxes:
        said_by = _said_by_jpeg_2000
    else:
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    for stream in generate_frames(dataset.PixelData, number_of_frames=frames):
        depth, *size = said_by(stream)
        if size != [dataset.Rows, dataset.Columns] or not 2 <= depth <= dataset.BitsAllocated:
            raise ValueError(
                f"is damaged: its header says {dataset.Rows} x {dataset.Columns} pixels of "
                f"{dataset.BitsAllocated} bits, its JPEG stream {size[0]} x {size[1]} of {depth}"
            )


def _said_by_jpeg(stream: bytes) -> tuple[int, int, int]:
    """The bits of a value, rows and columns, as the frame header of a JPEG stream has them."""
    for marker, content in _parts_of(stream):
        if marker in _FRAME_HEADERS:
            return struct.unpack_from(">BHH", content)
    raise ValueError("is damaged or cut off: it holds no JPEG stream")


def _parts_of(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The markers of a JPEG stream with what follows on each, up to its frame header."""
    place = len(_START)
    while stream.startswith(_START) and place + 9 <= len(stream):
        marker, length = struct.unpack_from(">xBH", stream, place)
        if marker != _FILLING:
            yield marker, stream[place + 4 : place + 2 + length]
        if marker in _FRAME_HEADERS:
            return
        place += 1 if marker == _FILLING else 2 + length


def _said_by_jpeg_2000(stream: bytes) -> tuple[int, int, int]:
    """As `_said_by_jpeg`, of a JPEG 2000 stream."""
    start = stream.find(_START_OF_2000)
    if start < 0 or start + 43 > len(stream):
        raise ValueError("is damaged or cut off: it holds no JPEG 2000 stream")
    right, low, left, top = struct.unpack_from(">4I", stream, start + 8)
    depth = (stream[start + 42] & 0x7F) + 1
    return depth, low - top, right - left
