"""DICOM: which files belong together, where their slices lie, and what is in them.

pydicom reads the headers and the plain pixels, GDCM what is compressed. Values come in the unit
that slope and intercept give (HU in CT), and turned where MONOCHROME1 shows bright as dark.
"""

from megamedical.reading.dicom.files import SUFFIXES, dicom_files, is_dicom
from megamedical.reading.dicom.header import Header, NoImage, Plane, read_header
from megamedical.reading.dicom.pixels import read_dicom_picture, read_series
from megamedical.reading.dicom.reader import DicomReader
from megamedical.reading.dicom.series import Series, find_series, series_of, the_only

__all__ = [
    "SUFFIXES",
    "DicomReader",
    "Header",
    "NoImage",
    "Plane",
    "Series",
    "dicom_files",
    "find_series",
    "is_dicom",
    "read_dicom_picture",
    "read_header",
    "read_series",
    "series_of",
    "the_only",
]
