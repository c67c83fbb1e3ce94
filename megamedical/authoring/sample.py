"""What is in some of a group's subjects: shapes, types, and the label values of their masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.building.record import coverage
from megamedical.catalogue.group import FileGroup
from megamedical.errors import SubjectError
from megamedical.processing.slicing import CutSlices, slice_subject
from megamedical.reading.scan import Segmentation
from megamedical.subjects.assembly import Assembly
from megamedical.subjects.decoding import decode
from megamedical.subjects.subject import Subject

_RESOLUTION = 128  # as `build` has it by default


@dataclass(frozen=True)
class FoundLabel:
    """A label as the masks have it; `name` is empty where the manifest has none for the value.

    `value` is None where labels are not told by values. `pixels` and `masks` count where it is.
    """

    name: str
    value: int | None
    pixels: int
    masks: int


@dataclass(frozen=True)
class Extent:
    """The lowest and the highest of something along each axis, (Z, Y, X) or (H, W)."""

    lowest: tuple[float, ...]
    highest: tuple[float, ...]

    def __str__(self) -> str:
        ends = zip(self.lowest, self.highest, strict=True)
        return " x ".join(f"{a:.4g}" if a == b else f"{a:.4g}–{b:.4g}" for a, b in ends)


@dataclass
class Sample:
    """What the subjects that were read had in them.

    `shapes` and `spacings` are in the order of the axes of a `Scan`, `kinds` the types of its
    values; `failures` has what a build would say of the subjects that it cannot process.
    """

    group: FileGroup
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    spacings: list[tuple[float, ...]] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    failures: list[tuple[Subject, SubjectError]] = field(default_factory=list)
    _pixels: Counter[int | str] = field(default_factory=Counter)  # of a value, or of a label
    _masks: Counter[int | str] = field(default_factory=Counter)
    _slices: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # of a task
    _seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # those with a pixel

    @classmethod
    def of(cls, group: FileGroup, subjects: Sequence[Subject]) -> Sample:
        """Read subjects as a build would."""
        sample = cls(group)
        for subject in subjects:
            try:
                sample._read(subject)
            except SubjectError as error:
                sample.failures.append((subject, error))
        return sample

    @property
    def shape(self) -> Extent | None:
        """How large the images are, in voxels or pixels."""
        return _extent(self.shapes)

    @property
    def spacing(self) -> Extent | None:
        """How far apart their voxels are, in mm."""
        return _extent(self.spacings)

    @property
    def labels(self) -> tuple[FoundLabel, ...]:
        """The labels of the manifest, then the values that it does not name."""
        if self.group.mask.decode != "values":
            names = self.group.label_values
            return tuple(FoundLabel(n, None, self._pixels[n], self._masks[n]) for n in names)
        values = {**self.group.labels, **dict.fromkeys(self._nameless, "")}
        return tuple(FoundLabel(n, v, self._pixels[v], self._masks[v]) for v, n in values.items())

    @property
    def _nameless(self) -> list[int]:
        return sorted({int(v) for v in self._pixels} - self.group.labels.keys())

    @property
    def empty_tasks(self) -> dict[str, int]:
        """Tasks whose slices show no pixel of their label, and how many slices were made."""
        return {"/".join(of): n for of, n in self._slices.items() if not self._seen[of]}

    def _read(self, subject: Subject) -> None:
        assembly = Assembly(self.group, subject)
        scan = assembly.scan

        def read(pattern: str, name: str | int | None = None) -> NDArray[Any]:
            values = assembly.label_values(pattern, name)
            if self.group.mask.decode == "values":
                self._count_values(values)
            return values

        segmentation = decode(self.group, read, scan.voxels.shape)
        if self.group.mask.decode != "values":
            self._count_labels(segmentation)
        self._count_slices(slice_subject(scan, segmentation, self.group, _RESOLUTION))
        self.shapes.append(scan.voxels.shape)
        self.spacings.append(scan.spacing)
        self.kinds.add(str(scan.voxels.dtype))

    def _count_values(self, values: NDArray[Any]) -> None:
        found, pixels = np.unique(values[values != 0], return_counts=True)
        self._pixels.update(dict(zip(found.tolist(), pixels.tolist(), strict=True)))
        self._masks.update(found.tolist())

    def _count_slices(self, slices: CutSlices) -> None:
        for found in slices.masks:
            for slicing in found.slicings:
                self._slices[found.plane, slicing, found.label] += 1
                self._seen[found.plane, slicing, found.label] += bool(coverage(found.mask).any())

    def _count_labels(self, segmentation: Segmentation) -> None:
        for label, box in segmentation.boxes().items():
            self._pixels[label] += int(np.count_nonzero(segmentation.mask(label, box)))
            self._masks[label] += 1


def _extent(found: Sequence[tuple[float, ...]]) -> Extent | None:
    if not found:
        return None
    axes = list(zip(*found, strict=True))
    return Extent(tuple(min(axis) for axis in axes), tuple(max(axis) for axis in axes))
