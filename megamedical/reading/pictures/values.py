"""What the pixels of a picture mean: grey values of an image, or values of labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Grey
from megamedical.reading.pictures.depth import as_written, expect_shallow_colours

if TYPE_CHECKING:
    from PIL import Image

_SIGNED = 2  # the sample format of TIFF
_BITS, _PHOTOMETRIC, _DESCRIPTION, _FORMAT = 258, 262, 270, 339  # its tags
_NO_RGB = ("CMYK", "YCbCr", "LAB", "HSV")
_WITH_COLOUR = ("RGB", "P", "RGBA", "CMYK", "YCbCr", "LA", "PA")


def values_of(picture: Image.Image) -> NDArray[Any]:
    """The values of a picture as its file means them, (H, W) or (H, W, C).

    A palette of greys gives these, as every viewer shows them; one of colours gives its indices.
    Values of TIFF are signed, and bright where white is zero, which Pillow sees to for 8 bits only.

    Raises:
        SubjectError: it has colours of more than 8 bits, of which Pillow would lose some.
    """
    expect_shallow_colours(picture)
    shades, written = _greys_of(picture), as_written(picture)
    tags = getattr(picture, "tag_v2", {})
    picture.load()
    values = written(np.asarray(_upright(picture)))
    if shades is not None:
        return shades[values] if picture.mode == "P" else shades[values[..., 0]]
    bits = tags.get(_BITS, (0,))[0]
    is_signed = _SIGNED in _listed(tags.get(_FORMAT))
    if values.dtype == np.uint8 and is_signed:
        return values.view(np.int8)
    if values.dtype == np.int32 and bits == 32 and not is_signed and tags.get(_FORMAT):
        return values.view(np.uint32)
    if bits > 8 and tags.get(_PHOTOMETRIC) == 0:
        if values.dtype.kind != "u":
            raise SubjectError("read", "", "has white at zero, and values that may be below it")
        values = (1 << bits) - 1 - values
    return _calibrated(values, str(tags.get(_DESCRIPTION, "")))


def _calibrated(values: NDArray[Any], note: str) -> NDArray[Any]:
    """Values in the unit that ImageJ gives them by a straight line, as it does what has a sign."""
    said = dict(line.split("=", 1) for line in note.splitlines() if "=" in line)
    if not note.startswith("ImageJ=") or said.get("cf") != "0" or not {"c0", "c1"} <= said.keys():
        return values
    intercept, slope = float(said["c0"]), float(said["c1"])
    if not (np.isfinite(intercept) and np.isfinite(slope) and slope):
        raise SubjectError("read", "", f"is calibrated by a slope of {said['c1']}")
    if slope == 1 and intercept.is_integer() and values.dtype.kind in "iu":
        return values.astype(np.int64) + int(intercept)
    return values * slope + intercept


def colours_of(picture: Image.Image) -> NDArray[Any]:
    """As `values_of`, but with red, green and blue for colours, whatever they are stored as.

    Raises:
        SubjectError: as `values_of`.
    """
    is_of_colours = picture.mode in ("P", "PA") and _greys_of(picture) is None
    if not is_of_colours and picture.mode not in _NO_RGB:
        return values_of(picture)
    expect_shallow_colours(picture)
    return np.asarray(_upright(picture).convert("RGB"))


def in_grey(picture: Image.Image, grey: Grey) -> NDArray[Any]:
    """Grey values of a picture: colour by the luma of ITU-R 601-2."""
    if picture.mode in ("1", "L", "I", "F") or picture.mode.startswith("I;16"):
        return values_of(picture)
    if picture.mode not in _WITH_COLOUR:
        raise SubjectError("read", "", f"has pictures of mode {picture.mode}")
    expect_shallow_colours(picture)
    return _luma(_upright(picture), grey)


def as_labels(picture: Image.Image) -> NDArray[Any]:
    """Label values of a picture (H, W); booleans where it has one bit a pixel.

    Raises:
        SubjectError: it is in colour, or hides pixels that have a value.
    """
    has_alpha = picture.mode in ("RGBA", "LA")
    values = colours_of(picture) if picture.mode in _NO_RGB else values_of(picture)
    labels = _one_channel(values)
    if has_alpha and labels[values[..., -1] == 0].any():
        raise SubjectError(
            "decode",
            "",
            "hides pixels that have a value: save it without alpha, or name the mask's channel",
        )
    return labels


def grey_of(pixels: NDArray[np.uint8], grey: Grey) -> NDArray[Any]:
    """Colours (H, W, 3) in grey."""
    from PIL import Image

    return _luma(Image.fromarray(pixels), grey)


def indices_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """Colours (H, W, 3) that are all grey, as label values (H, W).

    Raises:
        SubjectError: they are colours.
    """
    return _one_channel(pixels)


def _luma(picture: Image.Image, grey: Grey) -> NDArray[Any]:
    return np.asarray(picture.convert("RGB").convert("F" if grey == "float" else "L"))


def _one_channel(values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim == 3:
        colours = values[..., :3] if values.shape[-1] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise SubjectError("decode", "", "is in colour, where a grey value a label is meant")
        return np.ascontiguousarray(values[..., 0])
    return values


def _greys_of(picture: Image.Image) -> NDArray[np.uint8] | None:
    """The grey of each index, where a palette has nothing but greys."""
    if picture.mode not in ("P", "PA"):
        return None
    entries = np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    if (entries != entries[:, :1]).any():
        return None
    shades = np.zeros(256, dtype=np.uint8)
    shades[: len(entries)] = entries[:, 0]
    return shades


def _upright(picture: Image.Image) -> Image.Image:
    """A picture as viewers show it, and as its annotators saw it: its EXIF may turn it."""
    from PIL import ExifTags, ImageOps

    if picture.getexif().get(ExifTags.Base.Orientation, 1) == 1:
        return picture
    return ImageOps.exif_transpose(picture)


def _listed(said: Any) -> tuple[int, ...]:  # noqa: ANN401  (one number or several)
    return tuple(said) if isinstance(said, tuple) else (said,)
