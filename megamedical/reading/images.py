"""Files into arrays: volumes in canonical orientation, pictures in grey, label maps as integers.

Readers are chosen by the file's suffix, and DICOM is known by its content too. Whatever a file
holds, it ends as an array or as one `SubjectError` that says what is wrong with it.
"""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.dicom import is_dicom, read_dicom_picture, read_series, series_of
from megamedical.reading.library_errors import blaming
from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume, canonical

if TYPE_CHECKING:
    import SimpleITK
    from PIL import Image

Grey = Literal["float", "rounded"]

_VOLUMES = {
    **dict.fromkeys((".nii", ".nii.gz", ".hdr", ".img"), "NiftiImageIO"),
    **dict.fromkeys((".mha", ".mhd"), "MetaImageIO"),
    **dict.fromkeys((".nrrd", ".nhdr"), "NrrdImageIO"),
}
_FREESURFER = (".mgz", ".mgh")
_TO_LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS, which nibabel speaks
_NIFTI_FLOATS = ("16", "64")  # codes of its header for single and double precision
_LARGEST = 1 << 34  # voxels of one scan: more is a damaged or hostile header


class _Held:
    """The memory of a SimpleITK image for NumPy, uncopied; the array keeps the image alive."""

    def __init__(self, image: SimpleITK.Image) -> None:
        import SimpleITK as sitk

        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


def read_scan(path: Path, dimension: int, grey: Grey = "float") -> Scan:
    """Read an image.

    Args:
        path: the file, whose suffix says what it is, or the folder of a DICOM series.
        dimension: 3 for a volume, 2 for a picture.
        grey: what becomes of colour, see `Group`.

    Raises:
        SubjectError: the file is damaged, of another dimension, or its axes are not orthonormal.
    """
    if dimension == 3:
        return scan_of(read_volume(path), path)
    pixels = _read_picture(path, lambda picture: _luma(picture, grey))
    _expect_intensities(pixels, path)
    return Scan(pixels, (1.0, 1.0))


def scan_of(volume: Volume, path: Path) -> Scan:
    """A volume that was read from a path, as `read_scan` gives it.

    Raises:
        SubjectError: its axes are not orthonormal, or what it holds are no intensities.
    """
    _expect_intensities(volume.voxels, path)
    return canonical(volume)


def _expect_intensities(voxels: NDArray[Any], path: Path) -> None:
    if voxels.dtype.kind not in "biuf":
        raise SubjectError("read", path.name, f"holds {voxels.dtype} values, not intensities")


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
    """Read a volume on its own axes: a file, or a folder that holds one DICOM series.

    Raises:
        SubjectError: as `read_scan`.
    """
    suffix = suffix_of(path)
    if path.is_dir():
        return read_series(series_of(path))
    if suffix in _FREESURFER:
        return _read_with_nibabel(path)
    if suffix in _VOLUMES:
        return _read_with_simpleitk(path)
    if is_dicom(path):
        return read_series(series_of(path))
    raise SubjectError("read", path.name, f"no reader for volumes in {suffix or 'no'} files")


def _read_with_simpleitk(path: Path) -> Volume:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_VOLUMES[suffix_of(path)])  # or a DICOM file of this name would go to GDCM
    reader.SetFileName(str(path))
    with blaming(path):
        path.stat()  # of a file that is not there, ITK says that its format is wrong
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
    return Volume(voxels, directions, tuple(reader.GetSpacing()[:3]), tuple(reader.GetOrigin()[:3]))


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

    with blaming(path):
        image = nib.load(path)
        _expect_volume(path, list(image.shape), 1)
        voxels = np.asanyarray(image.dataobj).reshape(image.shape[:3])
    spacing = voxel_sizes(image.affine)
    with np.errstate(invalid="ignore", divide="ignore"):  # no spacing, no directions
        directions = _TO_LPS @ image.affine[:3, :3] / spacing
    origin = _TO_LPS @ image.affine[:3, 3]
    return Volume(voxels.T, directions, tuple(spacing.tolist()), tuple(origin.tolist()))


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


def _read_picture(path: Path, convert: Callable[[Image.Image], NDArray[Any]]) -> NDArray[Any]:
    from PIL import Image

    if suffix_of(path) == ".npy":
        return _read_npy(path)
    if is_dicom(path):
        pixels = read_dicom_picture(path)
        return convert(Image.fromarray(pixels)) if pixels.ndim == 3 else pixels
    with blaming(path), _opened(path) as file, Image.open(file) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise SubjectError("read", path.name, f"holds {frames} pictures, not one")
        return convert(picture)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _read_npy(path: Path) -> NDArray[Any]:
    with blaming(path), path.open("rb") as file:
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
            raise SubjectError("decode", "", "is in colour, where a grey value a label is meant")
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
