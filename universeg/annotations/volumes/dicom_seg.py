"""DICOM SEG: segments in frames, each of which lies somewhere in the patient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.dicom.dataset import read_dataset, said_of
from megamedical.reading.limits import expect_volume
from megamedical.reading.volume import SHEAR, Volume
from universeg.annotations.drawing import Named, sheets_of
from universeg.annotations.volumes.placing import placed
from universeg.annotations.volumes.segments import Segments

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_UNPACKED = 2000  # voxels a byte of a compressed file
_UNEVEN = 0.1  # of the distance between frames


def dicom_segments(path: Path, dataset: Dataset) -> Segments:
    """The segments of a file, of which no pixel is read yet."""
    labels = [
        Named(_name(segment), int(segment.SegmentNumber))
        for segment in dataset.get("SegmentSequence") or ()
    ]
    referenced = dataset.get("ReferencedSeriesSequence") or ()
    series = str(referenced[0].get("SeriesInstanceUID", "")) if referenced else ""
    return Segments(path, "DICOM SEG", labels, series, _painted)


def _name(segment: Dataset) -> str:
    return str(segment.get("SegmentLabel") or segment.get("SegmentDescription") or "").strip()


def _painted(
    path: Path, image: Volume, values: Mapping[str, int], say: Callable[[str], None]
) -> NDArray[Any]:
    dataset = read_dataset(path)
    names = {int(each.SegmentNumber): _name(each) for each in dataset.SegmentSequence}
    numbers = {number: values[name] for number, name in names.items() if name in values}
    pixels = _pixels(path, dataset)
    grid, places = _grid(path, dataset, image)
    depth = max(places) + 1
    expect_volume((depth, *pixels.shape[1:]))
    of_frames = [_segment_of(dataset, frame) for frame in range(len(pixels))]
    are_same = []

    def layer_of(number: int) -> NDArray[np.bool_]:
        own = np.zeros((depth, *pixels.shape[1:]), dtype=np.uint8)
        for frame, place in enumerate(places):
            if of_frames[frame] is None:
                own[place] |= pixels[frame] == number
            elif of_frames[frame] == number:
                own[place] |= _is_inside(dataset, pixels[frame])
        found, is_same = placed(Volume(own, grid.directions, grid.spacing, grid.origin), image)
        are_same.append(is_same)
        return found.astype(np.bool_)

    layers = ((value, layer_of(number)) for number, value in numbers.items())
    labels = sheets_of(layers, image.voxels.shape)
    if not all(are_same):
        say(f"{path.name} lies on another grid than its series: the nearest voxels are taken")
    return labels


def _pixels(path: Path, dataset: Dataset) -> NDArray[Any]:
    """All frames, (N, rows, columns)."""
    shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
    expect_volume(shape)
    size = path.stat().st_size
    is_packed = dataset.file_meta.TransferSyntaxUID.is_compressed
    if math.prod(shape) > size * (_MOST_UNPACKED if is_packed else 8):
        raise SubjectError("read", path.name, f"is cut off, or no scan: {size} bytes, {shape}")
    return dataset.pixel_array.reshape(shape)


def _segment_of(dataset: Dataset, frame: int) -> int | None:
    """The segment that a frame shows; None where its values are the segments."""
    if dataset.get("SegmentationType") == "LABELMAP":
        return None
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*per_frame[frame : frame + 1], *shared):
        for group in groups.get("SegmentIdentificationSequence") or ():
            return int(group.ReferencedSegmentNumber)
    raise ValueError("does not say which segment a frame shows")


def _is_inside(dataset: Dataset, frame: NDArray[Any]) -> NDArray[np.bool_]:
    most = 1
    if dataset.get("SegmentationType") == "FRACTIONAL":
        most = int(dataset.get("MaximumFractionalValue") or 255)
    inside: NDArray[np.bool_] = 2 * frame.astype(np.int32) > most
    return inside


def _grid(path: Path, dataset: Dataset, image: Volume) -> tuple[Volume, list[int]]:
    """Where the frames lie, as an empty volume; and the slice of it that each is."""
    count = int(dataset.get("NumberOfFrames") or 1)
    cosines = said_of(dataset, 0, "ImageOrientationPatient")
    along = said_of(dataset, 0, "PixelSpacing")
    told = [said_of(dataset, frame, "ImagePositionPatient") for frame in range(count)]
    if cosines is None or along is None or any(each is None for each in told):
        raise SubjectError("read", path.name, "does not say where its frames lie in the patient")
    axes = np.array(cosines, dtype=np.float64).reshape(2, 3).T
    normal = np.cross(*axes.T)
    positions = np.array(told, dtype=np.float64)
    heights = positions @ normal
    turned = [said_of(dataset, frame, "ImageOrientationPatient") for frame in range(count)]
    aside = positions - positions[0] - np.outer(heights - heights[0], normal)
    is_straight = np.abs(aside).max() <= _UNEVEN * min(float(mm) for mm in along)
    if not is_straight or not np.allclose(np.array(turned, np.float64), cosines, atol=SHEAR):
        raise SubjectError(
            "read", path.name, "has frames that lie beside each other, or in different directions"
        )
    step = _distance(dataset, np.unique(heights.round(3)), image, normal)
    places = (heights - heights.min()) / step
    if np.abs(places - np.rint(places)).max() > _UNEVEN:
        raise SubjectError("read", path.name, "has frames that do not lie evenly")
    first = positions[int(heights.argmin())]
    spacing = (float(along[1]), float(along[0]), step)
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    grid = Volume(nothing, np.column_stack([axes, normal]), spacing, tuple(first.tolist()))
    return grid, np.rint(places).astype(int).tolist()


def _distance(
    dataset: Dataset, heights: NDArray[np.float64], image: Volume, normal: NDArray[np.float64]
) -> float:
    """How far frames lie apart in mm: as is said, or as neighbours do, or slices of the series."""
    between = abs(float(said_of(dataset, 0, "SpacingBetweenSlices") or 0))
    if 0 < between < math.inf:
        return between
    across = float(np.abs(image.directions.T @ normal) @ np.array(image.spacing))
    gaps = np.diff(heights)
    return min(float(gaps.min()), across) if gaps.size else across
