"""Run a method on a suite: every query with each of its supports, a row for each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.cases import TaskCases, find_cases
from benchmark.machine.device import AUTO
from benchmark.machine.hardware import hardware
from benchmark.machine.peak_memory import forget_peak
from benchmark.machine.places import name_of
from benchmark.method import MethodError
from benchmark.native.truths import read_truths
from benchmark.results import (
    POOL,
    Provenance,
    ResultsError,
    folder_of,
    read_rows,
    sweep,
    write_rows,
)
from benchmark.runner import Asked, Runner
from benchmark.suite import Suite
from megamedical import __version__
from megamedical.building.workers import Workers
from megamedical.files.locking import held
from megamedical.reporting.progress import Listener
from megamedical.store.store import Store

_DIFFERENCES = {"support": "kind of support", "draws": "number of draws"}


@dataclass(frozen=True)
class Job:
    """A task of a suite that a method is to be run on, with one support size."""

    suite: Suite
    store: str
    asked: Asked
    cases: TaskCases
    support_size: int
    path: Path
    native: Path | None = None


@dataclass(frozen=True)
class RunReport:
    """How a run ended: the folder of its rows, tasks the store lacks, and what failed."""

    folder: Path
    rows: int
    missing: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: so many rows, why some of them have no score, and a notice, or ""."""

    rows: int
    failures: tuple[str, ...]
    notice: str


def run(
    suite: Suite,
    store: Store,
    method: str,
    out: Path,
    workers: Workers,
    listener: Listener,
    limit: int | None = None,
    device: str = AUTO,
    native: Path | None = None,
    told: Sequence[str] | None = None,
) -> RunReport:
    """Run a method on all tasks of a suite that a store has.

    Rows that are in `out` already are kept, so a run that was broken off goes on where it was. What
    failed is tried again, and what was made of other data is made anew. One run at a time is at
    work on the rows of a method, a suite and a folder.

    Args:
        suite: what is asked.
        store: what it is asked about.
        method: `name` or `name:argument`, or `file.py:Class`.
        out: the folder of all results.
        workers: who does the work, a task at a time.
        listener: hears how it goes.
        limit: queries of each task, for a quick look.
        device: where the method computes, if it can choose: as PyTorch names it, or `auto`.
        native: file of the queries' masks on the grids of their scans, on which predictions are
            scored too; rows that were not are made again.
        told: the options as they were typed, but for method, store, suite, folder and support
            sizes; by default as these arguments would be.

    Raises:
        MethodError: there is no such method, or it would be trained on what it is to be scored on.
        MegaMedicalError: there is no such device.
        SuiteError: the store has nothing of the suite.
        NativeError: the file of masks is not of this store and suite.
        InUseError: another run makes these rows; the message says which, and since when.
    """
    asked = Asked(method, device)
    made = asked.make()
    if suite.support == suite.evaluated and (made.uses_pool or made.shares_support):
        what = "all" if made.uses_pool else "slices"
        raise MethodError(
            f"{method} is trained on {what} of the {suite.support} split, which {suite.id} "
            "evaluates",
            "Leave it out, or evaluate another split.",
        )
    cases = find_cases(suite, store)
    if native:
        for task in cases.tasks:  # what is missing is said before anything is run
            read_truths(native, task)
    folder = folder_of(out, suite.id, made.about)
    sizes = (POOL,) if made.uses_pool else tuple(dict.fromkeys(suite.support_sizes))
    jobs = [
        Job(
            suite,
            store.location.absolute,
            asked,
            _limited(task, limit),
            size,
            folder / f"{task.task.replace('/', '--')}-s{size}.parquet",
            native.absolute() if native else None,
        )
        for task in cases.tasks
        for size in sizes
    ]
    provenance = Provenance(
        method,
        made.about,
        hardware(),
        __version__,
        name_of(str(store.location)),
        store.attributes.fingerprint,
        cases.missing,
        _options(
            _as_typed(limit, device, native) if told is None else told,
            suite.shared_draws if made.shares_support else None,
        ),
    )
    rows, failures = 0, []
    folder.mkdir(parents=True, exist_ok=True)
    with (
        held(
            folder / ".lock",
            what=f"The run in {folder}",
            doing=f"running {made.about.name} on {suite.id}",
            wait=False,
        ),
        listener.stage(made.about.name, len(jobs), "tasks") as done,
    ):
        provenance.save(folder)
        for job, outcome in workers.run(evaluate, jobs):
            if isinstance(outcome, Exception):
                failures.append((job.cases.task, str(outcome)))
            else:
                rows += outcome.rows
                failures += [(job.cases.task, reason) for reason in outcome.failures]
                if outcome.notice:
                    listener.say(f"{job.cases.task}: {outcome.notice}")
            done(job.cases.task)
    return RunReport(folder, rows, cases.missing, tuple(failures))


def evaluate(job: Job) -> Outcome:
    """Make the rows of a task that are not there yet.

    Raises:
        MethodError: see `make_method`.
        ResultsError: the rows that are there were made otherwise.
    """
    forget_peak()
    runner = Runner(job.suite, job.store, job.asked, job.cases, job.support_size, job.native)
    sweep(job.path)
    before = read_rows(job.path)
    _expect_same(before, job, runner)
    rows = _usable(before, job)
    for query in job.cases.queries:
        if query.subject not in rows:
            rows[query.subject] = list(runner.rows(query))
            write_rows([row for subject in sorted(rows) for row in rows[subject]], job.path)
    reasons = [row["failure"] for each in rows.values() for row in each]
    is_anew = any(row["data"] != job.cases.fingerprint for row in before)
    notice = "the store has changed since it was run, so it was run again" if is_anew else ""
    return Outcome(len(reasons), tuple(filter(None, reasons)), notice)


def _usable(rows: Sequence[Mapping[str, Any]], job: Job) -> dict[str, list[Mapping[str, Any]]]:
    """By subject, the rows that need not be made again."""
    found = defaultdict(list)
    for row in rows:
        found[row["subject"]].append(row)
    return {
        subject: each
        for subject, each in found.items()
        if all(_is_usable(row, job) for row in each)
    }


def _is_usable(row: Mapping[str, Any], job: Job) -> bool:
    is_scored = job.native is None or row["native_dice"] is not None
    return row["data"] == job.cases.fingerprint and not row["failure"] and is_scored


def _as_typed(limit: int | None, device: str, native: Path | None) -> list[str]:
    """What was asked for beside method, suite and support sizes, as one would type it."""
    given = {
        "--limit": limit,
        "--device": device if device != AUTO else None,
        "--native": native.name if native else None,
    }
    return [f"{name} {value}" for name, value in given.items() if value is not None]


def _options(told: Sequence[str], shared_draws: int | None) -> tuple[str, ...]:
    """Those options, and how many draws were shared where it makes a difference."""
    is_said = shared_draws is None or any(each.startswith("--shared-draws") for each in told)
    return (*told, *([] if is_said else [f"--shared-draws {shared_draws}"]))


def _limited(cases: TaskCases, limit: int | None) -> TaskCases:
    return replace(cases, queries=cases.queries[:limit])


def _expect_same(rows: Sequence[Mapping[str, Any]], job: Job, runner: Runner) -> None:
    """Make sure that rows which are there were made as those to come will be.

    Raises:
        ResultsError: they were not.
    """
    about = runner.method.about
    wanted = {
        "protocol": job.suite.protocol,
        "version": about.version,
        "weights": about.weights,
        "support": runner.support,
        "draws": runner.draws,
    }
    differing = [
        name
        for name, value in wanted.items()
        if any(row[name] not in (value, None) for row in rows)
    ]
    if differing:
        said = " and ".join(_DIFFERENCES.get(name, name) for name in differing)
        raise ResultsError(
            f"{job.path} was made with another {said}", "Delete it, or name another --out."
        )
