"""The staged record: all that is kept of one subject, on disk between processing and packing.

A record is one `.npz` beside the archives. It is written under another name first and carries the
fingerprint of what it was made from, so a record that can be read and has the right fingerprint is
whole and current; any other is made again.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from megamedical.files.writing import whole_file
from megamedical.processing.slicing import CutSlices


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
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, about=text, images=self.images, masks=self.masks)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a record back."""
        with np.load(path, allow_pickle=False) as content:
            facts, entries = _about(content)
            return cls(facts, content["images"], content["masks"], entries)


def read_about(path: Path) -> tuple[SubjectFacts, list[MaskEntry]]:
    """What a record says, without its arrays."""
    with np.load(path, allow_pickle=False) as content:
        return _about(content)


def is_current(path: Path, fingerprint: str) -> bool:
    """Whether a whole record made from just this lies at a path."""
    try:
        with np.load(path, allow_pickle=False) as content:
            about = json.loads(content["about"].tobytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return False
    return bool(about["fingerprint"] == fingerprint)


def record_path(folder: Path, subject: str) -> Path:
    """Where the record of a subject lies; its name may hold anything."""
    return folder / f"{quote(subject, safe='')}.npz"


def coverage(mask: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Soft coverage in [0, 1] as 0 to 255.

    Edges of 0.5 are common and 127.5 would round either way; a little more makes it always up.
    """
    return np.floor(mask * 255.0 + (0.5 + 1e-4)).astype(np.uint8)


def _about(content: Mapping[str, NDArray[np.uint8]]) -> tuple[SubjectFacts, list[MaskEntry]]:
    about = json.loads(content["about"].tobytes())
    return SubjectFacts(**about["facts"]), [MaskEntry(**entry) for entry in about["entries"]]
