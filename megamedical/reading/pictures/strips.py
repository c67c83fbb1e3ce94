"""Whether the strips or tiles of a TIFF are there, and hold what its tags claim.

Pillow gives zeros for one that is missing, and libtiff drops or lacks bytes of PackBits silently,
looks at no checksum of what zlib packed, and fills up what is JPEG. PackBits and LZW have no
checksum, but a run or a length that was changed moves all that comes after it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from megamedical.reading.pictures.jpeg import expect_jpeg

if TYPE_CHECKING:
    from PIL import Image

_COMPRESSION, _NONE, _PACKBITS = 259, 1, 32773
_ZLIB, _OLD_JPEG, _JPEG = (8, 32946), 6, 7
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _PLANES_APART = 256, 257, 258, 277, 284
_STRIPS, _STRIP_BYTES, _ROWS_OF_STRIP = 273, 279, 278
_TILES, _TILE_BYTES, _TILE_WIDTH, _TILE_HEIGHT = 324, 325, 322, 323
_JPEG_TABLES = 347
_START, _END = b"\xff\xd8", b"\xff\xd9"  # of a JPEG stream
_NOTHING = 128  # a byte that stands for none
_FILLING = 3  # bytes that may follow, up to an address that a writer likes


def expect_strips(picture: Image.Image) -> None:
    """Make sure that each strip or tile of a picture, before it is loaded, has its length.

    Raises:
        ValueError: one is damaged or cut off.
    """
    tags = getattr(picture, "tag_v2", {})
    is_tiled = _TILES in tags
    begins = tags.get(_TILES if is_tiled else _STRIPS, ())
    lengths = tags.get(_TILE_BYTES if is_tiled else _STRIP_BYTES, ())
    if not begins:
        return  # no TIFF, or one that Pillow refuses
    claimed = list(islice(_claimed(tags), len(begins) + 1))
    if len(claimed) != len(begins):
        raise ValueError("is damaged: it has fewer or more strips than its size takes")
    file = cast("Any", picture).fp
    place = file.tell()
    size = file.seek(0, 2)
    compression = tags.get(_COMPRESSION, _NONE)
    found = claimed if compression == _NONE else lengths
    if len(found) != len(begins):
        raise ValueError("is damaged: it does not say how long its strips are")
    if any(begin + length > size for begin, length in zip(begins, found, strict=True)):
        raise ValueError("is cut off: its pixels end behind its end")
    if compression == _NONE and sum(lengths) >= 2 * sum(claimed):
        # the last strip may be as long as the others
        raise ValueError("is damaged: it holds more pixels than its size and depth take")
    if compression == _OLD_JPEG:
        raise ValueError("is packed as JPEG in the old way, which nobody can check: save it anew")
    for begin, length, unpacked in zip(begins, lengths, claimed, strict=False):
        file.seek(begin)
        if compression == _PACKBITS:
            _expect_packbits(file.read(length), unpacked)
        elif compression in _ZLIB:
            _expect_zlib(file.read(length), unpacked, max(claimed))
        elif compression == _JPEG:
            _expect_jpeg(tags.get(_JPEG_TABLES, b""), file.read(length))
    file.seek(place)


def _claimed(tags: Any) -> Iterator[int]:  # noqa: ANN401  (a mapping of Pillow's)
    """How many bytes each strip or tile unpacks to."""
    width, height, samples = tags[_WIDTH], tags[_HEIGHT], tags.get(_SAMPLES, 1)
    planes, together = (samples, 1) if tags.get(_PLANES_APART, 1) == 2 else (1, samples)
    bits = together * tags.get(_BITS, (1,))[0]
    for _ in range(planes):
        if _TILES in tags:
            across, down = tags[_TILE_WIDTH], tags[_TILE_HEIGHT]
            for _ in range(math.ceil(width / across) * math.ceil(height / down)):
                yield down * math.ceil(across * bits / 8)
        else:
            rows = max(1, min(tags.get(_ROWS_OF_STRIP, height), height))
            for first in range(0, height, rows):
                yield min(rows, height - first) * math.ceil(width * bits / 8)


def _expect_packbits(packed: bytes, claimed: int) -> None:
    place = unpacked = 0
    while unpacked < claimed and place < len(packed):
        head = packed[place]
        if head < _NOTHING:
            place += head + 2
            unpacked += head + 1
        elif head > _NOTHING:
            place += 2
            unpacked += 257 - head
        else:
            place += 1
    if unpacked != claimed or not 0 <= len(packed) - place <= _FILLING:
        raise ValueError("is damaged or cut off: what is packed in it has another length than said")


def _expect_zlib(packed: bytes, claimed: int, longest: int) -> None:
    """The last strip may be filled up to the length of the others."""
    from isal import isal_zlib

    broken: Any = isal_zlib.error
    unpacker = isal_zlib.decompressobj()
    try:
        unpacked = len(unpacker.decompress(packed, longest + 1))
    except broken as error:
        raise ValueError(f"is damaged, as zlib finds: {error}") from error
    is_at_end = unpacker.eof and len(unpacker.unused_data) <= _FILLING
    if unpacked not in (claimed, longest) or not is_at_end:
        raise ValueError("is damaged or cut off: what is packed in it has another length than said")


def _expect_jpeg(tables: bytes, strip: bytes) -> None:
    """A strip is a stream of its own, without the tables that it shares with the others."""
    shared = tables.removeprefix(_START).removesuffix(_END)
    if not strip.startswith(_START):
        raise ValueError("is damaged: a strip of it is no JPEG stream")
    expect_jpeg(_START + shared + strip.removeprefix(_START))
