"""The staged record: all that is kept of one subject, on disk between processing and packing.

A record is one `.npz` beside the archives, named by its subject and by the fingerprint of what it
was made from: builds with other resolutions or manifests that share a folder never write the same
one. It carries that fingerprint, and a checksum of all that it says; where either is wrong, it is
made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from megamedical.files.writing import whole_file
from megamedical.processing.slicing import CutSlices

_LONGEST = 120  # characters of a subject's name in the name of its record


@dataclass(frozen=True)
class SubjectFacts:
    """What subjects.parquet says of a subject, but for its split."""

    subject: str
    patient: str
    fields: Mapping[str, str]
    files: Mapping[str, str]  # path in the archive -> sha256
    spacing: Sequence[float]
    shape: Sequence[int]
    orientation: str


@dataclass(frozen=True)
class MaskEntry:
    """One mask of a record: which image it belongs to, of which label, for which slicings.

    `index` is that of the slice in its plane, `area` the share of the slice that is covered.
    """

    image: int
    plane: str
    index: int
    label: str
    slicings: Sequence[str]
    area: float


@dataclass(frozen=True, eq=False)
class Record:
    """One processed subject: images (n, H, W) float16 in [0, 1], masks (m, H, W) uint8."""

    facts: SubjectFacts
    images: NDArray[np.float16]
    masks: NDArray[np.uint8]
    entries: Sequence[MaskEntry]

    @classmethod
    def of(cls, facts: SubjectFacts, slices: CutSlices) -> Record:
        """The record of a subject's slices, in the order of plane, index and label."""
        keys = sorted(slices.images)
        cut = sorted(slices.masks, key=lambda mask: (mask.plane, mask.index, mask.label))
        masks = np.stack([coverage(mask.mask) for mask in cut])
        areas = masks.mean(axis=(1, 2), dtype=np.float64) / 255
        entries = [
            MaskEntry(
                image=keys.index((mask.plane, mask.index)),
                plane=mask.plane,
                index=mask.index,
                label=mask.label,
                slicings=mask.slicings,
                area=float(area),
            )
            for mask, area in zip(cut, areas, strict=True)
        ]
        images = np.stack([slices.images[key].astype(np.float16) for key in keys])
        return cls(facts, images, masks, entries)

    def save(self, path: Path, fingerprint: str) -> None:
        """Write the record, whole or not at all."""
        about = {
            "fingerprint": fingerprint,
            "facts": asdict(self.facts),
            "entries": [asdict(entry) for entry in self.entries],
        }
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        checksum = _checksum(text, self.images, self.masks)
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, about=text, images=self.images, masks=self.masks, checksum=checksum)

    @classmethod
    def load(cls, staged: Staged) -> Record:
        """Read a record back, and check it.

        Raises:
            DamagedRecord: it is not there, not what was written, or made from something else.
        """
        with _opened(staged) as content:
            facts, entries = _about(content, staged.fingerprint)
            images, masks = content["images"], content["masks"]
            if (
                content["checksum"].tobytes()
                != _checksum(content["about"], images, masks).tobytes()
            ):
                raise ValueError("its checksum is another")
            return cls(facts, images, masks, entries)


@dataclass(frozen=True)
class Staged:
    """Where a record lies, and the fingerprint of what it must be made from."""

    path: Path
    fingerprint: str


class DamagedRecord(Exception):
    """A staged record that is gone, or not what was written; it can be made again."""


def read_about(staged: Staged) -> tuple[SubjectFacts, list[MaskEntry]]:
    """What a record says, without its arrays.

    Raises:
        DamagedRecord: see `Record.load`.
    """
    with _opened(staged) as content:
        return _about(content, staged.fingerprint)


def is_current(path: Path, fingerprint: str) -> bool:
    """Whether a whole record made from just this lies at a path."""
    try:
        Record.load(Staged(path, fingerprint))
    except DamagedRecord:
        return False
    return True


def record_path(folder: Path, subject: str, fingerprint: str) -> Path:
    """Where the record of a subject lies; its name may hold anything, and be of any length."""
    return folder / f"{quote(subject, safe='')[:_LONGEST]}.{fingerprint[:16]}.npz"


def coverage(mask: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Soft coverage in [0, 1] as 0 to 255.

    Edges of 0.5 are common and 127.5 would round either way; a little more makes it always up.
    """
    return np.floor(mask * 255.0 + (0.5 + 1e-4)).astype(np.uint8)


def _about(
    content: Mapping[str, NDArray[np.uint8]], fingerprint: str
) -> tuple[SubjectFacts, list[MaskEntry]]:
    about = json.loads(content["about"].tobytes())
    if about["fingerprint"] != fingerprint:
        raise ValueError("it is made from something else")
    return SubjectFacts(**about["facts"]), [MaskEntry(**entry) for entry in about["entries"]]


@contextmanager
def _opened(staged: Staged) -> Iterator[Mapping[str, NDArray[Any]]]:
    try:
        with np.load(staged.path, allow_pickle=False) as content:
            yield content
    except Exception as error:  # a flipped bit may come out as anything
        raise DamagedRecord(f"{staged.path}: {type(error).__name__}: {error}") from error


def _checksum(*arrays: NDArray[Any]) -> NDArray[np.uint8]:
    """The SHA-256 of what a record says, and of the form that it says it in."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).data)
    return np.frombuffer(found.digest(), dtype=np.uint8)
