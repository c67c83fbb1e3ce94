"""NIfTI, in one file or in two, and what is older and looks like it: Analyze."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Grey, Part, Reader
from megamedical.reading.luma import one_value_a_pixel
from megamedical.reading.volume import Volume, from_ras
from megamedical.reading.volumes.claims import expect_volume
from megamedical.reading.volumes.itk import opened, voxels_of, with_voxels

if TYPE_CHECKING:
    import SimpleITK

_FLOATS = ("16", "64")  # codes of its header for single and double precision


class NiftiReader(Reader):
    """NIfTI: a volume, several on one grid, or a picture."""

    dimension: ClassVar[Literal[2, 3]] = 3

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        if channel is not None:
            return _channel(path, channel)
        reader = opened(path, "NiftiImageIO")
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            if "orthonormal" in str(error):
                return _askew(path)
            raise
        expect_volume(path, reader.GetSize(), reader.GetNumberOfComponents())
        _expect_whole(path, reader)
        if reader.HasMetaDataKey("bitpix") and reader.GetMetaData("datatype") in _FLOATS:
            return with_voxels(reader, _voxels(path))
        return with_voxels(reader, voxels_of(reader))

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        del grey
        return one_value_a_pixel(self.part(path, Part()), path)

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        import nibabel as nib

        del part
        return np.squeeze(np.asanyarray(nib.load(path).dataobj)).T


def _channel(path: Path, channel: int) -> Volume:
    import nibabel as nib

    image = nib.load(path)
    if len(image.shape) != 4 or channel >= image.shape[3]:
        raise SubjectError("read", path.name, f"has no channel {channel}: it is {image.shape}")
    return from_ras(np.asanyarray(image.dataobj[..., channel]), image.affine)


def _voxels(path: Path) -> NDArray[Any]:
    """The voxels as they are: ITK makes NaN and infinity 0, and says nothing."""
    import nibabel as nib

    image = nib.load(path)
    return np.asanyarray(image.dataobj).reshape(image.shape[:3]).T


def _askew(path: Path) -> Volume:
    """What ITK finds a little askew."""
    import nibabel as nib

    image = nib.load(path)
    expect_volume(path, image.shape, 1)
    return from_ras(np.asanyarray(image.dataobj).reshape(image.shape[:3]), image.affine)


def _expect_whole(path: Path, reader: SimpleITK.ImageFileReader) -> None:
    """Refuse NIfTI that was cut off: ITK takes what is missing for zeros, and says nothing."""
    if not reader.HasMetaDataKey("bitpix"):
        return
    offset, bits = (int(reader.GetMetaData(key)) for key in ("vox_offset", "bitpix"))
    length = offset + math.prod(reader.GetSize()) * bits // 8
    content = path.with_suffix(".img") if path.suffix.lower() == ".hdr" else path
    with content.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        found = file.seek(-4, os.SEEK_END) + 4
        unpacked = int.from_bytes(file.read(4), "little")  # modulo 2^32, if nothing is cut off
    if packed and unpacked == length % (1 << 32):
        return
    if packed:
        with gzip.open(content) as unzipped:
            found = unzipped.seek(length)
    if found < length:
        raise SubjectError("read", path.name, f"is cut off: {found} bytes of {length}")
