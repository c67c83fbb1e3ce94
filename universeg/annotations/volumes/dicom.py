"""What a DICOM file that is no image annotates, if it does."""

from __future__ import annotations

import warnings
from pathlib import Path

from megamedical.reading.dicom.dataset import read_dataset
from megamedical.reading.library_errors import blaming
from universeg.annotations.volumes.dicom_seg import dicom_segments
from universeg.annotations.volumes.rtstruct import contoured
from universeg.annotations.volumes.segments import Segments


def dicom_annotations(path: Path) -> Segments | None:
    """The segments or contours of a file; None, where it is of another kind.

    Raises:
        SubjectError: it is damaged.
    """
    with blaming(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values against the standard
        dataset = read_dataset(path, stop_before_pixels=True)
        kind = dataset.get("Modality")
        if kind == "SEG":
            return dicom_segments(path, dataset)
        return contoured(path, dataset) if kind == "RTSTRUCT" else None
