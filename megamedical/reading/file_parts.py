"""Files that hold more than one image: a part of them is meant, by name, number or channel.

`.mat`, `.h5` and `.npz` hold arrays by name, a TIFF or `.npy` may hold many pictures one after the
other, a video its frames, a NIfTI file several volumes of one grid or a picture, and a JSON file
run lengths of masks by label.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.formats import reader_of
from megamedical.reading.images import expect_intensities
from megamedical.reading.library_errors import blaming
from megamedical.reading.limits import expect_picture
from megamedical.reading.luma import one_value_a_pixel
from megamedical.reading.pictures import indices_of


def count_pictures(path: Path, array: str = "") -> int:
    """How many pictures a file holds, one after the other.

    Raises:
        SubjectError: the file is damaged, or holds no array of that name.
    """
    with blaming(path):
        return reader_of(path).count(path, array)


def told_of_pictures(path: Path, array: str) -> list[str]:
    """What an array of a file tells of each of its pictures, as text.

    Raises:
        SubjectError: the file is damaged, or holds no array of that name.
    """
    with blaming(path):
        told = reader_of(path).part(path, Part(array)).tolist()
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
        SubjectError: the file is damaged, has no such part, or the part is no picture; or what it
            holds are no intensities, or no labels but colours.
    """
    with blaming(path):
        found = reader_of(path).part(path, part)
        if part.is_label:
            return _labels(found, path, part)
        picture = one_value_a_pixel(found, path, part.channel)
    expect_intensities(picture, path)
    return picture


def _labels(found: NDArray[Any], path: Path, part: Part) -> NDArray[Any]:
    """Colours are no labels but where they are grey, and what has one channel has no second."""
    if part.channel is None and found.ndim == 3 and found.shape[-1] == 3:
        return indices_of(found)
    if part.channel not in (None, "any", 0) and found.ndim == 2:
        raise SubjectError("read", path.name, f"has one value a pixel, no channel {part.channel}")
    return one_value_a_pixel(found, path, part.channel)


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
        height, width = (_whole(side) for side in said["size"])
        expect_picture((height, width))
        runs = said["counts"]
        runs = _numbers(runs) if isinstance(runs, str) else [_whole(run) for run in runs]
        if height < 1 or width < 1 or sum(runs) != height * width or min(runs) < 0:
            raise SubjectError("decode", path.name, f"has runs of {entry} that miss its size")
        values = np.arange(len(runs)) % 2 == 1  # the first run is background
        return np.repeat(values, runs).reshape(width, height).T


@lru_cache(maxsize=1)  # one file says it of all images
def _entries(path: Path, _changed: int) -> dict[str, dict[str, Any]]:
    return dict(json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"says {twice} twice in one place: which is meant?")
    return found


def _whole(said: float) -> int:
    if said != int(said):
        raise ValueError(f"has {said} where a whole number is meant")
    return int(said)


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
