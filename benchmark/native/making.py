"""The masks of a suite's queries on the grids of their scans, read again from the archives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cases import Cases, TaskCases, find_cases
from benchmark.native.truths import NativeError, NativeTruth, write_truths
from benchmark.suite import Suite
from megamedical.building.group_plan import GroupPlan, Settings, plan_groups
from megamedical.building.obtained import obtain_archives
from megamedical.building.record import coverage
from megamedical.building.report import Missing
from megamedical.building.subject_job import Job, read_subject
from megamedical.building.workers import Workers
from megamedical.catalogue.datasets import Catalog, Selection
from megamedical.obtaining.archive_content import obtain_unpacked
from megamedical.obtaining.sources import expect_mirror, raw_folder
from megamedical.processing.grid import standard_axes
from megamedical.processing.native_plane import native_plane
from megamedical.processing.slicing import AXIS_OF_PLANE, PICTURE, soft_mask, upright
from megamedical.reading.scan import Segmentation
from megamedical.reporting import afar
from megamedical.reporting.progress import Listener
from megamedical.store.store import Store

_ARCHIVES = "Name where the archives are that the store was built from: --raw, or --mirror."


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A query's mask, and how its slice was cut; `stored` is that mask as the store has it."""

    task: str
    data: str
    label: str
    plane: str
    index: int
    stored: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Piece:
    """A subject, what is wanted of it, and the rules by which it is scored."""

    job: Job
    wanted: tuple[_Wanted, ...]
    rules: tuple[float, float]


def make_truths(
    suite: Suite,
    store: Store,
    out: Path,
    workers: Workers,
    listener: Listener,
    manifests: Catalog,
    raw: Path | None = None,
    mirror: Path | None = None,
) -> dict[str, list[float]]:
    """Write the masks of a suite's queries on the grids of their scans into a file.

    Each is made into a slice once more, which must be what the store has, to the last bit: so the
    archives, manifests and code are known to be those that the store was built with.

    Args:
        suite: whose queries.
        store: what they are in.
        out: the `.parquet`.
        workers: who does the work, a subject at a time.
        listener: hears how it goes.
        manifests: the catalogue that the store was built with.
        raw: folder of archives and of what is unpacked from them; by default beside the store.
        mirror: folder of archives as `<dataset>/<file>`, looked at first.

    Returns:
        For each task, the Dice of each slice's own mask, brought back to the scan: what the best of
        methods could reach there.

    Raises:
        SuiteError: the store has nothing of the suite.
        NativeError: an archive or a subject is missing, or gives other masks than the store has.
    """
    expect_mirror(mirror)
    cases = find_cases(suite, store)
    wanted = _wanted(cases, store)
    plans = _plans(cases, store, workers, listener, manifests, raw, mirror)
    rows: list[Mapping[str, Any]] = []
    pieces = list(_pieces(plans, wanted, (suite.threshold, suite.both_empty)))
    with listener.stage("read again", len(pieces), "subjects") as done:
        for piece, outcome in workers.run(_read_again, pieces):
            if isinstance(outcome, Exception):
                raise NativeError(f"{piece.job.subject.name}: {outcome}", _ARCHIVES) from outcome
            rows += outcome
            done(piece.job.subject.name)
    write_truths(rows, out)
    ceilings: dict[str, list[float]] = {task.task: [] for task in cases.tasks}
    for row in rows:
        ceilings[row["task"]].append(row["ceiling"])
    return ceilings


def _wanted(cases: Cases, store: Store) -> dict[tuple[str, str], list[_Wanted]]:
    """What is wanted of each subject of a `<dataset>/<group>`."""
    labels = store.tasks.set_index("task")[["label", "plane"]]
    indices = store.examples.set_index(["task", "subject"])["slice"]
    found: dict[tuple[str, str], list[_Wanted]] = defaultdict(list)
    for task in cases.tasks:
        label, plane = labels.loc[task.task]
        _, masks = store.slices(task.group)
        for query in task.queries:
            index = int(indices[task.task, query.subject])
            stored = masks.read([query.mask])[0]
            own = _Wanted(task.task, task.fingerprint, label, plane, index, stored)
            found[task.group, query.subject].append(own)
    return found


def _plans(
    cases: Cases,
    store: Store,
    workers: Workers,
    listener: Listener,
    manifests: Catalog,
    raw: Path | None,
    mirror: Path | None,
) -> list[GroupPlan]:
    """The groups of the cases, as a build would process them; nothing is downloaded."""
    groups = sorted({task.group for task in cases.tasks})
    folder = raw_folder(store.location, raw)
    chosen = _selected(cases.tasks, manifests)
    obtain = partial(obtain_unpacked, raw=folder, mirror=mirror, offline=True, tell=afar.tell)
    unpacked, missing = obtain_archives(chosen, obtain, workers, listener)
    settings = Settings(folder, store.resolution, store.attributes.seed, keeps_known_errors=True)
    plans: dict[str, GroupPlan] = {}
    for selection in chosen:
        planned, lost = plan_groups(selection, unpacked, settings)
        plans |= {plan.path: plan for plan in planned}
        missing += lost
    absent = [group for group in groups if group not in plans]
    if absent:
        raise NativeError(f"{absent[0]} cannot be read again{_why(absent[0], missing)}", _ARCHIVES)
    return [plans[group] for group in groups]


def _selected(tasks: Sequence[TaskCases], manifests: Catalog) -> list[Selection]:
    names = {
        task.dataset
        if task.dataset in manifests and manifests[task.dataset].generator
        else task.group
        for task in tasks
    }
    return manifests.select(sorted(names))


def _why(group: str, missing: Sequence[Missing]) -> str:
    return next((f": {each.what}" for each in missing if group in each.groups), "")


def _pieces(
    plans: Sequence[GroupPlan],
    wanted: Mapping[tuple[str, str], list[_Wanted]],
    rules: tuple[float, float],
) -> Iterator[_Piece]:
    jobs = {(plan.path, job.subject.name): job for plan in plans for job in plan.jobs}
    for (group, subject), own in wanted.items():
        if (group, subject) not in jobs:
            raise NativeError(f"{group} has no subject {subject} any more", _ARCHIVES)
        yield _Piece(jobs[group, subject], tuple(own), rules)


def _read_again(piece: _Piece) -> list[dict[str, Any]]:
    """The rows of a subject."""
    job = piece.job
    _, scan, segmentation = read_subject(job)
    axes = standard_axes(scan, job.group, job.resolution)
    rows = []
    for own in piece.wanted:
        axis = None if own.plane == PICTURE else AXIS_OF_PLANE[own.plane]
        box = _box_of(segmentation, own.label)
        again = upright(soft_mask(segmentation, own.label, box, axes, axis, own.index), own.plane)
        if not np.array_equal(coverage(again), own.stored):
            raise NativeError(f"its files give another mask of {own.task} than the store has", "")
        plane = native_plane(segmentation, scan.spacing, axes, own.label, own.plane, own.index)
        spacing = None if own.plane == PICTURE else plane.spacing
        truth = NativeTruth(plane.mask, plane.rows, plane.columns, spacing)
        best = truth.scores(own.stored / np.float32(255), *piece.rules)["native_dice"]
        about = {"task": own.task, "data": own.data, "subject": job.subject.name}
        rows.append(about | truth.as_row() | {"ceiling": best})
    return rows


def _box_of(segmentation: Segmentation, label: str) -> tuple[slice, ...]:
    boxes = segmentation.boxes()
    if label not in boxes:
        raise NativeError(f"its files have no {label}", "")
    return boxes[label]
