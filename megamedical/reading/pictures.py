"""Pictures, which Pillow decodes: in grey, or as label values."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Grey, Part, Reader

if TYPE_CHECKING:
    from PIL import Image


class PictureReader(Reader):
    """PNG, JPEG, TIFF and whatever else Pillow knows; gzip around it is taken off."""

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        with _only_picture(path) as picture:
            return _luma(picture, grey)

    def labels(self, path: Path) -> NDArray[Any]:
        """A palette picture gives its indices, not its colours."""
        with _only_picture(path) as picture:
            return _indices(picture)

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        with _opened(path) as picture:
            if part.frame is not None:
                picture.seek(part.frame)
            return np.asarray(picture)

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        del array  # has no name
        with _opened(path) as picture:
            return int(getattr(picture, "n_frames", 1))

    def is_colour(self, path: Path) -> bool:
        """See `Reader`."""
        try:
            with _opened(path) as picture:
                return len(picture.getbands()) >= 3 or picture.mode in ("P", "PA")
        except Exception:
            return False  # whoever reads it will say what is wrong with it


def grey_of(pixels: NDArray[np.uint8], grey: Grey) -> NDArray[Any]:
    """Colours (H, W, 3) in grey."""
    from PIL import Image

    return _luma(Image.fromarray(pixels), grey)


def indices_of(pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """Colours (H, W, 3) that are all grey, as label values (H, W).

    Raises:
        SubjectError: they are colours.
    """
    from PIL import Image

    return _indices(Image.fromarray(pixels))


@contextmanager
def _only_picture(path: Path) -> Iterator[Image.Image]:
    with _opened(path) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise SubjectError("read", path.name, f"holds {frames} pictures, not one")
        yield picture


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    with _unzipped(path) as file, Image.open(file) as picture:
        yield picture


def _unzipped(path: Path) -> IO[bytes]:
    is_zipped = path.suffix.lower() == ".gz"
    return gzip.open(path) if is_zipped else path.open("rb")  # type: ignore[return-value]


def _luma(picture: Image.Image, grey: Grey) -> NDArray[Any]:
    """Grey values of a picture: colour by the luma of ITU-R 601-2."""
    if picture.mode in ("1", "L", "I", "F") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    if picture.mode not in ("RGB", "P", "RGBA", "CMYK", "YCbCr", "LA", "PA"):
        raise SubjectError("read", "", f"has pictures of mode {picture.mode}")
    return np.asarray(picture.convert("RGB").convert("F" if grey == "float" else "L"))


def _indices(picture: Image.Image) -> NDArray[Any]:
    values = np.asarray(picture)
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.ndim == 3:
        colours = values[..., :3] if values.shape[-1] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise SubjectError("decode", "", "is in colour, where a grey value a label is meant")
        return np.ascontiguousarray(values[..., 0])
    return values
