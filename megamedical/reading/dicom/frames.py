"""What several frames of one DICOM file are: slices of a volume, or a film, tiles, angles."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

OF_DISTANCE = ("SpacingBetweenSlices", "SliceThickness")
_OF_TIME = ("FrameTime", "FrameTimeVector")
# What frames of nuclear medicine may differ in, beside their slice.
_NO_SLICES = (
    "EnergyWindowVector",
    "DetectorVector",
    "PhaseVector",
    "RotationVector",
    "RRIntervalVector",
    "TimeSlotVector",
    "AngularViewVector",
    "TimeSliceVector",
)
# Kinds of files whose frames are times, tiles, or slices of a transducer's own space.
_NEVER_SLICES = (
    *("Ultrasound", "US Volume", "Angiographic", "Enhanced XA", "Enhanced XRF", "fluoroscopic"),
    *("Video", "Microscopy", "Slide-Coordinates", "Intravascular"),
)


def are_placed(dataset: Dataset) -> bool:
    """Whether a file says of its frames, one by one, where they lie."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    return any("PlanePositionSequence" in groups for groups in per_frame)


def numbers_in(dataset: Dataset, name: str) -> list[int]:
    """The numbers of an element, none where it is not there."""
    said = dataset.get(name)
    return [] if said is None else [said] if isinstance(said, int) else [int(n) for n in said]


def why_no_volume(dataset: Dataset, frames: int, kind: str) -> str:
    """Why the frames of a file of some kind are no slices of a volume; "" where they can be."""
    for name in _NO_SLICES:
        if len({*numbers_in(dataset, name)}) > 1:
            return f"has frames that are no slices, but differ in {name}: split the file"
    if frames == 1 or are_placed(dataset):
        return ""
    counted_by = _counted_by(dataset)
    is_of_time = any(name in _OF_TIME for name in counted_by)
    if is_of_time or any(word in kind for word in _NEVER_SLICES):
        by = next((name for name in counted_by if name in _OF_TIME), kind)
        return (
            f"has frames that are no slices of a volume, but a film or tiles ({by}): each is a "
            "picture, of which `frames:` of a manifest takes all"
        )
    if dataset.get("PerFrameFunctionalGroupsSequence"):
        return "does not say where its frames lie (PlanePositionSequence)"
    if dataset.get("PixelSpacing") and not any(dataset.get(name) for name in OF_DISTANCE):
        return (
            "says how far apart its pixels lie, and not its frames "
            f"({' or '.join(OF_DISTANCE)}): are they slices?"
        )
    return ""


def _counted_by(dataset: Dataset) -> list[str]:
    """The names of the elements that count the frames."""
    from pydicom.datadict import keyword_for_tag

    pointer = dataset.get("FrameIncrementPointer")
    pointers = pointer if isinstance(pointer, MutableSequence) else [pointer]
    return [keyword_for_tag(each) for each in pointers if each is not None]
