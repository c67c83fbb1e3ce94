"""DICOM behind the contract of all readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Grey, Part, Reader
from megamedical.reading.dicom.dataset import read_dataset
from megamedical.reading.dicom.header import read_header
from megamedical.reading.dicom.pixels import read_dicom_picture, read_frame, read_series
from megamedical.reading.dicom.series import series_of
from megamedical.reading.pictures import grey_of, indices_of
from megamedical.reading.volume import Volume


class DicomReader(Reader):
    """A file of DICOM, or the folder of a series."""

    dimension: ClassVar[Literal[2, 3]] = 2

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        if channel is not None:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        return read_series(series_of(path))

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        pixels = read_dicom_picture(path)
        return grey_of(pixels, grey) if pixels.ndim == 3 else pixels

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        if part.array or path.is_dir():
            return super().part(path, part)
        return read_dicom_picture(path) if part.frame is None else read_frame(path, part.frame)

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        return super().count(path, array) if array or path.is_dir() else read_header(path).shape[0]

    def facing(self, path: Path) -> NDArray[np.float64] | None:
        """See `Reader`."""
        header = read_header(path)
        if "ImageOrientationPatient" in header.lacks:
            return None
        plane = header.planes[0]
        return np.column_stack([plane.axes, plane.normal])

    def lossy_format(self, path: Path) -> str:
        """See `Reader`."""
        from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

        dataset = read_dataset(path, stop_before_pixels=True)
        always = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
        is_packed_so = dataset.file_meta.TransferSyntaxUID in always
        has_been = str(dataset.get("LossyImageCompression") or "") == "01"
        return "DICOM packed with loss" if is_packed_so or has_been else ""

    def labels(self, path: Path) -> NDArray[Any]:
        """See `Reader`."""
        pixels = read_dicom_picture(path)
        return indices_of(pixels) if pixels.ndim == 3 else pixels
