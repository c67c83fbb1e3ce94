"""Stores of miniatures: built alike in every test, so that they can be compared file by file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from megamedical import BuildReport, build
from miniatures.datasets import DATASETS

RESOLUTION = 32
EVERYTHING = (*DATASETS, "synthetic")
PARTS = {"msd": "msd/hippocampus"}  # of datasets of which a miniature has one group
OPTIONS: dict[str, Any] = {
    "resolution": RESOLUTION,
    "tasks": 2,  # of the synthetic dataset
    "subjects": 5,
    "workers_count": 0,
    "offline": True,
}


def build_miniatures(
    *names: str, store: Path | str, mirror: Path | None, **options: object
) -> BuildReport:
    """Build datasets, by default all of them, in this process unless `options` say otherwise."""
    chosen = [PARTS.get(name, name) for name in names or EVERYTHING]
    return build(*chosen, store=store, mirror=mirror, **{**OPTIONS, **options})


def contents(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder, hidden ones too, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
