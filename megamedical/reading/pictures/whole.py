"""Whether a picture's file is whole: what Pillow does not look at, or lets pass.

PNG has a checksum for each part of it, of which Pillow skips those of the pixels. The codes of JPEG
have to make sense. GIF and BMP have neither: of these it shows only that they were cut off, not
that a byte was changed.
"""

from __future__ import annotations

import zlib
from typing import IO

from megamedical.reading.pictures.jpeg import expect_jpeg

_CHUNK = 12  # bytes of a chunk of PNG without its content
_PNG_MAGIC = 8  # bytes
_END_OF_GIF = b"\x3b"


def expect_whole(file: IO[bytes], kind: str) -> None:
    """Make sure that nothing of a picture is missing, and that its checksums are right.

    Args:
        file: the picture, of which any place may be read next; it is left at its beginning.
        kind: what Pillow calls its format.

    Raises:
        ValueError: it is damaged or cut off.
    """
    check = {"PNG": _expect_png, "JPEG": expect_jpeg, "MPO": expect_jpeg, "GIF": _expect_gif}
    if kind in check:
        file.seek(0)
        check[kind](file.read())
    file.seek(0)


def _expect_png(content: bytes) -> None:
    place, kind = _PNG_MAGIC, b""
    while kind != b"IEND":
        length = int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        checked = memoryview(content)[place + 4 : place + 8 + length]
        said = content[place + 8 + length : place + _CHUNK + length]
        if len(said) < 4:
            raise ValueError("is cut off: it has no end")
        if zlib.crc32(checked) != int.from_bytes(said, "big"):
            raise ValueError(f"is damaged: the checksum of its {kind.decode('latin-1')} is wrong")
        place += _CHUNK + length


def _expect_gif(content: bytes) -> None:
    if not content.rstrip(b"\0").endswith(_END_OF_GIF):
        raise ValueError("is cut off: it has no end")
