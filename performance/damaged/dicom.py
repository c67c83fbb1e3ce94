"""DICOM: what pydicom reads GDCM is asked about, and what GDCM decodes pydicom."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from damaged.kind import Kind
from damaged.pictures import GREYS

_GDCM = [sys.executable, "-m", "megamedical.reading.dicom.gdcm_process"]


def _dataset(syntax: str, pixels: NDArray[Any]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3.4"
    dataset.Modality, dataset.SeriesInstanceUID = "CT", "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-100"
    return dataset


def _plain(syntax: str) -> Kind:
    def write(path: Path) -> None:
        dataset = _dataset(syntax, GREYS.astype(np.uint16) * 9)
        dataset.PixelData = (GREYS.astype(np.uint16) * 9).tobytes()
        dataset.save_as(path, enforce_file_format=True)

    return Kind(write, independent=_by_gdcm)


def _stream(syntax: str, form: str) -> Kind:
    def write(path: Path) -> None:
        dataset, stream = _dataset(syntax, GREYS), io.BytesIO()
        Image.fromarray(GREYS).save(stream, form, **({"no_jp2": True} if "2" in form else {}))
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, enforce_file_format=True)

    return Kind(write, independent=_by_pydicom)


def _run_lengths(path: Path) -> None:
    dataset = _dataset(ExplicitVRLittleEndian, GREYS)
    dataset.PixelData = GREYS.tobytes()
    dataset.compress(RLELossless)
    dataset.save_as(path, enforce_file_format=True)


def _by_gdcm(path: Path) -> NDArray[Any]:
    target = path.with_suffix(".npy")
    target.unlink(missing_ok=True)
    listed = json.dumps([(str(path), str(target))]).encode()
    subprocess.run(_GDCM, input=listed, capture_output=True, check=True)
    found = np.load(target)
    return found[0] if found.ndim == 3 else found


def _by_pydicom(path: Path) -> NDArray[Any]:
    dataset = dcmread(path)
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    return dataset.pixel_array * float(slope) + float(intercept)


KINDS = {
    "a.dcm": _plain(ExplicitVRLittleEndian),
    "implicit.dcm": _plain(ImplicitVRLittleEndian),
    "deflated.dcm": _plain(DeflatedExplicitVRLittleEndian),
    "jpeg.dcm": _stream(JPEGBaseline8Bit, "JPEG"),
    "jpeg2000.dcm": _stream(JPEG2000Lossless, "JPEG2000"),
    "rle.dcm": Kind(_run_lengths, independent=_by_pydicom),
}
