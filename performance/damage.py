"""Damaged files of all formats of volumes: each is refused by name, or what it shows is right.

    python performance/damage.py [--count 1000] [--seed 0]

A whole file is cut off, has a byte changed in its header, its voxels or its checksum, two lengths
swapped, a stretch zeroed, or something appended. What comes of it is one of

  refused   a `SubjectError` that names the file
  unseen    the voxels, spacing and place of the whole file
  as said   the file is whole and says something else, as an independent reader finds too: most
            fields of headers, and voxels that are not packed, have no checksum
  wrong     anything else
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading import read_volume
from megamedical.reading.volume import Volume

OUTCOMES = ("refused", "unseen", "as said", "wrong")
SHAPE = (9, 10, 11)
_VOXELS = np.random.default_rng(7).integers(0, 1000, SHAPE).astype(np.int16)

Writer = Callable[[Path], None]


def _nibabel(kind: type, path: Path) -> None:
    nib.save(kind(_VOXELS.T, np.diag([-0.5, -1.5, 3.0, 1.0])), path)


def _itk(path: Path, *, packed: bool = False) -> None:
    image = sitk.GetImageFromArray(_VOXELS)
    image.SetSpacing((0.5, 1.5, 3.0))
    sitk.WriteImage(image, path, useCompression=packed)


def _in_bzip2(path: Path) -> None:
    _itk(path, packed=True)
    head, _, body = path.read_bytes().partition(b"\n\n")
    body = bz2.compress(gzip.decompress(body))
    path.write_bytes(head.replace(b"gzip", b"bzip2") + b"\n\n" + body)


# By the name of the file that is damaged; what is read is the same file, or a header beside it.
WRITERS: dict[str, Writer] = {
    "a.nii": lambda path: _nibabel(nib.Nifti1Image, path),
    "a.nii.gz": lambda path: _nibabel(nib.Nifti1Image, path),
    "two.nii": lambda path: _nibabel(nib.Nifti2Image, path),
    "two.nii.gz": lambda path: _nibabel(nib.Nifti2Image, path),
    "a.hdr": lambda path: _nibabel(nib.Nifti1Pair, path),
    "a.mgh": lambda path: _nibabel(nib.MGHImage, path),
    "a.mgz": lambda path: _nibabel(nib.MGHImage, path),
    "a.mha": _itk,
    "packed.mha": lambda path: _itk(path, packed=True),
    "a.mhd": _itk,
    "a.nrrd": _itk,
    "packed.nrrd": lambda path: _itk(path, packed=True),
    "bzip2.nrrd": _in_bzip2,
    "a.nhdr": _itk,
}
_WITH_HALF = {"a.hdr": "a.img", "a.mhd": "a.raw", "a.nhdr": "a.raw"}


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A file, damaged in one of the ways in which files are."""
    found = bytearray(content)
    way = rng.integers(8)
    if way == 0:
        return content[: rng.integers(len(content))]
    if way == 1:
        return content + rng.bytes(int(rng.integers(1, 2000)))
    if way == 2:
        begin = int(rng.integers(len(content)))
        stretch = slice(begin, begin + int(rng.integers(1, 600)))
        found[stretch] = bytes(len(found[stretch]))
    elif way == 3:  # two lengths, where NIfTI has them
        found[42:44], found[44:46] = found[44:46], found[42:44]
    elif way == 4:  # a checksum
        found[-int(rng.integers(1, 9))] ^= int(rng.integers(1, 256))
    else:  # a byte of the header, half of the time
        among = min(len(content), 400) if way < 7 else len(content)
        found[rng.integers(among)] ^= int(rng.integers(1, 256))
    return bytes(found)


def outcome(path: Path, whole: Volume) -> str:
    """What comes of a damaged file."""
    try:
        read = read_volume(path)
    except SubjectError as error:
        return "refused" if error.file == path.name and error.reason else "wrong"
    except Exception:
        return "wrong"
    if _are_same(read, whole):
        return "unseen"
    other = _independent(path)
    return "as said" if other is not None and _show_the_same(read, other) else "wrong"


def _are_same(one: Volume, other: Volume) -> bool:
    return np.array_equal(one.voxels, other.voxels, equal_nan=True) and all(
        np.allclose(getattr(one, what), getattr(other, what), equal_nan=True)
        for what in ("spacing", "origin", "directions")
    )


def _show_the_same(one: Volume, other: NDArray[Any]) -> bool:
    return one.voxels.shape == other.shape and np.allclose(
        one.voxels, other, rtol=1e-6, equal_nan=True
    )


def _independent(path: Path) -> NDArray[Any] | None:
    """The voxels, as nibabel or ITK have them."""
    try:
        if path.suffix in (".mha", ".mhd", ".nrrd", ".nhdr"):
            return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        image = nib.load(path)
        return np.asanyarray(image.dataobj).reshape(image.shape[:3]).T
    except Exception:
        return None


def measure(count: int, seed: int) -> dict[str, Counter[str]]:
    """How often each outcome comes, by the name of the file."""
    rng = np.random.default_rng(seed)
    found: dict[str, Counter[str]] = {name: Counter() for name in WRITERS}
    with tempfile.TemporaryDirectory() as place:
        for name, write in WRITERS.items():
            folder = Path(place, name)
            folder.mkdir()
            path = folder / name
            write(path)
            whole = read_volume(path)
            halves = [path, *(folder / half for half in [_WITH_HALF.get(name)] if half)]
            contents = {half: half.read_bytes() for half in halves}
            for _ in range(-(-count // len(WRITERS))):
                hurt = halves[int(rng.integers(len(halves)))]
                hurt.write_bytes(damaged(contents[hurt], rng))
                result = outcome(path, whole)
                found[name][result] += 1
                if result == "wrong":
                    hurt.rename(folder / f"wrong-{found[name]['wrong']}-{hurt.name}")
                hurt.write_bytes(contents[hurt])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    found = measure(options.count, options.seed)
    print(f"{'format':12s}" + "".join(f"{outcome:>9s}" for outcome in OUTCOMES))
    for name, counted in [*found.items(), ("all", sum(found.values(), Counter()))]:
        print(f"{name:12s}" + "".join(f"{counted[outcome]:9d}" for outcome in OUTCOMES))


if __name__ == "__main__":
    main()
