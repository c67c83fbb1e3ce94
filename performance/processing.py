"""Time and memory of one CT volume against a bare read, and of real ACDC patients.

    OMP_NUM_THREADS=1 python performance/processing.py [--mirror DIR] [--toy]

The volume is 512 x 512 x 120 int16 at 0.7 x 0.7 x 2.5 mm with 4 labels, cut in three planes, mid
and max slices, at 128 x 128. "Ours" is all that a build does for a subject: read, hash, resample,
slice, write the record. Its seconds are those of the clock, which uses two cores where they are
free, and of all cores together, which is what a build with a worker a core has to pay. Memory is
the peak of a fresh process, less that of one that only imports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel.orientations  # noqa: F401  (what a subject imports is part of the base)
import numpy as np
import SimpleITK as sitk

from megamedical import build
from megamedical.building import subject_job
from megamedical.building.subject_job import Job, process
from megamedical.catalogue.group import FileGroup
from megamedical.reporting.progress import Silence
from megamedical.subjects.subject import Subject

REPEATS = 7
GROUP = FileGroup.model_validate(
    {
        "modality": "ct",
        "dimension": 3,
        "subjects": 1,
        "image": "ct.nii.gz",
        "mask": {"decode": "values", "file": "labels.nii.gz"},
        "labels": {1: "liver", 2: "spleen", 3: "kidney", 4: "vertebra"},
        "subject": "phantom",
        "patient": "phantom",
        "planes": ["axial", "coronal", "sagittal"],
        "grid": "isotropic",
        "intensity": {"window": [-500, 1000]},
    }
)


def draw_phantom(folder: Path) -> None:
    """A body with lungs, bone and four organs, and the noise of a scanner."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[:120, :512, :512]
    ellipse = ((y - 256) / 200) ** 2 + ((x - 256) / 230) ** 2 + 0 * z
    ct = np.where(ellipse < 1, 40.0, -1000.0)
    ct[np.broadcast_to((y - 256) ** 2 + (x - 200) ** 2 < 60**2, ct.shape)] = -800
    ct[np.broadcast_to((y - 380) ** 2 + (x - 256) ** 2 < 25**2, ct.shape)] = 1200
    ct += rng.normal(0, 25, ct.shape)
    labels = np.zeros(ct.shape, np.uint8)
    organs = [(40, 200, 160, 40), (60, 256, 330, 70), (80, 300, 256, 30), (30, 380, 256, 20)]
    for value, (cz, cy, cx, radius) in enumerate(organs, 1):
        distance = ((z - cz) * 2.5) ** 2 + ((y - cy) * 0.7) ** 2 + ((x - cx) * 0.7) ** 2
        labels[distance < radius**2] = value
    for name, array in (("ct", ct.astype(np.int16)), ("labels", labels)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.7, 0.7, 2.5))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))


def bare_read(folder: Path) -> None:
    for name in ("ct", "labels"):
        sitk.ReadImage(str(folder / f"{name}.nii.gz"))


def process_phantom(folder: Path) -> None:
    files = {name: folder / name for name in ("ct.nii.gz", "labels.nii.gz")}
    masks = {"labels.nii.gz": [["labels.nii.gz"]]}
    subject = Subject("phantom", "phantom", {}, "ct.nii.gz", files, ["ct.nii.gz"], masks)
    target = folder / "record.npz"
    target.unlink(missing_ok=True)
    subject_job._hashed.cache_clear()  # it would know the files from the last time
    failure = process(Job("phantom", "ct", GROUP, subject, 128, target, ""))
    assert failure is None, failure


def least_times(works: Sequence[Callable[[], None]], repeats: int) -> list[tuple[float, float]]:
    """The least seconds of each, which take turns: by the clock, and of all cores together."""
    times: list[list[tuple[float, float]]] = [[] for _ in works]
    for repeat in range(1 + repeats):
        for work, found in zip(works, times, strict=True):
            begin, begin_core = time.perf_counter(), time.process_time()
            work()
            if repeat:  # the first brings the files into the page cache
                found.append((time.perf_counter() - begin, time.process_time() - begin_core))
    return [(min(clock for clock, _ in found), min(core for _, core in found)) for found in times]


def peak(folder: Path, what: str) -> float:
    """Peak memory in MB of a fresh process that imports everything and then does `what`."""
    command = [sys.executable, __file__, "--only", what, "--folder", str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_ct(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw_phantom(folder)
        reads, all_of_it = least_times(
            [lambda: bare_read(folder), lambda: process_phantom(folder)], repeats
        )
        for how, read, ours in zip(("clock", "cores"), reads, all_of_it, strict=True):
            print(
                f"CT, {how}: bare read {read:.3f} s, ours {ours:.3f} s: {ours / read:.2f} times it"
            )
        image = 512 * 512 * 120 * 2 / 1e6
        base, used = peak(folder, "nothing"), peak(folder, "process")
        print(
            f"CT: peak {used:.0f} MB, imports alone {base:.0f} MB, image {image:.0f} MB: "
            f"{(used - base) / image:.2f} times the image"
        )


def stage_seconds(mirror: Path, workers: int) -> tuple[float, float, int]:
    """Seconds of the process stage and of the whole build of ACDC, and its subjects."""

    class Clock(Silence):
        seconds = 0.0

        def stage(self, name: str, total: int, unit: str):
            return Timed(self) if name == "process" else super().stage(name, total, unit)

    class Timed:
        def __init__(self, clock: Clock) -> None:
            self.clock = clock

        def __enter__(self):
            self.begin = time.perf_counter()
            return super(Clock, self.clock).stage("", 0, "").__enter__()

        def __exit__(self, *_: object) -> None:
            self.clock.seconds = time.perf_counter() - self.begin

    clock = Clock()
    with tempfile.TemporaryDirectory() as place:
        begin = time.perf_counter()
        report = build(
            "acdc", store=f"{place}/store", mirror=mirror, workers_count=workers, listener=clock
        )
        whole = time.perf_counter() - begin
    return clock.seconds, whole, report.groups[0].subjects


def measure_acdc(mirror: Path) -> None:
    runs = {n: [stage_seconds(mirror, n) for _ in range(5)] for n in (1, 2)}
    staged = {n: statistics.median(r[0] for r in found) for n, found in runs.items()}
    whole = {n: statistics.median(r[1] for r in found) for n, found in runs.items()}
    subjects = runs[1][0][2]
    print(
        f"ACDC: {subjects} subjects (2 a patient), 1 worker {staged[1]:.2f} s, 2 workers "
        f"{staged[2]:.2f} s: {staged[1] / staged[2]:.2f} times as fast; "
        f"{2 * staged[1] / subjects:.3f} s a patient on one core"
    )
    print(f"ACDC, whole build with start, unpacking, packing: {whole[1]:.2f} s, {whole[2]:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--only", choices=["nothing", "process"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--toy", action="store_true", help="once")
    options = parser.parse_args()
    if options.only:
        if options.only == "process":
            process_phantom(options.folder)
        (line,) = (s for s in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in s)
        print(int(line.split()[1]) * 1024 / 1e6)
        return
    measure_ct(1 if options.toy else REPEATS)
    if options.mirror:
        measure_acdc(options.mirror)


if __name__ == "__main__":
    main()
