"""Volumes: nibabel and ITK write them, and are asked what a damaged one shows."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from damaged.kind import Kind, Shown
from megamedical.reading import read_volume

_VOXELS = np.random.default_rng(7).integers(0, 1000, (9, 10, 11)).astype(np.int16)


def read(path: Path) -> Shown:
    volume = read_volume(path)
    place = (volume.spacing, volume.origin, volume.directions)
    return Shown(volume.voxels, tuple(np.asarray(each) for each in place))


def _by_nibabel(kind: type, half: str = "") -> Kind:
    def write(path: Path) -> None:
        nib.save(kind(_VOXELS.T, np.diag([-0.5, -1.5, 3.0, 1.0])), path)

    return Kind(write, read, _as_nibabel_reads, half=half)


def _by_itk(half: str = "", *, packed: bool = False) -> Kind:
    def write(path: Path) -> None:
        image = sitk.GetImageFromArray(_VOXELS)
        image.SetSpacing((0.5, 1.5, 3.0))
        sitk.WriteImage(image, path, useCompression=packed)

    return Kind(write, read, as_itk_reads, half=half)


def _in_bzip2(path: Path) -> None:
    KINDS["packed.nrrd"].write(path)
    head, _, body = path.read_bytes().partition(b"\n\n")
    body = bz2.compress(gzip.decompress(body))
    path.write_bytes(head.replace(b"gzip", b"bzip2") + b"\n\n" + body)


def _as_nibabel_reads(path: Path) -> NDArray[Any]:
    image = nib.load(path)
    return np.asanyarray(image.dataobj).reshape(image.shape[:3]).T


def as_itk_reads(path: Path) -> NDArray[Any]:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


KINDS = {
    "a.nii": _by_nibabel(nib.Nifti1Image),
    "a.nii.gz": _by_nibabel(nib.Nifti1Image),
    "two.nii": _by_nibabel(nib.Nifti2Image),
    "two.nii.gz": _by_nibabel(nib.Nifti2Image),
    "a.hdr": _by_nibabel(nib.Nifti1Pair, "a.img"),
    "a.mgh": _by_nibabel(nib.MGHImage),
    "a.mgz": _by_nibabel(nib.MGHImage),
    "a.mha": _by_itk(),
    "packed.mha": _by_itk(packed=True),
    "a.mhd": _by_itk("a.raw"),
    "a.nrrd": _by_itk(),
    "packed.nrrd": _by_itk(packed=True),
    "bzip2.nrrd": Kind(_in_bzip2, read, as_itk_reads),
    "a.nhdr": _by_itk("a.raw"),
}
