"""Stores of tiny discs, written in milliseconds: whatever datasets, tasks and patients are wanted.

A disc is bright on a dark ground and its mask is where it is, so that a few steps learn it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zarr

from megamedical.location import Location
from megamedical.packing import create_array
from megamedical.store import Store, begin, open_store, publish
from megamedical.tables import TABLES

SIZE = 16


@dataclass(frozen=True)
class Discs:
    """A group: its tasks are all combinations of planes, slicings and labels.

    `patients` are so many in the train, dev and test split, each with `scans` subjects.
    """

    dataset: str
    group: str = "discs"
    role: str = "train"
    modality: str = "mri"
    planes: Sequence[str] = ("axial",)
    slicings: Sequence[str] = ("mid",)
    labels: Sequence[str] = ("disc",)
    patients: tuple[int, int, int] = (4, 2, 1)
    scans: int = 2

    @property
    def path(self) -> str:
        return f"{self.dataset}/{self.group}"

    @property
    def tasks(self) -> Iterator[tuple[str, tuple[str, str, str]]]:
        for plane, slicing, label in product(self.planes, self.slicings, self.labels):
            name = f"{self.path}/{self.modality}/{plane}/{slicing}/{label}"
            yield name, (plane, slicing, label)

    @property
    def subjects(self) -> Iterator[tuple[str, str, str]]:
        """Subject, patient and split, in the order of their names."""
        splits = np.repeat(("train", "dev", "test"), self.patients)
        for number, split in enumerate(splits):
            for scan in range(self.scans):
                yield f"{number:03}-{scan}", f"{number:03}", str(split)


def write_store(folder: Path, *groups: Discs, size: int = SIZE) -> Store:
    """Write a store of slices of `size` pixels a side."""
    location = Location(folder)
    begin(location, resolution=size, seed=0)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for number, group in enumerate(groups):
        areas = _write_slices(folder, group, size, np.random.default_rng(number))
        _add_rows(rows, group, areas)
    tables = {name: [pa.Table.from_pylist(rows[name], schema=TABLES[name])] for name in TABLES}
    publish(location, {group.path: f"made of {group}" for group in groups}, tables)
    return open_store(folder)


def _write_slices(folder: Path, group: Discs, size: int, rng: np.random.Generator) -> np.ndarray:
    """The area of each mask; that of a subject's label comes at subject x labels + label."""
    count, labels = len(list(group.subjects)), len(group.labels)
    rows, columns = np.indices((size, size)) / size
    y, x = rng.uniform(0.3, 0.7, (2, count * labels, 1, 1))
    radius = rng.uniform(0.12, 0.25, (count * labels, 1, 1))
    discs = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    bright = discs.reshape(count, labels, size, size).any(1)
    root = zarr.open_group(folder, mode="a")
    arrays = root.require_group(group.dataset).create_group(group.group)
    images = (0.1 + 0.7 * bright + rng.uniform(0, 0.1, bright.shape)).astype(np.float16)
    create_array(arrays, "images", count, size)[:] = images
    create_array(arrays, "masks", count * labels, size)[:] = np.uint8(255) * discs
    return discs.mean((1, 2))


def _add_rows(rows: dict[str, list[dict[str, Any]]], group: Discs, areas: np.ndarray) -> None:
    subjects = list(group.subjects)
    splits = [split for *_, split in subjects]
    about = {
        "dataset": group.dataset,
        "group": group.group,
        "modality": group.modality,
        "role": group.role,
        **{split: splits.count(split) for split in ("train", "dev", "test")},
    }
    for name, (plane, slicing, label) in group.tasks:
        own = {"plane": plane, "slicing": slicing, "label": label, "fingerprint": name}
        rows["tasks"].append({"task": name, **about, **own})
        for number, (subject, patient, split) in enumerate(subjects):
            mask = number * len(group.labels) + list(group.labels).index(label)
            who = {"subject": subject, "patient": patient, "split": split}
            where = {"image": number, "mask": mask, "slice": 0, "area": areas[mask]}
            rows["examples"].append({"task": name, **who, **where})
