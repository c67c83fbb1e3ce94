"""Files that hold more than one image: a part of them is meant, by name, number or channel.

`.mat`, `.h5` and `.npz` hold arrays by name, a TIFF or `.npy` may hold many pictures one after the
other, a video its frames, a NIfTI file several volumes of one grid or a picture, and a JSON file
run lengths of masks by label.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.library_errors import blaming
from megamedical.reading.luma import luma
from megamedical.reading.video import count_frames, is_video, read_frame
from megamedical.reading.volume import Volume

_HDF5 = (".h5", ".hdf5")
_TIFF = (".tif", ".tiff")
_TO_LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS, which nibabel speaks
_LARGEST = 1 << 34  # pixels of one mask: more is a damaged or hostile header


@dataclass(frozen=True)
class Part:
    """What is meant of a file: an array by name, one of its pictures, one of its channels.

    Pictures are counted from 0 along the first axis, channels from 0 along the last; `any` is the
    brightest of the colours.
    """

    array: str = ""
    frame: int | None = None
    channel: int | Literal["any"] | None = None


def count_pictures(path: Path, array: str = "") -> int:
    """How many pictures a file holds, one after the other.

    Raises:
        SubjectError: the file is damaged, or holds no array of that name.
    """
    with blaming(path):
        if is_video(path):
            return count_frames(path)
        if path.suffix.lower() in _TIFF:
            from PIL import Image

            with Image.open(path) as picture:
                return int(getattr(picture, "n_frames", 1))
        return int(_shape(path, array)[0])


def told_of_pictures(path: Path, array: str) -> list[str]:
    """What an array of a file tells of each of its pictures, as text.

    Raises:
        SubjectError: the file is damaged, or holds no array of that name.
    """
    with blaming(path):
        told = _pixels(path, Part(array)).tolist()
    return [each.decode() if isinstance(each, bytes) else str(each) for each in told]


def has_entry(path: Path, entry: str) -> bool:
    """Whether a JSON file of run lengths says something of an image.

    Raises:
        SubjectError: the file is damaged.
    """
    with blaming(path):
        return entry in _entries(path, path.stat().st_mtime_ns)


def read_picture_part(path: Path, part: Part) -> NDArray[Any]:
    """One picture of a file, (H, W); colours (H, W, 3) become grey unless a channel is meant.

    Raises:
        SubjectError: the file is damaged, has no such part, or the part is no picture.
    """
    with blaming(path):
        pixels = _pixels(path, part)
    if part.channel == "any" and pixels.ndim == 3:
        pixels = pixels[..., :3].max(axis=-1) if pixels.shape[-1] > 2 else pixels[..., 0]
    elif part.channel is not None and part.channel != "any" and pixels.ndim == 3:
        if part.channel >= pixels.shape[-1]:
            raise SubjectError("read", path.name, f"has no channel {part.channel}")
        pixels = pixels[..., part.channel]
    if pixels.ndim == 3 and pixels.shape[-1] == 3:
        pixels = luma(pixels)
    if pixels.ndim != 2:
        raise SubjectError("read", path.name, f"has shape {pixels.shape} there, not (H, W)")
    return np.ascontiguousarray(pixels)


def read_volume_part(path: Path, channel: int) -> Volume:
    """One of the volumes of a NIfTI file that holds several of one grid.

    Raises:
        SubjectError: the file is damaged, or holds no such volume.
    """
    import nibabel as nib
    from nibabel.affines import voxel_sizes

    with blaming(path):
        image = nib.load(path)
        if len(image.shape) != 4 or channel >= image.shape[3]:
            raise SubjectError("read", path.name, f"has no channel {channel}: it is {image.shape}")
        voxels = np.asanyarray(image.dataobj[..., channel])
    spacing = voxel_sizes(image.affine)
    directions = _TO_LPS @ image.affine[:3, :3] / spacing
    origin = _TO_LPS @ image.affine[:3, 3]
    return Volume(voxels.T, directions, tuple(spacing.tolist()), tuple(origin.tolist()))


def read_run_lengths(path: Path, entry: str, label: str) -> NDArray[np.bool_]:
    """The mask (H, W) of a label in the entry of an image, as COCO writes run lengths.

    Raises:
        SubjectError: the file has no such entry, or what it says is no mask.
    """
    with blaming(path):
        entries = _entries(path, path.stat().st_mtime_ns)
        if entry not in entries:
            raise SubjectError("decode", path.name, f"says nothing of {entry}")
        said = entries[entry].get(label)
        if said is None:
            raise SubjectError("decode", path.name, f"says nothing of {label} in {entry}")
        height, width = (int(side) for side in said["size"])
        runs = said["counts"]
        if isinstance(runs, str):
            runs = _numbers(runs)
        if not 0 < height * width <= _LARGEST or sum(runs) != height * width or min(runs) < 0:
            raise SubjectError("decode", path.name, f"has runs of {entry} that miss its size")
        values = np.arange(len(runs)) % 2 == 1  # the first run is background
        return np.repeat(values, runs).reshape(width, height).T


@lru_cache(maxsize=1)  # one file says it of all images
def _entries(path: Path, _changed: int) -> dict[str, dict[str, Any]]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _numbers(text: str) -> list[int]:
    """COCO's short form: five bits a letter, lowest first; from the fourth on, differences."""
    numbers: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:  # the last letter of this number
            if bits & 16:
                value -= 1 << shift
            numbers.append(value + numbers[-2] if len(numbers) > 2 else value)
            value = shift = 0
    return numbers


def _shape(path: Path, array: str) -> tuple[int, ...]:
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        import h5py

        with h5py.File(path, "r") as file:
            return tuple(file[array].shape)
    if suffix == ".npy":
        return np.load(path, mmap_mode="r", allow_pickle=False).shape
    return _named(path, array).shape


def _pixels(path: Path, part: Part) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        import h5py

        with h5py.File(path, "r") as file:
            found = file[part.array]
            return np.asarray(found[() if part.frame is None else part.frame])
    if suffix in (".mat", ".npz"):
        found = _named(path, part.array)
        return found if part.frame is None else found[part.frame]
    if suffix == ".npy":
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        return np.asarray(stored if part.frame is None else stored[part.frame])
    if path.name.lower().endswith((".nii", ".nii.gz")):
        import nibabel as nib

        return np.squeeze(np.asanyarray(nib.load(path).dataobj)).T
    if is_video(path) and part.frame is not None:
        return read_frame(path, part.frame)
    from PIL import Image

    with Image.open(path) as picture:
        if part.frame is not None:
            picture.seek(part.frame)
        return np.asarray(picture)


def _named(path: Path, array: str) -> NDArray[Any]:
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return np.asarray(arrays[array])
    from scipy.io import loadmat

    return np.asarray(loadmat(path, variable_names=[array])[array])
