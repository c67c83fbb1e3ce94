"""The content of single files, in the formats that the datasets use."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def nifti(
    voxels: NDArray[Any],
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    sform: NDArray[np.float64] | None = None,
) -> bytes:
    """A .nii.gz of voxels (i, j, k); `sform` may disagree with the spacing, as ACDC's does."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    header.set_zooms((*spacing, 1.0)[: voxels.ndim])
    header.set_sform(np.diag([*spacing, 1.0]) if sform is None else sform, code=2)
    # Given an affine of its own, nibabel would write that one instead.
    return gzip.compress(nibabel.Nifti1Image(voxels, None, header).to_bytes(), mtime=0)


def picture(pixels: NDArray[Any], kind: str) -> bytes:
    """A picture (H, W) or (H, W, 3) in one of Pillow's formats."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, optimize=False)  # else a GIF gets a palette
    return content.getvalue()


def video_of(frames: Sequence[NDArray[np.uint8]], kind: str = "avi", codec: str = "mpeg4") -> bytes:
    """A video of grey pictures (H, W) of even sides."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format=kind) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 8_000_000
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        file.mux(stream.encode(None))
    return content.getvalue()


def spreadsheet(rows: Sequence[Sequence[object]]) -> bytes:
    """An .xlsx with one sheet."""
    from openpyxl import Workbook

    workbook = Workbook()
    for row in rows:
        workbook.active.append(row)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def palette_gif(indices: NDArray[np.uint8]) -> bytes:
    """A GIF whose pixels are indices into a palette that begins with black and white."""
    image = Image.fromarray(indices, "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    content = io.BytesIO()
    image.save(content, "gif")
    return content.getvalue()


def ppm_gz(pixels: NDArray[np.uint8]) -> bytes:
    """A gzipped PPM, or PGM for pixels (H, W)."""
    return gzip.compress(picture(pixels, "ppm"), mtime=0)


def dicom(
    pixels: NDArray[Any],
    *,
    modality: str,
    patient: str,
    height: float,
    number: int = 1,
    intercept: float = 0.0,
) -> bytes:
    """An axial slice (Y, X) of a series, at a height in mm."""
    import pydicom
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    series = f"1.2.826.0.1.{len(patient)}.{patient}"
    dataset.update(
        {
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
            "SOPInstanceUID": f"{series}.{number}.{int(height)}",
            "SeriesInstanceUID": series,
            "Modality": modality,
            "InstanceNumber": number,
            "ImagePositionPatient": [-10.0, -20.0, height],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [1.0, 1.0],
            "Rows": pixels.shape[0],
            "Columns": pixels.shape[1],
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 0,
            "RescaleSlope": 1.0,
            "RescaleIntercept": intercept,
            "PixelData": pixels.astype(np.uint16).tobytes(),
        }
    )
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()
