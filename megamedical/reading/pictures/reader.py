"""The reader of pictures: one, or one of several in a file."""

from __future__ import annotations

import gzip
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Grey, Part, Reader
from megamedical.reading.limits import expect_picture
from megamedical.reading.pictures.depth import PNG_START, times_of_png
from megamedical.reading.pictures.kinds import START, lossy_kind, refusal_of
from megamedical.reading.pictures.strips import expect_strips
from megamedical.reading.pictures.tags import expect_all_listed, expect_tags
from megamedical.reading.pictures.values import as_labels, colours_of, in_grey
from megamedical.reading.pictures.whole import expect_whole

if TYPE_CHECKING:
    from PIL import Image

# No others: Pillow would start a program for some, and reads notes of others as pictures.
_FORMATS = (
    "PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "PPM", "WEBP", "JPEG2000", "TGA", "PCX",
)  # fmt: skip
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how they begin, the large ones too
_UNZIPPED = 1 << 30  # bytes that come out of a zipped picture: more is a damaged or hostile file


class PictureReader(Reader):
    """PNG, JPEG, TIFF and whatever else Pillow knows by itself; gzip around it is taken off."""

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        with _only_picture(path) as picture:
            return in_grey(picture, grey)

    def labels(self, path: Path) -> NDArray[Any]:
        """A palette of colours gives its indices, one of greys its greys."""
        with _only_picture(path) as picture:
            return as_labels(picture)

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        with _opened(path) as picture:
            if part.frame is None:
                _expect_one(picture, path)
            else:
                picture.seek(part.frame)
                expect_picture(picture.size)
            expect_tags(picture)
            expect_strips(picture)
            if part.is_label and part.channel is None:
                return as_labels(picture)
            return colours_of(picture)

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        del array  # has no name
        with _opened(path) as picture:
            return _frames_in(picture)

    def shown_times(self, path: Path) -> int:
        """See `Reader`; 85 of grey PNG of two bits, 17 of four, as every viewer has them."""
        with _unzipped(path) as file:
            return times_of_png(file.read(PNG_START))

    def lossy_format(self, path: Path) -> str:
        """See `Reader`."""
        with _unzipped(path) as file:
            start = file.read(START)
            if start[:4] not in _TIFF:
                return lossy_kind(start)
            with _known(file) as picture:
                is_jpeg = picture.info.get("compression") == "jpeg"
                return "a TIFF packed as JPEG" if is_jpeg else ""

    def is_colour(self, path: Path) -> bool:
        """See `Reader`."""
        try:
            with _opened(path) as picture:
                return len(picture.getbands()) >= 3 or picture.mode in ("P", "PA")
        except Exception:
            return False  # whoever reads it will say what is wrong with it


@contextmanager
def _only_picture(path: Path) -> Iterator[Image.Image]:
    with _opened(path) as picture:
        _expect_one(picture, path)
        expect_tags(picture)
        expect_strips(picture)
        yield picture


def _expect_one(picture: Image.Image, path: Path) -> None:
    frames = _frames_in(picture)
    if frames > 1:
        raise SubjectError("read", path.name, f"holds {frames} pictures, not one")


def _frames_in(picture: Image.Image) -> int:
    """How many pictures there are; what a camera keeps beside a JPEG, as a preview, is none.

    Raises:
        ValueError: a TIFF holds more than it lists.
    """
    frames = 1 if picture.format == "MPO" else int(getattr(picture, "n_frames", 1))
    expect_all_listed(picture, frames)
    return frames


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    Image.init()  # or it knows the most frequent formats only
    _teach_doubles()
    with _unzipped(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is our own
        with _known(file) as picture:
            expect_picture(picture.size)
            kind = picture.format or ""
            _expect_known_depth(picture)
        expect_whole(file, kind)
        with Image.open(file, formats=_FORMATS) as picture:
            yield picture


def _known(file: IO[bytes]) -> Image.Image:
    """A picture that Pillow knows.

    Raises:
        ValueError: it is a TIFF, as it begins, and yet none that Pillow knows; or of a kind that
            is known and not read.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:
        file.seek(0)
        start = file.read(START)
        if refusal := refusal_of(start):
            raise ValueError(refusal) from error
        if start[:4] not in _TIFF:
            raise
        raise ValueError(
            "is damaged, or a TIFF whose values or colours are of a kind that cannot be read: save "
            "it with one value of 8, 16 or 32 bits a pixel"
        ) from error


def _expect_known_depth(picture: Image.Image) -> None:
    """Refuse BMP of which Pillow takes the depth from the palette, and then misreads each line."""
    bits = {"1": 1, "L": 8}.get(picture.mode)
    tiles = getattr(picture, "tile", ())
    if picture.format in ("BMP", "DIB") and bits and tiles and isinstance(tiles[0][3], tuple):
        _, stride, _ = tiles[0][3]
        if stride != (picture.width * bits + 31) // 32 * 4:
            raise ValueError(
                "is a BMP with fewer greys than its depth has room for: save it as PNG"
            )


def _unzipped(path: Path) -> IO[bytes]:
    if path.suffix.lower() != ".gz":
        return path.open("rb")
    with gzip.open(path) as zipped:
        content = zipped.read(_UNZIPPED + 1)  # to its end, where its checksum stands
    if len(content) > _UNZIPPED:
        raise ValueError(f"is zipped, and more than {_UNZIPPED:,} bytes come out of it")
    return io.BytesIO(content)


def _teach_doubles() -> None:
    """Have Pillow read TIFF in double precision, for which it has all but a name."""
    from PIL import TiffImagePlugin

    for order, raw in ((b"II", "F;64F"), (b"MM", "F;64BF")):
        TiffImagePlugin.OPEN_INFO.setdefault((order, 1, (3,), 1, (64,), ()), ("F", raw))
