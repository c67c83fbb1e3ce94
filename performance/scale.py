"""What very many subjects cost: to plan a build of, to open, to read by name, to verify, to add to.

    python performance/scale.py [SUBJECTS | --toy]

A synthetic store of so many subjects (100,000 by default; three images and six masks each, of
16 x 16 pixels, so that what is measured is the number of rows and files and not the copying of
pixels) is written with the project's own functions, which is what takes longest. Opening is
measured in a process of its own, imports apart.

Planning is all that a build with nothing to do does beside that: the folder of two empty files a
subject is walked, subjects are matched, given their splits, and told by what they are made from.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from megamedical.building.group_plan import Settings, plan_groups
from megamedical.building.packed_before import Before
from megamedical.catalogue.datasets import Selection
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.obtaining.archive_content import Unpacked
from megamedical.store.array_writer import checksum_of, group_writer
from megamedical.store.location import Location
from megamedical.store.publishing import begin, turn
from megamedical.store.store import open_store
from megamedical.store.tables import TABLES, task_fingerprint
from megamedical.store.verification import verify

SUBJECTS, SIZE, GROUP = 100_000, 16, "many/all"
PLANES = ("axial", "coronal", "sagittal")
LABELS = ("left", "right")
SPLITS = np.array(["train", "train", "train", "dev", "test"])
AT_ONCE = 4096  # slices
READ = 200  # examples by their names

MANIFEST = """
id: many
title: many
home: https://example.org
role: extra
access: open
licence: {name: CC0-1.0}
citation: {title: many, authors: nobody, year: 2026}
groups:
  all:
    modality: mri
    dimension: 2
    subjects: 1
    image: "images/{case}.png"
    mask: {decode: values, file: "masks/{case}.png"}
    labels: {1: left, 2: right}
    subject: "{case}"
    patient: "{case}"
"""

OPEN = """
import sys, time
from megamedical.store.store import open_store
begin = time.perf_counter()
open_store(sys.argv[1])
opened = time.perf_counter()
store = open_store(sys.argv[1])
store.tasks, store.examples, store.subjects
print(opened - begin, time.perf_counter() - opened)
"""


def write_store(folder: Path, subjects: int) -> None:
    location = Location(folder)
    begin(location, SIZE, 0)
    with turn(location, doing="measuring") as written:
        place = location.below(written.place(GROUP))
        areas = write_slices(place, subjects)
        rows = {
            name: [table] for name, table in tables(subjects, areas, checksum_of(place)).items()
        }
        written.publish({GROUP: "0" * 64}, rows)


def write_slices(place: Location, subjects: int) -> np.ndarray:
    """The area of each mask."""
    images, masks = subjects * len(PLANES), subjects * len(PLANES) * len(LABELS)
    rng = np.random.default_rng(0)
    block = rng.random((AT_ONCE, SIZE, SIZE), dtype=np.float32).astype(np.float16)
    drawn = (rng.random((AT_ONCE, SIZE, SIZE)) < 0.1).astype(np.uint8) * np.uint8(255)
    with group_writer(place, "0" * 64, images, masks, SIZE) as writer:
        for slices, count, array in ((block, images, writer.images), (drawn, masks, writer.masks)):
            for start in range(0, count, AT_ONCE):
                array.append(slices[: min(AT_ONCE, count - start)])
    return np.resize(drawn.mean(axis=(1, 2), dtype=np.float64) / 255, masks)


def tables(subjects: int, areas: np.ndarray, checksum: str) -> dict[str, pa.Table]:
    dataset, group = GROUP.split("/")
    names = np.array([f"{number:07d}" for number in range(subjects)])
    splits = np.resize(SPLITS, subjects)
    counts = {split: int((splits == split).sum()) for split in ("train", "dev", "test")}
    counts["empty"] = 0
    tasks, examples = [], []
    for plane, axis in enumerate(PLANES):
        for number, label in enumerate(LABELS):
            task = f"{GROUP}/mri/{axis}/mid/{label}"
            about = {"task": task, "dataset": dataset, "group": group, "modality": "mri"}
            about |= {"plane": axis, "slicing": "mid", "label": label, "role": "extra", **counts}
            tasks.append({**about, "fingerprint": task_fingerprint("0" * 64, task)})
            images = np.arange(subjects) * len(PLANES) + plane
            masks = images * len(LABELS) + number
            columns = [[task] * subjects, names, names, splits, images, masks]
            columns += [np.full(subjects, SIZE // 2), areas[masks]]
            examples.append(table("examples", columns))
    about = {"dataset": dataset, "group": group, "subjects": subjects, "expected": subjects}
    about |= {"images": subjects * len(PLANES), "masks": len(areas)}
    about |= {"fingerprint": "0" * 64, "checksum": checksum}
    file = [
        {"path": f"scans/{name}.nii.gz", "sha256": f"{hash(name):064x}"[-64:]} for name in names
    ]
    columns = [[dataset] * subjects, [group] * subjects, names, names, splits]
    columns += [[[]] * subjects, [[each] for each in file], [[1.0] * 3] * subjects]
    columns += [[[64] * 3] * subjects, ["RAS"] * subjects, [[]] * subjects]
    return {
        "groups": pa.Table.from_pylist([about], schema=TABLES["groups"]),
        "tasks": pa.Table.from_pylist(tasks, schema=TABLES["tasks"]),
        "examples": pa.concat_tables(examples),
        "subjects": table("subjects", columns),
    }


def write_files(folder: Path, subjects: int) -> None:
    for below in ("images", "masks"):
        (folder / below).mkdir(parents=True)
        for number in range(subjects):
            os.close(os.open(folder / below / f"{number:07d}.png", os.O_CREAT | os.O_WRONLY))


def plan(folder: Path) -> None:
    """What a build knows before it reads a file; no group was packed before."""
    manifest = yaml.safe_load(MANIFEST)
    manifest["archives"] = [{"name": "many", "urls": ["https://example.org/many"]}]
    dataset = DatasetManifest.model_validate(manifest)
    unpacked = {("many", "many"): Unpacked(folder, "0" * 64)}
    plans, missing = plan_groups(Selection(dataset), unpacked, Settings(folder, SIZE, 0))
    assert len(plans) == 1
    assert not missing
    assert Before(Location(folder), {}).outcomes(plans) == {}
    assert len(plans[0].inputs) == 64


def most_memory() -> float:
    """Of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def table(name: str, columns: list) -> pa.Table:
    schema = TABLES[name]
    arrays = [pa.array(c, field.type) for c, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


@contextmanager
def timed(what: str) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    print(f"{what:44}{time.perf_counter() - begun:9.3f} s", flush=True)


def main(subjects: int = SUBJECTS) -> None:
    with tempfile.TemporaryDirectory() as place:
        files = Path(place) / "files"
        write_files(files, subjects)
        before = most_memory()
        with timed("plan a build"):
            plan(files)
        print(f"{'memory of that, above the imports':44}{most_memory() - before:9.0f} MB")
        folder = Path(place) / "store"
        with timed(f"write {subjects:,} subjects"):
            write_store(folder, subjects)
        run = [sys.executable, "-c", OPEN, str(folder)]
        said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
        opening, parsing = map(float, said.split())
        print(f"{'open':44}{opening:9.3f} s")
        print(f"{'open, and parse tasks, examples, subjects':44}{parsing:9.3f} s")
        store = open_store(folder)
        rng = np.random.default_rng(0)
        task = f"{GROUP}/mri/{PLANES[0]}/mid/{LABELS[0]}"
        with timed("read one example by its name"):
            store.read(task, "0000000")
        with timed(f"read {READ} more"):
            for number in rng.integers(0, subjects, READ):
                store.read(task, f"{number:07d}")
        with timed("a build's turn with nothing to do"), turn(Location(folder), doing="measuring"):
            pass
        with timed("verify"):
            verdict = verify(folder)
        print(
            f"{verdict.images:,} images, {verdict.masks:,} masks, {verdict.examples:,} examples, "
            f"{len(verdict.problems)} problems"
        )
        if verdict.problems:
            raise SystemExit(verdict.problems[0])


if __name__ == "__main__":
    main(20 if "--toy" in sys.argv[1:] else int(next(iter(sys.argv[1:]), SUBJECTS)))
