"""Whether the tags of a TIFF say what decides about its pixels.

Pillow skips a tag that it cannot read, or takes the first of its values, and goes on with what is
usual: a picture comes out inverted, unsigned or turned.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from PIL import Image

_WHOLE_NUMBERS = (1, 3, 4, 16)  # types: of 8, 16, 32 and 64 bits
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 262, 277
_COLOURS, _SAMPLE_FORMAT = 320, 339
_ONE_NUMBER = (
    *(_WIDTH, _HEIGHT, _PHOTOMETRIC, _SAMPLES),
    *(259, 266, 274, 278, 284, 317),  # compression, fill order, turn, rows, planes, predictor
    *(322, 323),  # width and height of a tile
)
_NUMBERS = (_BITS, 273, 279, _COLOURS, 324, 325, 338, _SAMPLE_FORMAT, 530)
_ONE_A_SAMPLE = (_BITS, _SAMPLE_FORMAT)
_NEEDED = {_WIDTH: "width", _HEIGHT: "height", _PHOTOMETRIC: "photometric interpretation"}
_MEANT = {266: range(1, 3), 274: range(1, 9), 284: range(1, 3), 317: range(1, 4)}


_EXTRA, _UNNAMED = 338, 0  # samples beside those of the colours; 1 and 2 are alpha
_DESCRIPTION = 270
_OF_IMAGEJ = re.compile(r"ImageJ=.*^images=(\d+)", re.DOTALL | re.MULTILINE)
_OF_TIFFFILE = re.compile(r'\{.*"truncated": true')


class _Entry(NamedTuple):
    tag: int
    kind: int
    values: int


def expect_tags(picture: Image.Image) -> None:
    """Make sure that nothing that decides about pixels is missing, twice, or not to be read.

    Args:
        picture: as Pillow opened it, at the frame that is meant.

    Raises:
        ValueError: its tags are damaged, or leave open what a value is.
    """
    if picture.format != "TIFF":
        return
    file = cast("Any", picture).fp
    place = file.tell()
    entries = [*_directory(file, picture.tell())]
    file.seek(place)
    taken: Mapping[int, Any] = cast("Any", picture).tag_v2
    for tag, name in _NEEDED.items():
        if tag not in taken:
            raise ValueError(f"is damaged: it has no {name} (tag {tag}) that could be read")
    for tag, count in Counter(entry.tag for entry in entries).items():
        if count > 1:
            raise ValueError(f"is damaged: it has tag {tag} {count} times")
    for one, other in pairwise(entries):
        if one.tag > other.tag:
            raise ValueError(f"is damaged, or nobody's TIFF: tag {other.tag} follows on {one.tag}")
    for entry in entries:
        _expect(entry, taken)
    if taken.get(_SAMPLES) == 2 and taken.get(_EXTRA) == (_UNNAMED,):
        raise ValueError(
            "has two values a pixel, and does not say what the second is: save each as a picture"
        )


def expect_all_listed(picture: Image.Image, listed: int) -> None:
    """Make sure that a TIFF has no pictures of which only a note says that they follow the first.

    Args:
        picture: as Pillow opened it.
        listed: how many have a directory.

    Raises:
        ValueError: it has, as ImageJ and tifffile write what is large.
    """
    note = str(getattr(picture, "tag_v2", {}).get(_DESCRIPTION, ""))
    said = _OF_IMAGEJ.match(note)
    if (said and int(said[1]) > listed) or (listed == 1 and _OF_TIFFFILE.match(note)):
        raise ValueError(
            f"holds a stack of pictures, of which it lists {listed}: save each as a page of its own"
        )


def _expect(entry: _Entry, taken: Mapping[int, Any]) -> None:
    tag, kind, count = entry
    if tag not in (*_ONE_NUMBER, *_NUMBERS):
        return
    samples = taken.get(_SAMPLES, 1)
    counts = {
        **dict.fromkeys(_ONE_NUMBER, (1,)),
        **dict.fromkeys(_ONE_A_SAMPLE, (1, samples)),
        _COLOURS: (3 << taken.get(_BITS, (1,))[0],),
    }
    if kind not in _WHOLE_NUMBERS or tag not in taken or count not in counts.get(tag, (count,)):
        raise ValueError(f"is damaged: its tag {tag} cannot be read ({count} of type {kind})")
    if taken[tag] not in _MEANT.get(tag, (taken[tag],)):
        raise ValueError(f"is damaged: its tag {tag} is {taken[tag]}, which means nothing")


def _directory(file: IO[bytes], frame: int) -> Iterator[_Entry]:
    """The entries of a picture's directory, as they stand in the file."""
    file.seek(0)
    order = {b"II": "<", b"MM": ">"}[file.read(2)]
    (version,) = struct.unpack(f"{order}H", file.read(2))
    is_big = version == 43
    if is_big:
        file.read(4)  # the length of addresses, and nothing
    count_of, entry_of, address_of = (
        struct.Struct(order + form)
        for form in (("Q", "HHQ8x", "Q") if is_big else ("H", "HHL4x", "L"))
    )
    (begin,) = address_of.unpack(file.read(address_of.size))
    for _ in range(frame):
        file.seek(begin)
        (count,) = count_of.unpack(file.read(count_of.size))
        file.seek(count * entry_of.size, 1)
        (begin,) = address_of.unpack(file.read(address_of.size))
    file.seek(begin)
    (count,) = count_of.unpack(file.read(count_of.size))
    for _ in range(count):
        yield _Entry(*entry_of.unpack(file.read(entry_of.size)))
