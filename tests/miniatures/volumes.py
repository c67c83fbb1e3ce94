"""Volumes in the formats of the datasets, from voxels (X, Y, Z) to the left, back and head."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

Spacing = tuple[float, float, float]
CUBES: Spacing = (1.0, 1.0, 1.0)


def turned(
    voxels: NDArray, axes: str, spacing: Spacing = CUBES, tilt: float = 0.0
) -> nibabel.Nifti1Image:
    """An image whose axes point as nibabel says, `RAS`, tilted by an angle in degrees."""
    angle = np.radians(tilt)
    rotation = np.eye(4)
    rotation[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = rotation @ np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    affine[:3, 3] = (12.0, -7.0, 30.0)
    image = nibabel.Nifti1Image(voxels, affine, dtype=voxels.dtype)
    wanted = nibabel.orientations.axcodes2ornt(axes)
    now = nibabel.orientations.axcodes2ornt("LPS")
    return image.as_reoriented(nibabel.orientations.ornt_transform(now, wanted))


def nifti(voxels: NDArray, axes: str = "LAS", spacing: Spacing = CUBES, tilt: float = 0.0) -> bytes:
    """A .nii; as .nii.gz through `zipped`."""
    return turned(voxels, axes, spacing, tilt).to_bytes()


def zipped(content: bytes) -> bytes:
    """A .gz."""
    return gzip.compress(content, compresslevel=1, mtime=0)


def channels(volumes: list[NDArray], axes: str = "LAS") -> bytes:
    """A .nii of four dimensions: several volumes of one grid."""
    each = [turned(volume, axes) for volume in volumes]
    stacked = np.stack([np.asanyarray(image.dataobj) for image in each], axis=-1)
    return nibabel.Nifti1Image(stacked, each[0].affine).to_bytes()


def mgz(voxels: NDArray, axes: str = "LIA") -> bytes:
    """A .mgz as FreeSurfer conforms it."""
    image = turned(voxels, axes)
    data = np.asanyarray(image.dataobj)
    return zipped(nibabel.MGHImage(data, image.affine).to_bytes())


def by_itk(
    path: str, voxels: NDArray, axes: str = "LPS", spacing: Spacing = CUBES, *, packed: bool = False
) -> dict[str, bytes]:
    """A .mha, .nrrd, or .mhd with its .raw or .zraw: files by path."""
    import SimpleITK as sitk

    image = turned(voxels, axes, spacing)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    made = sitk.GetImageFromArray(np.asanyarray(image.dataobj).transpose(2, 1, 0))
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    made.SetSpacing(lengths.tolist())
    made.SetOrigin(affine[:3, 3].tolist())
    made.SetDirection((affine[:3, :3] / lengths).ravel().tolist())
    folder, _, name = path.rpartition("/")
    with tempfile.TemporaryDirectory() as temporary:
        sitk.WriteImage(made, f"{temporary}/{name}", useCompression=packed)
        return {
            f"{folder}/{file.name}".lstrip("/"): file.read_bytes()
            for file in sorted(Path(temporary).iterdir())
        }
