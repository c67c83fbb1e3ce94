"""DICOM: which files belong together, where their slices lie, and what is in them.

pydicom reads the headers and the plain pixels, GDCM what is compressed. Values come in the unit
that slope and intercept give (HU in CT), and turned where MONOCHROME1 shows bright as dark.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader, FileIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.files.disk import in_words
from megamedical.reading import gdcm
from megamedical.reading.contract import Grey, Reader
from megamedical.reading.library_errors import blaming
from megamedical.reading.luma import luma
from megamedical.reading.pictures import grey_of, indices_of
from megamedical.reading.volume import SHEAR, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = (".dcm", ".dicom", ".ima")

_MAGIC_AT = 128  # bytes
_NO_SCANS = ("SEG", "RTDOSE")  # modalities that have pixels, but are made from a scan
_LARGEST = 1 << 34  # pixels of one file: more is a damaged or hostile header
_INFLATED = 1 << 28  # bytes that a deflated file may hold, however small it is,
_DENSEST = 100  # and how many times its own size, if that is more
_AT_ONCE = 1 << 16  # bytes, of which a thousand times as many come out
_ANY_DENSITY = 1 << 30  # pixels that may be compressed as far as they like;
_MOST_DENSE = 2_000  # of more, each byte holds so many at the most
_UNEVEN = 0.01  # of the distance between slices
_ROUNDED = 0.01  # mm; positions are often written with two decimals
_SAME = 1e-4  # mm; slices that are closer lie in one place


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

    `shape` is (frames, rows, columns); `planes` has one entry a frame, and `is_placed` is False
    where the file does not say where they lie; `between` is the distance of slices in mm, as far as
    a single frame tells; `uid`, `number` and `description` are those of the series.
    """

    path: Path
    uid: str
    number: str
    description: str
    shape: tuple[int, int, int]
    planes: tuple[Plane, ...]
    is_placed: bool
    between: float
    is_colour: bool


@dataclass(frozen=True)
class Series:
    """The files that make one scan: the slices of a volume, or a single file."""

    headers: tuple[Header, ...]

    @property
    def title(self) -> str:
        """What the scanner calls it: `series 3 (T2 axial)`."""
        number, description = self.headers[0].number, self.headers[0].description
        return " ".join(["series", *filter(None, [number, description and f"({description})"])])

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, in no order that means anything."""
        return tuple(header.path for header in self.headers)

    @property
    def dimension(self) -> int:
        """3 for a volume, 2 for a picture."""
        return 3 if sum(len(header.planes) for header in self.headers) > 1 else 2


class DicomReader(Reader):
    """A file of DICOM, or the folder of a series."""

    dimension: ClassVar[Literal[2, 3]] = 2

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        if channel is not None:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        return read_series(series_of(path))

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        pixels = read_dicom_picture(path)
        return grey_of(pixels, grey) if pixels.ndim == 3 else pixels

    def labels(self, path: Path) -> NDArray[Any]:
        """See `Reader`."""
        pixels = read_dicom_picture(path)
        return indices_of(pixels) if pixels.ndim == 3 else pixels


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its suffix or by what it begins with."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            file.seek(_MAGIC_AT)
            return file.read(4) == b"DICM"
    except OSError:
        return False


def read_header(path: Path) -> Header | None:
    """The header of a DICOM file; None of a report, a plan, a segmentation, a directory.

    Raises:
        SubjectError: the file is damaged, or claims more pixels than it holds.
    """
    with blaming(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values against the standard, which most scanners write
        dataset = _read(path, stop_before_pixels=True)
        if not dataset:
            raise SubjectError("read", path.name, "is nothing that can be read as DICOM")
        if "Rows" not in dataset or dataset.get("Modality") in _NO_SCANS:
            return None
        shape = (int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns))
        _expect_pixels(path, dataset, shape)
        _expect_one_scale(path, dataset)
        return Header(
            path,
            uid=str(dataset.get("SeriesInstanceUID", "")),
            number=str(dataset.get("SeriesNumber") or ""),
            description=str(dataset.get("SeriesDescription") or ""),
            shape=shape,
            planes=tuple(_planes(dataset, shape[0])),
            is_placed=_groups_of(dataset, 0, "ImagePositionPatient") is not None,
            between=_between(dataset),
            is_colour=not dataset.get("PhotometricInterpretation", "").startswith("MONOCHROME"),
        )


def find_series(headers: Iterable[Header]) -> list[Series]:
    """The scans that files hold, in the order of their first files.

    Single frames of one series, if they say where they lie, are the slices of a volume. Any other
    file is a scan of its own.
    """
    scans: dict[tuple[str, ...], list[Header]] = defaultdict(list)
    for header in headers:
        is_slice = header.is_placed and len(header.planes) == 1
        scans[(header.uid,) if is_slice else (header.uid, str(header.path))].append(header)
    return [Series(tuple(files)) for files in scans.values()]


def series_of(path: Path) -> Series:
    """The one scan that a file or a folder holds.

    Raises:
        SubjectError: it holds none, or several; or a file is damaged.
    """
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file() and is_dicom(file)]
    else:
        files = [path]
    found = find_series(header for file in files if (header := read_header(file)))
    if not found:
        raise SubjectError("read", path.name, "holds no DICOM image")
    if len(found) > 1:
        titles = ", ".join(series.title for series in found)
        raise SubjectError("read", path.name, f"holds {len(found)} series, not one: {titles}")
    return found[0]


def read_dicom_picture(path: Path) -> NDArray[Any]:
    """The pixels of a file of one frame: (H, W), or (H, W, 3) uint8 in colour.

    Raises:
        SubjectError: it holds several, or none; it is damaged; or its colours are deeper.
    """
    (header,) = series_of(path).headers
    if len(header.planes) > 1:
        raise SubjectError("read", path.name, f"holds {len(header.planes)} pictures, not one")
    pixels = _frames([header])[path][0]
    if pixels.ndim == 3 and pixels.dtype != np.uint8:
        raise SubjectError("read", path.name, f"has colours in {pixels.dtype}, not in uint8")
    return pixels


def read_series(series: Series) -> Volume:
    """Read a volume: slices in the order of their place along the normal, colour as grey.

    Raises:
        SubjectError: a slice is missing, or there twice; slices differ in size, direction or
            spacing, or are shifted against each other; a file is damaged.
    """
    name = series.files[0].parent.name
    try:
        slices = _in_order(series)
        between = _distance(series, slices)
    except SubjectError as error:
        raise SubjectError("read", name, f"{series.title} {error.reason}") from error
    frames = _frames(series.headers)
    voxels = np.stack([frames[header.path][frame] for header, frame in slices])
    header, frame = slices[0]
    first = header.planes[frame]
    return Volume(
        luma(voxels) if voxels.ndim == 4 else voxels,
        np.column_stack([first.axes, first.normal]),
        (*first.spacing, between),
        tuple(first.position.tolist()),
    )


_Slice = tuple[Header, int]  # a file, and one of its frames


def _in_order(series: Series) -> list[_Slice]:
    """All slices from the lowest to the highest along their normal, which must be alike."""
    slices = [(header, n) for header in series.headers for n in range(len(header.planes))]
    first, first_plane = series.headers[0], series.headers[0].planes[0]
    for header, n in slices:
        plane = header.planes[n]
        if header.shape[1:] != first.shape[1:] or header.is_colour != first.is_colour:
            sizes = " and ".join("{} x {}".format(*each.shape[1:]) for each in (first, header))
            names = f"{first.path.name} and {header.path.name}"
            raise SubjectError("read", "", f"has slices of different kinds, {sizes}: {names}")
        if not (np.isfinite(plane.position).all() and 0 < min(plane.spacing) < math.inf):
            raise SubjectError("read", "", f"has slices that lie nowhere, as {header.path.name}")
        if not np.allclose(plane.axes, first_plane.axes, atol=SHEAR):
            names = f"{first.path.name} and {header.path.name}"
            raise SubjectError("read", "", f"has slices in different directions, as {names}")
        if not np.allclose(plane.spacing, first_plane.spacing, rtol=SHEAR):
            names = f"{first.path.name} and {header.path.name}"
            raise SubjectError("read", "", f"has slices of different pixel spacing, as {names}")
    return sorted(slices, key=lambda each: float(_plane(each).position @ first_plane.normal))


def _distance(series: Series, slices: Sequence[_Slice]) -> float:
    """How far slices in order lie apart, in mm, which must be the same all along."""
    if len(slices) == 1:
        return series.headers[0].between
    positions = np.stack([_plane(each).position for each in slices])
    normal = _plane(slices[0]).normal
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    for (one, other), step in zip(pairwise(slices), steps, strict=True):
        names = " and ".join(dict.fromkeys(header.path.name for header, _ in (one, other)))
        if step < _SAME:
            raise SubjectError(
                "read",
                "",
                f"has two slices in one place ({names}): split it, if it has time points",
            )
        if abs(step - usual) > _UNEVEN * usual + _ROUNDED:
            what = "lacks slices" if step > 1.5 * usual else "has uneven slices"
            raise SubjectError(
                "read", "", f"{what}: {names} lie {step:.4g} mm apart, others {usual:.4g} mm"
            )
    length = float(steps.sum())
    aside = positions[-1] - positions[0] - length * normal
    if np.linalg.norm(aside) > SHEAR * length + _ROUNDED:
        degrees = math.degrees(math.atan2(float(np.linalg.norm(aside)), length))
        raise SubjectError(
            "read",
            "",
            f"was taken with a gantry tilted by {degrees:.1f} degrees: resample it to a straight "
            "volume first",
        )
    return length / len(steps)


def _plane(each: _Slice) -> Plane:
    header, frame = each
    return header.planes[frame]


def _frames(headers: Sequence[Header]) -> dict[Path, NDArray[Any]]:
    """The pixels of each file: (frames, rows, columns), and 3 values for each in colour."""
    found: dict[Path, NDArray[Any]] = {}
    compressed = []
    for header in headers:
        with blaming(header.path), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = _read(header.path)
            if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                gdcm.expect_sound(dataset)
                compressed.append(header.path)
            else:
                found[header.path] = _plain(dataset)
    if compressed:
        found.update(zip(compressed, gdcm.decode(compressed), strict=True))
    for header in headers:
        with blaming(header.path):
            colours = [3] if header.is_colour else []
            found[header.path] = found[header.path].reshape(*header.shape, *colours)
    return found


class _File(BufferedReader):
    """A file of which pydicom asks for all the rest at once only where that is deflated."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; refuse what would fill the memory once it is inflated."""
        content = super().read(size)
        if size == -1:
            _expect_no_bomb(content)
        return content


def _expect_no_bomb(content: bytes) -> None:
    allowed = max(_INFLATED, _DENSEST * len(content))
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for start in range(0, len(content), _AT_ONCE):
        inflated += len(inflater.decompress(content[start : start + _AT_ONCE]))
        if inflated > allowed:
            raise ValueError(
                f"is deflated, and more than {in_words(allowed)} come out of its "
                f"{in_words(len(content))}: if you trust it, inflate it by hand"
            )


def _read(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    from pydicom import dcmread

    with _File(FileIO(str(path))) as file:
        return dcmread(file, stop_before_pixels=stop_before_pixels, force=True)


def _plain(dataset: Dataset) -> NDArray[Any]:
    """Pixels that are not compressed; GDCM would crash on some damaged headers."""
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    pixels = pixel_array(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        is_signed = pixels.dtype.kind == "i"
        pixels = (-1 if is_signed else (1 << dataset.BitsStored) - 1) - pixels
    slope = float(_groups_of(dataset, 0, "RescaleSlope") or 1)
    intercept = float(_groups_of(dataset, 0, "RescaleIntercept") or 0)
    if (slope, intercept) == (1, 0):
        return pixels
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _expect_pixels(path: Path, dataset: Dataset, shape: tuple[int, int, int]) -> None:
    """Refuse what was cut off, and what claims to be larger than any scan."""
    if math.prod(shape) > _LARGEST:
        raise SubjectError("read", path.name, "its header claims more than 16 billion voxels")
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_compressed or syntax.is_deflated:
        claimed = math.prod(shape)
        is_large = claimed > _ANY_DENSITY
        length = claimed // _MOST_DENSE if is_large else shape[0]  # a frame has at least a byte
    else:
        shares_colour = "422" in dataset.get("PhotometricInterpretation", "")  # of two pixels
        values = math.prod(shape) * (
            2 if shares_colour else int(dataset.get("SamplesPerPixel") or 1)
        )
        length = values * int(dataset.BitsAllocated) // 8
    found = path.stat().st_size
    if found < length:
        raise SubjectError("read", path.name, f"is cut off: {found} bytes of {length}")


def _expect_one_scale(path: Path, dataset: Dataset) -> None:
    """Refuse frames that each have a slope of their own: the first would be taken for all."""
    scales = set()
    for groups in dataset.get("PerFrameFunctionalGroupsSequence") or ():
        for scale in groups.get("PixelValueTransformationSequence") or ():
            scales.add((scale.get("RescaleSlope"), scale.get("RescaleIntercept")))
    if len(scales) > 1:
        raise SubjectError("read", path.name, "has a rescale slope for each frame: split the file")


def _planes(dataset: Dataset, frames: int) -> Iterator[Plane]:
    """Where each frame lies; one behind the other, where that is not said of each."""
    between = _between(dataset)
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    each_is_placed = any("PlanePositionSequence" in groups for groups in per_frame)
    for frame in range(frames):
        cosines = _groups_of(dataset, frame, "ImageOrientationPatient") or (1, 0, 0, 0, 1, 0)
        down, along = _groups_of(dataset, frame, "PixelSpacing") or (1, 1)
        axes = np.array(cosines, dtype=np.float64).reshape(2, 3).T
        position = _groups_of(dataset, frame, "ImagePositionPatient") or (0, 0, 0)
        plane = Plane(np.array(position, dtype=np.float64), axes, (float(along), float(down)))
        if not each_is_placed:
            behind = plane.position + frame * between * plane.normal
            plane = Plane(behind, axes, plane.spacing)
        yield plane


_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}


def _groups_of(dataset: Dataset, frame: int, name: str) -> Any:  # noqa: ANN401  (any DICOM value)
    """What is said of a frame: of itself, of all frames, or of the whole file."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*per_frame[frame : frame + 1], *shared):
        for group in groups.get(_GROUPS[name]) or ():
            if group.get(name) is not None:
                return group.get(name)
    return dataset.get(name)


def _between(dataset: Dataset) -> float:
    """The distance of slices in mm, as far as one file tells."""
    said = dataset.get("SpacingBetweenSlices") or dataset.get("SliceThickness") or 1.0
    between = abs(float(said))
    return between if 0 < between < math.inf else 1.0
