"""What is of DICOM: segmentations that reference their series, and who the patient is."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from megamedical.files.writing import whole_file
from universeg.desk.catalogue import Entry
from universeg.desk.labels import Label
from universeg.desk.masks import Masks

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
    path: Path, entry: Entry, masks: Masks, labels: Sequence[Label]
) -> Path | None:
    """A DICOM SEG of a series of single frames, with a segment for each label that is shown.

    Nothing is written of other scans, where nothing is shown, or without highdicom.
    """
    series = entry.file.series
    shown = [label for label in labels if label.value in masks.labels]
    if series is None or len(series.files) < 2 or not shown or find_spec("highdicom") is None:
        return None
    import highdicom as hd
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    sources = _in_order([dcmread(file) for file in series.files])
    if masks.shape != (len(sources), int(sources[0].Rows), int(sources[0].Columns)):
        return None  # its slices are not axial: the mask in NIfTI has it
    pixels = np.stack([masks.layer(label.value) for label in shown], axis=-1).astype(np.uint8)
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
    made = hd.seg.Segmentation(
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
    with whole_file(path) as unfinished:
        made.save_as(unfinished)
    return path


def _in_order(sources: list) -> list:  # type: ignore[type-arg]
    """From the feet to the head, as the axes of a scan have it."""
    return sorted(sources, key=lambda each: float(each.ImagePositionPatient[2]))


def _version() -> str:
    from importlib.metadata import version

    return version("megamedical")
