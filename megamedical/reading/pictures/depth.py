"""How many bits the values of a picture have, and how to have them as they were written.

Pillow stretches grey values of few bits to 8 or 16, and cuts colours of more than 8 to these:
labels of 4 bits come out 17 times as large, and colours of 16 lose half of theirs, or are misread.
In PNG alone the stretched ones are what is meant.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError

if TYPE_CHECKING:
    from PIL import Image

Written = Callable[[NDArray[Any]], NDArray[Any]]  # from values as Pillow has them

_BITS = 258  # the tag of TIFF
_STREAM = b"\xff\x4f\xff\x51"  # how a stream of JPEG 2000 begins, and its first marker
_STREAM_WITHIN = 1 << 20  # bytes
_COMPONENTS = 40  # bytes from there to their number; then three for each
_NETPBM_FULL = (255, 65535)
_DEEPEST = 16
_PNG, PNG_START = b"\x89PNG", 26  # bytes, of which the last two are depth and kind of colour
_GREY = 0


def expect_shallow_colours(picture: Image.Image) -> None:
    """Refuse colours of more than 8 bits, before they are loaded.

    Raises:
        SubjectError: it has such.
    """
    if len(picture.getbands()) < 2 and picture.mode != "P":
        return
    deepest = max(_bits_of(picture), default=8)
    if deepest > 8:
        raise SubjectError(
            "read", "", f"has colours of {deepest} bits: save it in grey, or with 8 bits a colour"
        )


def as_written(picture: Image.Image) -> Written:
    """What makes the grey values of a picture, once it is loaded, what they were in the file.

    Args:
        picture: before it is loaded.

    Raises:
        SubjectError: its values are too deep for Pillow.
    """
    if picture.mode not in ("L", "I") and not picture.mode.startswith("I;16"):
        return lambda values: values
    if picture.format == "TIFF":
        (bits, *_) = _bits_of(picture)
        return _less(bits) if bits in (2, 4) else lambda values: values
    if picture.format == "PPM":
        most = _netpbm_most(picture)
        full = 255 if picture.mode == "L" else 65535
        if most not in _NETPBM_FULL:
            return lambda values: np.rint(values.astype(np.float64) * most / full).astype(np.uint16)
    if picture.format == "JPEG2000":
        ((bits, is_signed), *_) = _jpeg2000_components(picture)
        return _shifted(bits, is_signed=is_signed)
    return lambda values: values


def times_of_png(start: bytes) -> int:
    """How many times as large as in a PNG that begins so every viewer and reader has its greys.

    Two and four bits of it are shares of white by its standard, not numbers: 1 of 3 is 85. Programs
    that make files smaller store 0, 85, 170 and 255 in two bits, some others so the labels 0 to 3.
    """
    bits, kind = start[PNG_START - 2 : PNG_START] if len(start) == PNG_START else (8, _GREY)
    is_few = start.startswith(_PNG) and kind == _GREY and bits in (2, 4)
    return _times(bits) if is_few else 1


def _times(bits: int) -> int:
    return 255 // ((1 << bits) - 1)


def _less(bits: int) -> Written:
    """Values of few bits, of which all that are set were made 255."""
    return lambda values: values // _times(bits)


def _shifted(bits: int, *, is_signed: bool) -> Written:
    """Values of JPEG 2000, which Pillow moves up to the next 8 or 16 bits, and above zero."""
    if bits > _DEEPEST:
        raise SubjectError("read", "", f"has grey values of {bits} bits: save it with 16 at most")
    up = -bits % 8
    below = 1 << (bits - 1) if is_signed else 0
    return lambda values: (values >> up).astype(np.int32) - below if below else values >> up


def _bits_of(picture: Image.Image) -> list[int]:
    """Of each component of a picture, as far as its format is one that has more than 8."""
    tiles = getattr(picture, "tile", ())
    if picture.format == "TIFF":
        said = cast("Any", picture).tag_v2.get(_BITS, 1)
        return [*said] if isinstance(said, tuple) else [said]
    if picture.format == "PPM":
        return [_netpbm_most(picture).bit_length()]
    if picture.format == "JPEG2000":
        return [bits for bits, _ in _jpeg2000_components(picture)]
    return [16 if any(";16" in str(tile[3]) for tile in tiles) else 8]


def _netpbm_most(picture: Image.Image) -> int:
    """The value of white, 255 where nothing has to be stretched."""
    said = [tile[3] for tile in getattr(picture, "tile", ())]
    return next((int(args[1]) for args in said if isinstance(args, tuple)), 255)


def _jpeg2000_components(picture: Image.Image) -> list[tuple[int, bool]]:
    """Bits of each component, and whether it is signed, as the head of the stream says."""
    file = cast("Any", picture).fp
    place = file.tell()
    file.seek(0)
    head = file.read(_STREAM_WITHIN)
    file.seek(place)
    begin = head.find(_STREAM)
    try:
        (count,) = struct.unpack_from(">H", head, begin + _COMPONENTS)
        sizes = [head[begin + _COMPONENTS + 2 + 3 * number] for number in range(count)]
    except (struct.error, IndexError):
        sizes = []
    if begin < 0 or not sizes:
        raise ValueError("is damaged: it does not say how deep its values are")
    return [((size & 0x7F) + 1, bool(size & 0x80)) for size in sizes]
