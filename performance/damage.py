"""Damaged files of all formats: each is refused by name, or what it shows is right.

    python performance/damage.py [--count 1000] [--seed 0] [--keep wrong]

A whole file is cut off, has a byte changed in its header, its voxels or its checksum, two lengths
swapped, a stretch zeroed, or something appended. What comes of it is one of

  refused   a `SubjectError` that names the file
  unseen    the values, spacing and place of the whole file
  as said   the file is whole and says something else, as another reader finds too: most fields of
            headers, and values that are not packed, have no checksum
  wrong     anything else

The formats are in `damaged/`, with the other readers.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from damaged import arrays, dicom, pictures, volumes
from damaged.kind import Kind, Shown

from megamedical.errors import SubjectError

OUTCOMES = ("refused", "unseen", "as said", "wrong")
KINDS: dict[str, Kind] = {**volumes.KINDS, **dicom.KINDS, **pictures.KINDS, **arrays.KINDS}


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


def outcome(kind: Kind, path: Path, whole: Shown) -> str:
    """What comes of a damaged file."""
    try:
        read = kind.read(path)
    except SubjectError as error:
        return "refused" if error.file == path.name and error.reason else "wrong"
    except Exception:
        return "wrong"
    if np.array_equal(read.values, whole.values, equal_nan=True) and all(
        np.allclose(one, other, equal_nan=True)
        for one, other in zip(read.place, whole.place, strict=True)
    ):
        return "unseen"
    return "as said" if _is_confirmed(kind, path, read) else "wrong"


def _is_confirmed(kind: Kind, path: Path, read: Shown) -> bool:
    """Whether another reader finds the same values in the file."""
    if not kind.independent:
        return False
    try:
        with np.errstate(all="ignore"):
            other = kind.independent(path)
    except Exception:
        return False
    if read.values.shape != other.shape:
        return False
    values = read.values.astype(float)
    return np.allclose(values, other, rtol=1e-6, atol=kind.apart, equal_nan=True)


def measure(count: int, seed: int, keep: Path | None = None) -> dict[str, Counter[str]]:
    """How often each outcome comes, by the name of the file; wrong ones are kept in a folder."""
    rng = np.random.default_rng(seed)
    found: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    with tempfile.TemporaryDirectory() as place:
        for name, kind in KINDS.items():
            folder = Path(place, name)
            folder.mkdir()
            path = folder / name
            kind.write(path)
            whole = kind.read(path)
            halves = [path, *(folder / half for half in [kind.half] if half)]
            contents = {half: half.read_bytes() for half in halves}
            for _ in range(-(-count // len(KINDS))):
                hurt = halves[int(rng.integers(len(halves)))]
                hurt.write_bytes(damaged(contents[hurt], rng))
                result = outcome(kind, path, whole)
                found[name][result] += 1
                if result == "wrong" and keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(hurt, keep / f"{found[name]['wrong']}-{hurt.name}")
                hurt.write_bytes(contents[hurt])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for files of which it gets wrong")
    parser.add_argument("--toy", action="store_true", help="two files of each format")
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    warnings.simplefilter("ignore")
    count = 2 * len(KINDS) if options.toy else options.count
    found = measure(count, options.seed, options.keep)
    print(f"{'format':16s}" + "".join(f"{outcome:>9s}" for outcome in OUTCOMES))
    for name, counted in [*found.items(), ("all", sum(found.values(), Counter()))]:
        print(f"{name:16s}" + "".join(f"{counted[outcome]:9d}" for outcome in OUTCOMES))


if __name__ == "__main__":
    main()
