"""Files into arrays: volumes in canonical orientation, pictures in grey, label maps as integers.

Readers are chosen by the file's suffix. Whatever a file holds, it ends as an array or as one
`SubjectError` that says what is wrong with it.
"""

from __future__ import annotations

import gzip
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.scan import Scan

if TYPE_CHECKING:
    import SimpleITK
    from PIL import Image

Grey = Literal["float", "rounded"]

_VOLUMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".hdr", ".img")
_FREESURFER = (".mgz", ".mgh")
_SHEAR = 1e-3  # largest cosine between two axes of a volume that counts as rounding
_NIFTI_FLOATS = ("16", "64")  # codes of its header for single and double precision
_LARGEST = 1 << 34  # voxels of one scan: more is a damaged or hostile header


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels as the file has them, and where its axes point.

    `voxels` is (k, j, i); `directions` has the unit vectors of i, j, k as its columns, in LPS;
    `spacing` is that of i, j, k in mm.
    """

    voxels: NDArray[Any]
    directions: NDArray[np.float64]
    spacing: tuple[float, ...]


class _Held:
    """The memory of a SimpleITK image for NumPy, uncopied; the array keeps the image alive."""

    def __init__(self, image: SimpleITK.Image) -> None:
        import SimpleITK as sitk

        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def read_scan(path: Path, dimension: int, grey: Grey = "float") -> Scan:
    """Read an image.

    Args:
        path: the file; its suffix says what it is.
        dimension: 3 for a volume, 2 for a picture.
        grey: what becomes of colour, see `Group`.

    Raises:
        SubjectError: the file is damaged, of another dimension, or its axes are not orthonormal.
    """
    if dimension == 3:
        scan = canonical(read_volume(path))
    else:
        pixels = _read_picture(path, lambda picture: _luma(picture, grey))
        scan = Scan(pixels, (1.0, 1.0))
    if scan.voxels.dtype.kind not in "biuf":
        raise SubjectError("read", path.name, f"holds {scan.voxels.dtype} values, not intensities")
    return scan


def read_label_values(path: Path, dimension: int) -> NDArray[Any]:
    """Read an annotation as integers, on axes in canonical order like those of its image.

    A palette picture gives its indices, not its colours.

    Raises:
        SubjectError: as `read_scan`; or the values are not whole numbers, or have several channels.
    """
    if dimension == 3:
        values = canonical(read_volume(path)).voxels
    else:
        values = _read_picture(path, _indices)
    return whole_numbers(values, path)


def read_volume(path: Path) -> Volume:
    """Read a volume on the file's own axes.

    Raises:
        SubjectError: as `read_scan`.
    """
    suffix = suffix_of(path)
    if suffix in _FREESURFER:
        return _read_with_nibabel(path)
    if suffix not in _VOLUMES:
        raise SubjectError("read", path.name, f"no reader for volumes in {suffix or 'no'} files")
    return _read_with_simpleitk(path)


def _read_with_simpleitk(path: Path) -> Volume:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with _blaming(path):
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            if "orthonormal" in str(error):
                return _read_with_nibabel(path)
            raise
        size = list(reader.GetSize())
        _expect_volume(path, size, reader.GetNumberOfComponents())
        _expect_whole(path, reader)
        if _is_nifti_of_floats(reader):
            voxels = _nifti_voxels(path)
        else:
            if len(size) > 3:
                reader.SetExtractSize([*size[:3], *[0] * (len(size) - 3)])
            voxels = np.asarray(_Held(reader.Execute()))
    directions = np.array(reader.GetDirection()).reshape(len(size), len(size))[:3, :3]
    return Volume(voxels, directions, tuple(reader.GetSpacing()[:3]))


def _is_nifti_of_floats(reader: SimpleITK.ImageFileReader) -> bool:
    return reader.HasMetaDataKey("bitpix") and reader.GetMetaData("datatype") in _NIFTI_FLOATS


def _nifti_voxels(path: Path) -> NDArray[Any]:
    """The voxels of NIfTI as they are: ITK makes NaN and infinity 0, and says nothing."""
    import nibabel as nib

    image = nib.load(path)
    return np.asanyarray(image.dataobj).reshape(image.shape[:3]).T


def _read_with_nibabel(path: Path) -> Volume:
    """Read FreeSurfer's formats, and NIfTI whose axes ITK finds a little askew."""
    import nibabel as nib
    from nibabel.affines import voxel_sizes

    with _blaming(path):
        image = nib.load(path)
        _expect_volume(path, list(image.shape), 1)
        voxels = np.asanyarray(image.dataobj).reshape(image.shape[:3])
    spacing = voxel_sizes(image.affine)
    with np.errstate(invalid="ignore", divide="ignore"):  # no spacing, no directions
        directions = np.diag([-1.0, -1.0, 1.0]) @ image.affine[:3, :3] / spacing
    return Volume(voxels.T, directions, tuple(spacing.tolist()))


def _expect_volume(path: Path, size: list[int], components: int) -> None:
    if len(size) < 3 or any(length != 1 for length in size[3:]):
        found = "x".join(str(length) for length in size)
        raise SubjectError(
            "read", path.name, f"has {len(size)} dimensions ({found}), the manifest declares 3"
        )
    if components != 1:
        raise SubjectError("read", path.name, f"has {components} values a voxel, not one")
    if np.prod(size, dtype=np.float64) > _LARGEST:
        raise SubjectError("read", path.name, "its header claims more than 16 billion voxels")


def _expect_whole(path: Path, reader: SimpleITK.ImageFileReader) -> None:
    """Refuse NIfTI that was cut off: ITK takes what is missing for zeros, and says nothing."""
    if not reader.HasMetaDataKey("bitpix"):
        return
    offset, bits = (int(reader.GetMetaData(key)) for key in ("vox_offset", "bitpix"))
    length = offset + math.prod(reader.GetSize()) * bits // 8
    content = path.with_suffix(".img") if suffix_of(path) == ".hdr" else path
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


def canonical(volume: Volume) -> Scan:
    """Turn (k, j, i) into (Z, Y, X): views only, no voxel is copied."""
    from nibabel.orientations import aff2axcodes, io_orientation

    cosines = volume.directions.T @ volume.directions
    skew = float(np.abs(cosines - np.eye(3)).max())
    if not skew < _SHEAR:
        raise SubjectError(
            "read", "", f"its direction matrix is not orthonormal (off by {skew:.3g})"
        )
    affine = np.eye(4)
    affine[:3, :3] = volume.directions
    source, flips = io_orientation(affine).T
    of_world = np.argsort(source)  # which of i, j, k runs along x, y, z
    voxels = volume.voxels.transpose(*(2 - of_world[::-1]))
    voxels = voxels[tuple(slice(None, None, int(flips[axis])) for axis in of_world[::-1])]
    codes = aff2axcodes(affine, (("R", "L"), ("A", "P"), ("I", "S")))
    spacing = tuple(float(volume.spacing[axis]) for axis in of_world[::-1])
    return Scan(voxels, spacing, "".join(codes))


def _read_picture(path: Path, convert: Callable[[Image.Image], NDArray[Any]]) -> NDArray[Any]:
    from PIL import Image

    if suffix_of(path) == ".npy":
        return _read_npy(path)
    with _blaming(path), _opened(path) as file, Image.open(file) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise SubjectError("read", path.name, f"holds {frames} pictures, not one")
        return convert(picture)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _read_npy(path: Path) -> NDArray[Any]:
    with _blaming(path), path.open("rb") as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    if array.ndim != 2:
        raise SubjectError("read", path.name, f"has shape {array.shape}, not (H, W)")
    return array


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
            raise SubjectError("decode", "", "is in colour, where one label value a pixel is meant")
        return np.ascontiguousarray(values[..., 0])
    return values


def whole_numbers(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """Label values as integers, however they were written.

    Raises:
        SubjectError: a value is not within 0.001 of a whole number.
    """
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind != "f":
        raise SubjectError("decode", path.name, f"holds {values.dtype} values, not labels")
    if not np.isfinite(values).all():
        raise SubjectError("decode", path.name, "holds NaN or infinite label values")
    rounded = np.rint(values)
    if np.abs(values - rounded).max(initial=0) > 1e-3:
        broken = values[np.abs(values - rounded) > 1e-3][0]
        raise SubjectError("decode", path.name, f"holds {broken:g}, which is no label value")
    return rounded.astype(np.int32)


def suffix_of(path: Path) -> str:
    """What a file's name says it is, in lower case, with what is under a `.gz`: `.nii.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Whatever a library raises while it reads a file, the file is at fault."""
    try:
        yield
    except SubjectError:
        raise
    except Exception as error:
        raise SubjectError("read", path.name, _reason(error, path)) from error


def _reason(error: Exception, path: Path) -> str:
    """The telling line of a library's message, without its source files and our folders."""
    lines = [line.strip() for line in str(error).replace(f"{path.parent}/", "").splitlines()]
    told = [line for line in lines if line and not line.startswith("Reason: ")]  # errno, unrelated
    line = re.sub(r"^(ITK|sitk::)\s?ERROR: |\w*ImageIO\(0x[0-9a-f]+\): ?", "", (told or [""])[-1])
    if re.match("Unable to determine ImageIO reader|cannot identify image file", line):
        return "is nothing that can be read, whatever its name says"
    return line if " " in line else f"{type(error).__name__}: {line}"
