"""Predictions of volumes as NIfTI files, on the voxels of the volume that was read."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.files.writing import whole_file
from megamedical.reading.formats import suffix_of
from megamedical.reading.volume import Volume, canonical
from megamedical.reading.volumes.nifti import header_of

if TYPE_CHECKING:
    import nibabel as nib

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM's axes point left and back, NIfTI's do not


def write_volume(values: NDArray[Any], volume: Volume, source: Path, target: Path) -> None:
    """Write what was predicted of a volume, in the volume's own geometry.

    Args:
        values: (Z, Y, X) in canonical orientation, as `canonical` gives the volume.
        volume: the volume as it was read.
        source: its file or folder. Of a NIfTI the header is kept as it is, to the last bit.
        target: the `.nii.gz` to write.
    """
    own = np.empty(volume.voxels.shape, dtype=values.dtype)
    canonical(replace(volume, voxels=own)).voxels[...] = values  # a view, so it lands in place
    image = _in_geometry_of(volume, source, own)
    with whole_file(target) as path:
        path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _in_geometry_of(volume: Volume, source: Path, own: NDArray[Any]) -> nib.Nifti1Image:
    import nibabel as nib

    if suffix_of(source) not in (".nii", ".nii.gz"):
        return nib.Nifti1Image(own.T, _affine(volume), dtype=own.dtype)
    header = header_of(source)
    header.set_data_dtype(own.dtype)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    return kind(own.T, None, header)


def _affine(volume: Volume) -> NDArray[np.float64]:
    """From voxels (i, j, k) to mm (right, anterior, superior)."""
    affine = np.eye(4)
    affine[:3, :3] = volume.directions * volume.spacing
    affine[:3, 3] = volume.origin
    return _TO_RAS @ affine
