"""Pictures: Pillow writes them; ITK, and FFmpeg for GIF, say what a damaged one shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from damaged.kind import Kind
from damaged.volumes import as_itk_reads

_SMOOTH = gaussian_filter(np.random.default_rng(7).normal(size=(40, 50)), 3)
_UNIT = (_SMOOTH - _SMOOTH.min()) / np.ptp(_SMOOTH)
GREYS = (_UNIT * 255).astype(np.uint8)
_DEEP = (_UNIT * 65535).astype(np.uint16)
_PHOTOMETRIC = 262  # a tag of TIFF
_LUMA = (0.299, 0.587, 0.114)  # of ITU-R 601-2


def _written(pixels: NDArray[Any] = GREYS, **options: Any) -> Kind:
    def write(path: Path) -> None:
        Image.fromarray(pixels).save(path, **options)

    return Kind(write, independent=_by_itk, apart=0.5)


def _by_itk(path: Path) -> NDArray[Any]:
    """As ITK reads it, which does not turn what is white at zero."""
    values = as_itk_reads(path)
    if values.ndim == 3:
        return values[..., :3] @ _LUMA
    with Image.open(path) as picture:
        if getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
            return np.iinfo(values.dtype).max - values
    return values


def _by_ffmpeg(path: Path) -> NDArray[Any]:
    with av.open(str(path)) as container:
        (frame,) = container.decode(video=0)
        return frame.to_ndarray(format="rgb24") @ _LUMA


KINDS = {
    "a.png": _written(),
    "deep.png": _written(_DEEP),
    "bit.png": _written(_UNIT > 0.5),
    "a.jpg": _written(),
    "progressive.jpg": _written(progressive=True),
    "a.tif": _written(),
    "deep.tif": _written(_DEEP),
    "lzw.tif": _written(compression="tiff_lzw"),
    "deflate.tif": _written(compression="tiff_adobe_deflate"),
    "packbits.tif": _written(compression="packbits"),
    "jpeg.tif": _written(compression="jpeg"),
    "a.bmp": _written(),
    "a.gif": Kind(_written().write, independent=_by_ffmpeg, apart=0.5),
}
