"""RTSTRUCT: closed contours in the planes of a DICOM series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.dicom.dataset import read_dataset
from megamedical.reading.volume import Volume
from universeg.annotations.drawing import Named, Rings, sheets_of
from universeg.annotations.volumes.placing import affine_of
from universeg.annotations.volumes.segments import Segments

if TYPE_CHECKING:
    from pydicom import Dataset

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_BETWEEN = 0.45  # slices that a contour may lie off one


def contoured(path: Path, dataset: Dataset) -> Segments:
    """The structures of a file, none of which is drawn yet."""
    colours = {
        int(each.ReferencedROINumber): _colour(each.get("ROIDisplayColor"))
        for each in dataset.get("ROIContourSequence") or ()
        if each.get("ContourSequence")
    }
    labels = [
        Named(name, None, colours[number])
        for number, name in _names(dataset).items()
        if number in colours
    ]
    return Segments(path, "RTSTRUCT", labels, _series_of(dataset), _painted)


def _painted(
    path: Path, image: Volume, values: Mapping[str, int], say: Callable[[str], None]
) -> NDArray[Any]:
    dataset = read_dataset(path)
    names = _names(dataset)
    to_voxels = np.linalg.inv(affine_of(image))
    layers: dict[int, NDArray[np.bool_]] = {}
    outside = 0
    for roi in dataset.get("ROIContourSequence") or ():
        name = names.get(int(roi.ReferencedROINumber), "")
        if name not in values:
            continue
        layer: NDArray[np.bool_] = np.zeros(image.voxels.shape, dtype=np.bool_)
        rings = [_in_slice(path, points, to_voxels) for points in _contours(roi)]
        for number, ring in rings:
            if not 0 <= number < len(layer):
                outside += 1
                continue
            box = ring.box((image.voxels.shape[1], image.voxels.shape[2]))
            layer[number][box] ^= ring.pixels(box)  # a contour in another one is a hole
        apart = np.diff(sorted({number for number, _ in rings}))
        if apart.size and apart.min() > 1:
            say(
                f"{path.name} draws {name} in no two slices side by side, {apart.min()} apart at "
                "least: the slices between count as without it"
            )
        value = values[name]
        layers[value] = layers[value] | layer if value in layers else layer
    if outside:
        say(f"{path.name} has {outside} contours outside of its series, which are left out")
    return sheets_of(layers.items(), image.voxels.shape)


def _in_slice(
    path: Path, points: NDArray[np.float64], to_voxels: NDArray[Any]
) -> tuple[int, Rings]:
    """The slice in which points (N, 3) in mm lie, and the line that they are there."""
    i, j, k = (to_voxels @ np.vstack([points.T, np.ones(len(points))]))[:3]
    number = round(float(k.mean()))
    if np.abs(k - number).max() > _BETWEEN:
        raise SubjectError(
            "match", path.name, "has contours that do not lie in the slices of its series"
        )
    return number, Rings([np.column_stack([i, j]) + 0.5])  # the middle of the first is (0, 0)


def _names(dataset: Dataset) -> dict[int, str]:
    return {
        int(each.ROINumber): str(each.get("ROIName") or "").strip()
        for each in dataset.get("StructureSetROISequence") or ()
    }


def _contours(roi: Dataset) -> Iterator[NDArray[np.float64]]:
    """The points (N, 3) of each closed contour, in mm, LPS; one that is there twice counts once."""
    known: set[bytes] = set()
    for contour in roi.get("ContourSequence") or ():
        if str(contour.get("ContourGeometricType")) not in _CLOSED:
            continue
        numbers = np.array(contour.ContourData, dtype=np.float64)
        if len(numbers) % 3 or not np.isfinite(numbers).all():
            raise ValueError("has contours that are no points of three numbers")
        if len(numbers) >= 9 and numbers.tobytes() not in known:
            known.add(numbers.tobytes())
            yield numbers.reshape(-1, 3)


def _series_of(dataset: Dataset) -> str:
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            for series in study.get("RTReferencedSeriesSequence") or ():
                return str(series.get("SeriesInstanceUID", ""))
    return ""


def _colour(said: Any) -> str:  # noqa: ANN401  (three numbers, if any)
    numbers = [int(each) for each in said or ()]
    is_colour = len(numbers) == 3 and all(0 <= each < 256 for each in numbers)
    return "#{:02x}{:02x}{:02x}".format(*numbers) if is_colour else ""
