"""Predictions of volumes as NIfTI files, on the voxels of the volume that was read."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.location import whole_file
from megamedical.reading import canonical, read_volume, suffix_of

if TYPE_CHECKING:
    import nibabel as nib

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's axes point left and back, NIfTI's do not


def write_volume(values: NDArray[Any], source: Path, target: Path) -> None:
    """Write what was predicted of a volume, in the volume's own geometry.

    Args:
        values: (Z, Y, X) in canonical orientation, as `read_scan` gives the volume.
        source: the volume's file. Of a NIfTI the header is kept as it is, to the last bit.
        target: the `.nii.gz` to write.
    """
    image = _in_geometry_of(source, _in_own_axes(values, source))
    with whole_file(target) as path:
        path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _in_own_axes(values: NDArray[Any], source: Path) -> NDArray[Any]:
    """(Z, Y, X) in canonical orientation as (k, j, i) of the file.

    The canonical array is a view of the file's own: what is written to the view lands in place.
    """
    volume = read_volume(source)
    own = np.empty(volume.voxels.shape, dtype=values.dtype)
    canonical(replace(volume, voxels=own)).voxels[...] = values
    return own


def _in_geometry_of(source: Path, own: NDArray[Any]) -> nib.Nifti1Image:
    import nibabel as nib

    if suffix_of(source) not in (".nii", ".nii.gz"):
        return nib.Nifti1Image(own.T, _affine(source), dtype=own.dtype)
    original = nib.load(source)
    header = original.header.copy()
    header.set_data_dtype(own.dtype)
    return type(original)(own.T, None, header)


def _affine(source: Path) -> NDArray[np.float64]:
    """From voxels (i, j, k) to mm (right, anterior, superior), as the file's header has it."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(source))
    reader.ReadImageInformation()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    affine[:3, 3] = reader.GetOrigin()
    return _TO_RAS @ affine
