"""A DICOM file as pydicom reads it, bounded, and what is said in it of each frame."""

from __future__ import annotations

import math
import zlib
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megamedical.files.disk import in_words
from megamedical.reading.dicom.files import PREAMBLE, begins_with_data, has_preamble

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

_INFLATED = 1 << 28  # bytes that a deflated file may hold, however small it is,
_DENSEST = 100  # and how many times its own size, if that is more
_BEHIND_PIXELS = (0x7FE0, 0xFFFA, 0xFFFC)  # groups: theirs, signatures and filling
_ELEMENT = 8  # bytes at least
_AT_ONCE = 1 << 16  # bytes, of which a thousand times as many come out


def read_dataset(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    """A file with its transfer syntax, which is found out where no file meta says it.

    Raises:
        ValueError: it does not begin as DICOM does, or fills the memory once it is inflated; or
            nothing says how its pixels are compressed.
    """
    from pydicom import dcmread

    with _File(FileIO(str(path))) as file:
        start = file.peek(PREAMBLE + 4)
        if not has_preamble(start) and not begins_with_data(start):
            raise ValueError(
                "does not begin as DICOM does, neither with DICM nor with data: it is damaged, or "
                "something else, as a page that a server sent in its place"
            )
        dataset = dcmread(file, stop_before_pixels=stop_before_pixels, force=True)
        if not stop_before_pixels:
            file.expect_read(dataset)
    _expect_pixels_last(dataset)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _syntax_of(dataset)
    return dataset


def said_of(dataset: Dataset, frame: int, name: str) -> Any:  # noqa: ANN401  (any DICOM value)
    """What is said of a frame: of itself, of all frames, of the detector, or of the whole file."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or ()
    shared = dataset.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*per_frame[frame : frame + 1], *shared):
        for group in groups.get(_GROUPS[name]) or ():
            if group.get(name) is not None:
                return group.get(name)
    if dataset.get(name) is None and name in _OF_DETECTOR:
        for detector in dataset.get("DetectorInformationSequence") or ():
            return detector.get(name)
    return dataset.get(name)


def scale_of(dataset: Dataset) -> tuple[float, float]:
    """The slope and the intercept of all values of a file.

    Raises:
        ValueError: they are no numbers, or the slope is 0; or frames have others than the first.
    """
    frames = len(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    scales = {
        tuple(said_of(dataset, frame, f"Rescale{name}") for name in ("Slope", "Intercept"))
        for frame in range(max(frames, 1))
    }
    if len(scales) > 1:
        raise ValueError("has a rescale slope for each frame: split the file")
    ((slope, intercept),) = scales
    scale = 1.0 if slope is None else float(slope)
    offset = 0.0 if intercept is None else float(intercept)
    if not (math.isfinite(scale) and math.isfinite(offset) and scale):
        raise ValueError(f"is damaged: its rescale slope is {slope}, its intercept {intercept}")
    return scale, offset


_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
_OF_DETECTOR = ("ImagePositionPatient", "ImageOrientationPatient")  # of nuclear medicine


def _expect_pixels_last(dataset: Dataset) -> None:
    """Refuse what comes behind the pixels and may not: there are more pixels than the file says.

    Raises:
        ValueError: there is such an element.
    """
    if "PixelData" not in dataset:
        return
    pixels = dataset.get_item("PixelData")
    begins = getattr(pixels, "value_tell", 0)
    for tag in dataset.keys():  # noqa: SIM118  (to iterate it would decode every value)
        element = dataset.get_item(tag)
        is_known = tag.is_private_creator or (tag.group, tag.element >> 8) in dataset
        is_private = tag.is_private and tag > pixels.tag and is_known
        is_behind = getattr(element, "value_tell", 0) > begins > 0
        if is_behind and not is_private and tag.group not in _BEHIND_PIXELS:
            raise ValueError(f"is damaged: {tag} comes behind its pixels, where nothing may")


def _syntax_of(dataset: Dataset) -> UID:
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise ValueError("has no file meta, which would say how its pixels are compressed")
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


class _File(BufferedReader):
    """A file of which pydicom asks for all the rest at once only where that is deflated."""

    _inflated: int | None = None
    _stray = b""  # what was there where an element was looked for

    def read(self, size: int | None = -1, /) -> bytes:
        """Read; refuse what would fill the memory once it is inflated."""
        content = super().read(size)
        if size == -1:
            self._inflated = _length_of_sound(content)
        elif size is not None and len(content) < size:
            self._stray = content
        return content

    def expect_read(self, dataset: Dataset) -> None:
        """Make sure that pydicom came to the end: it stops at what is no element, and is content.

        Raises:
            ValueError: something follows on the last element.
        """
        if self._inflated is None:
            rest = self._stray + self.read(_AT_ONCE)
            is_over = not any(rest) and len(rest) < _ELEMENT  # filled up with zeros
        else:
            ends = {}
            for tag in dataset.keys():  # noqa: SIM118  (to iterate it would decode every value)
                element = dataset.get_item(tag)
                begins = getattr(element, "value_tell", 0)
                ends[begins] = begins + getattr(element, "length", self._inflated)
            is_over = not ends or ends[max(ends)] >= self._inflated
        if not is_over:
            raise ValueError("is damaged: something that is no element follows on its last one")


def _length_of_sound(content: bytes) -> int:
    """How many bytes come out of what is deflated, of which none is kept."""
    allowed = max(_INFLATED, _DENSEST * len(content))
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for start in range(0, len(content), _AT_ONCE):
        inflated += len(inflater.decompress(content[start : start + _AT_ONCE]))
        if inflated > allowed:
            raise ValueError(
                f"is deflated, and more than {in_words(allowed)} come out of its "
                f"{in_words(len(content))}: if you trust it, inflate it by hand"
            )
    if not inflater.eof:
        raise ValueError("is damaged or cut off: what is deflated in it has no end")
    return inflated
