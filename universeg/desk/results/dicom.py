"""What is of DICOM: segmentations that reference their series, and who the patient is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from megamedical.files.writing import whole_file
from megamedical.reading.volume import Volume, canonical
from universeg.desk.catalogue import Entry
from universeg.desk.masks import Masks
from universeg.results.labels import Label

if TYPE_CHECKING:
    from pydicom import Dataset

    from megamedical.reading.dicom.series import Series

_TISSUE = ("85756007", "SCT", "Tissue")
_MAKER = "MegaMedical"


def patient_of(entry: Entry) -> str:
    """The name and number of the patient, of a scan in DICOM; for others nothing."""
    from pydicom import dcmread

    if entry.file.series is None:
        return ""
    header = dcmread(entry.file.files[0], stop_before_pixels=True, force=True)
    said = [str(header.get(key) or "") for key in ("PatientName", "PatientID")]
    return " ".join(filter(None, said))


def write_segmentation(
    path: Path, entry: Entry, volume: Volume, masks: Masks, labels: Sequence[Label]
) -> str:
    """A DICOM SEG of a series of single frames, with a segment for each label that is shown.

    Nothing is written of other scans, where nothing is shown, or without highdicom.

    Returns:
        why there is none, of a series that lacks what a DICOM SEG must repeat of it.
    """
    series = entry.file.series
    shown = [label for label in labels if label.value in masks.labels]
    if series is None or len(series.files) < 2 or not shown or find_spec("highdicom") is None:
        return ""
    try:
        made = _segmentation(series, volume, masks, shown)
    except Exception as error:  # highdicom takes what the standard asks for as given
        return f"no DICOM SEG: {error}"
    with whole_file(path) as unfinished:
        made.save_as(unfinished)
    return ""


def _segmentation(series: Series, volume: Volume, masks: Masks, shown: Sequence[Label]) -> Dataset:
    import highdicom as hd
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    across = volume.directions[:, 2]
    sources = sorted(
        (dcmread(file) for file in series.files),
        key=lambda each: float(np.dot(across, [float(mm) for mm in each.ImagePositionPatient])),
    )
    pixels = np.stack([_on_own_axes(masks.layer(each.value), volume) for each in shown], axis=-1)
    tissue = hd.sr.CodedConcept(*_TISSUE)
    algorithm = hd.AlgorithmIdentificationSequence(
        name="universeg desk",
        family=hd.sr.CodedConcept("123109", "DCM", "Manual Processing"),
        version=_version(),
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label.name[:64],
            segmented_property_category=tissue,
            segmented_property_type=tissue,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, label in enumerate(shown, start=1)
    ]
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=hd.UID(),
        series_number=1000,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=_MAKER,
        manufacturer_model_name="universeg desk",
        software_versions=_version(),
        device_serial_number="0",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _on_own_axes(layer: NDArray[np.bool_], volume: Volume) -> NDArray[np.uint8]:
    """A layer (Z, Y, X) on the axes of its series: slices, rows, columns."""
    own = np.zeros(volume.voxels.shape, dtype=np.uint8)
    canonical(replace(volume, voxels=own)).voxels[...] = layer  # a view, so it lands in place
    return own


def _version() -> str:
    from importlib.metadata import version

    return version("megamedical")
