"""What can be read: the one table of suffixes and readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from megamedical.reading.arrays import Hdf5Reader, MatReader, NpyReader, NpzReader
from megamedical.reading.contract import Reader
from megamedical.reading.dicom import SUFFIXES as DICOM_SUFFIXES
from megamedical.reading.dicom import DicomReader, is_dicom
from megamedical.reading.pictures import PictureReader
from megamedical.reading.video import VIDEOS, VideoReader
from megamedical.reading.volumes.freesurfer import FreeSurferReader
from megamedical.reading.volumes.metaimage import MetaImageReader
from megamedical.reading.volumes.nifti import NiftiReader
from megamedical.reading.volumes.nrrd import NrrdReader


@dataclass(frozen=True)
class Format:
    """A format: the suffixes of its files, in lower case, and what reads them.

    `is_sought` says whether every file of such a name in somebody's folder is taken for an image
    or a mask, or only one that is named.
    """

    suffixes: tuple[str, ...]
    reader: Reader
    is_sought: bool = True


_PICTURES = PictureReader()
_DICOM = DicomReader()

FORMATS = [
    Format((".nii", ".nii.gz", ".hdr", ".hdr.gz"), NiftiReader()),
    Format((".img", ".img.gz"), NiftiReader(), is_sought=False),  # the other half of a .hdr
    Format((".mgz", ".mgh"), FreeSurferReader()),
    Format((".mha", ".mhd"), MetaImageReader()),
    Format((".nrrd", ".nhdr"), NrrdReader()),
    Format((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif"), _PICTURES),
    Format((".npy",), NpyReader(), is_sought=False),
    Format((".npz",), NpzReader(), is_sought=False),
    Format((".mat",), MatReader(), is_sought=False),
    Format((".h5", ".hdf5"), Hdf5Reader(), is_sought=False),
    Format(VIDEOS, VideoReader(), is_sought=False),
    Format(DICOM_SUFFIXES, _DICOM, is_sought=False),  # known by content, in folders too
]


def reader_of(path: Path) -> Reader:
    """What reads a file, or the folder of a DICOM series.

    Formats of volumes and arrays are known by the suffix, DICOM by its suffix or its content. What
    is left is a picture, which Pillow knows by its content.
    """
    named = _format_of(path)
    if named and named.reader is not _PICTURES:
        return named.reader
    return _DICOM if path.is_dir() or is_dicom(path) else _PICTURES


def sought_dimension(path: Path) -> int:
    """3 for a file whose name says that it is a volume, 2 for a picture, 0 for anything else."""
    named = _format_of(path)
    return named.reader.dimension if named and named.is_sought else 0


def sought_suffixes() -> list[str]:
    """Of the files that are taken for images or masks wherever they lie; DICOM has any."""
    return sorted({suffix for each in FORMATS if each.is_sought for suffix in each.suffixes})


def suffix_of(path: Path) -> str:
    """What a file's name says it is, in lower case, with what is under a `.gz`: `.nii.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


def _format_of(path: Path) -> Format | None:
    suffix = suffix_of(path)
    return next((each for each in FORMATS if suffix in each.suffixes), None)
