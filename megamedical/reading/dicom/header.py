"""What a DICOM file says of its pixels: how many there are, and where each frame lies."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.dicom.dataset import read_dataset, said_of, scale_of
from megamedical.reading.dicom.frames import (
    OF_DISTANCE,
    are_placed,
    numbers_in,
    why_no_volume,
)
from megamedical.reading.library_errors import blaming
from megamedical.reading.limits import PICTURE, expect_picture, expect_volume

if TYPE_CHECKING:
    from pydicom import Dataset

_NO_SCANS = ("SEG", "RTDOSE")  # modalities that have pixels, but are made from a scan
_OF_A_PLANE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_MOST_DENSE = 2_000  # compressed pixels a byte, of what is larger than a picture


class NoImage(SubjectError):
    """A DICOM file that is sound and no image: a report, a plan, a segmentation, a directory."""


@dataclass(frozen=True, eq=False)
class Plane:
    """Where one frame lies.

    `position` is that of its first pixel in mm, LPS; `axes` has the unit vectors along a row and
    down a column as its columns; `spacing` is that of pixels along these, in mm.
    """

    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: tuple[float, float]

    @property
    def normal(self) -> NDArray[np.float64]:
        """The unit vector in which the next slice is looked for."""
        return np.cross(*self.axes.T)


@dataclass(frozen=True, eq=False)
class Header:
    """What is said of the pixels of one file.

    `shape` is (frames, rows, columns); `planes` has one entry a frame, `is_placed` is False where
    the file does not say where they lie, and `lacks` names what it leaves open of that; `between`
    is the distance of slices in mm, as far as a single frame tells; `no_volume` says why several
    frames are no slices, if they are none; `uid`, `number` and
    `description` are those of the series.
    """

    path: Path
    uid: str
    number: str
    description: str
    shape: tuple[int, int, int]
    planes: tuple[Plane, ...]
    is_placed: bool
    lacks: tuple[str, ...]
    between: float
    no_volume: str
    is_colour: bool


def read_header(path: Path) -> Header:
    """The header of a DICOM image.

    Raises:
        NoImage: it is a report, a plan, a segmentation, a directory.
        SubjectError: the file is damaged, is no DICOM, or claims more pixels than it holds.
    """
    with blaming(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values against the standard, which most scanners write
        dataset = read_dataset(path, stop_before_pixels=True)
        _expect_image(path, dataset)
        shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
        _expect_pixels(path, dataset, shape)
        _expect_low_bits(dataset)
        scale_of(dataset)
        return Header(
            path,
            uid=str(dataset.get("SeriesInstanceUID", "")),
            number=str(dataset.get("SeriesNumber") or ""),
            description=str(dataset.get("SeriesDescription") or ""),
            shape=shape,
            planes=tuple(_planes(dataset, shape[0])),
            is_placed=said_of(dataset, 0, "ImagePositionPatient") is not None,
            lacks=tuple(name for name in _OF_A_PLANE if said_of(dataset, 0, name) is None),
            between=abs(_between(dataset)),
            no_volume=why_no_volume(dataset, shape[0], _kind_of(dataset)),
            is_colour=not dataset.get("PhotometricInterpretation", "").startswith("MONOCHROME"),
        )


def _expect_image(path: Path, dataset: Dataset) -> None:
    """Refuse what is no image, and tell what is meant to be none from what is damaged."""
    kind = _kind_of(dataset)
    if dataset.get("Modality") in _NO_SCANS:
        raise NoImage("read", path.name, f"holds no DICOM image, but {dataset.Modality}")
    if "Rows" in dataset and "Columns" in dataset:
        return
    if kind.partition(" - ")[0].endswith("Storage") and "Image" not in kind:
        what = kind.removesuffix(" Storage")
        raise NoImage("read", path.name, f"holds no DICOM image, but {what}")
    raise SubjectError("read", path.name, "is damaged, or no DICOM image: it tells of no pixels")


def _kind_of(dataset: Dataset) -> str:
    """What the standard calls the class of a file, if it knows it."""
    from pydicom.uid import UID

    said = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or ""
    name = UID(said).name
    return "" if name == said else name


def _expect_pixels(path: Path, dataset: Dataset, shape: tuple[int, int, int]) -> None:
    """Refuse what was cut off, and what claims to be larger than any scan."""
    expect_picture(shape[1:])
    expect_volume(shape)
    claimed = math.prod(shape)
    if claimed <= 0:
        raise SubjectError("read", path.name, "its header claims no pixels")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed or syntax.is_deflated:
        # a frame has at least a byte
        length = claimed // _MOST_DENSE if claimed > PICTURE else shape[0]
    else:
        shares_colour = "422" in dataset.get("PhotometricInterpretation", "")  # of two pixels
        values = claimed * (2 if shares_colour else int(dataset.get("SamplesPerPixel") or 1))
        length = values * int(dataset.BitsAllocated) // 8
    found = path.stat().st_size
    if found < length:
        raise SubjectError("read", path.name, f"is cut off: {found} bytes of {length}")


def _expect_low_bits(dataset: Dataset) -> None:
    """Refuse values that do not fill the lowest bits: pydicom and GDCM take these all the same."""
    stored, last = int(dataset.get("BitsStored") or 0), dataset.get("HighBit")
    if stored < int(dataset.get("BitsAllocated") or 0) and last not in (None, stored - 1):
        raise ValueError(
            f"says that its values have {stored} bits, of which bit {last} is the highest: that "
            f"is {stored - 1} in DICOM; save it anew"
        )


def _planes(dataset: Dataset, frames: int) -> Iterator[Plane]:
    """Where each frame lies; one behind the other, where that is not said of each."""
    between, places = _between(dataset), _places(dataset, frames)
    each_is_placed = are_placed(dataset)
    for frame in range(frames):
        cosines = said_of(dataset, frame, "ImageOrientationPatient") or (1, 0, 0, 0, 1, 0)
        down, along = said_of(dataset, frame, "PixelSpacing") or (1, 1)
        axes = np.array(cosines, dtype=np.float64).reshape(2, 3).T
        position = said_of(dataset, frame, "ImagePositionPatient") or (0, 0, 0)
        plane = Plane(np.array(position, dtype=np.float64), axes, (float(along), float(down)))
        if not each_is_placed:
            behind = plane.position + places[frame] * between * plane.normal
            plane = Plane(behind, axes, plane.spacing)
        yield plane


def _places(dataset: Dataset, frames: int) -> Sequence[int]:
    """Which slice each frame is, counted from 0: what it says, or its own place in the file."""
    slices = numbers_in(dataset, "SliceVector")
    if frames == 1 or not slices:
        return range(frames)
    if len(slices) != frames:
        raise ValueError("is damaged: its SliceVector has not one number for each frame")
    return [number - 1 for number in slices]


def _between(dataset: Dataset) -> float:
    """The distance of slices in mm, as far as one file tells.

    It is negative where the next slice lies against the normal, in front of the one before it.
    """
    for name in OF_DISTANCE:
        between = float(dataset.get(name) or 0)
        if 0 < abs(between) < math.inf:
            return between if name == "SpacingBetweenSlices" else abs(between)
    return 1.0
