"""Run a method on a suite: every query with each of its supports, a row for each."""

from __future__ import annotations

import platform
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cases import CaseReader, Example, TaskCases, draw_support, find_cases
from benchmark.method import About, Method, MethodError, make_method
from benchmark.metrics import score
from benchmark.peak_memory import forget_peak, peak_memory
from benchmark.results import (
    ENSEMBLE,
    POOL,
    Provenance,
    ResultsError,
    folder_of,
    read_rows,
    sweep,
    write_rows,
)
from benchmark.suite import Suite
from megamedical import __version__
from megamedical.building.workers import Workers
from megamedical.files.locking import held
from megamedical.reporting.progress import Listener
from megamedical.store.store import Store, open_store


@dataclass(frozen=True)
class Job:
    """A task of a suite that a method is to be run on, with one support size."""

    suite: Suite
    store: str
    method: str
    cases: TaskCases
    support_size: int
    path: Path


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
) -> RunReport:
    """Run a method on all tasks of a suite that a store has.

    Rows that are in `out` already are kept, so a run that was broken off goes on where it was. What
    failed is tried again, and what was made of other data is made anew. One run at a time is at
    work on the rows of a method, a suite and a folder.

    Args:
        suite: what is asked.
        store: what it is asked about.
        method: `name` or `name:argument`.
        out: the folder of all results.
        workers: who does the work, a task at a time.
        listener: hears how it goes.
        limit: queries of each task, for a quick look.

    Raises:
        MethodError: there is no such method, or it would be trained on what it is to be scored on.
        SuiteError: the store has nothing of the suite.
        InUseError: another run makes these rows; the message says which, and since when.
    """
    made = make_method(method)
    if made.uses_pool and suite.support == suite.evaluated:
        raise MethodError(
            f"{method} is trained on all of the {suite.support} split, which {suite.id} evaluates",
            "Leave it out, or evaluate another split.",
        )
    cases = find_cases(suite, store)
    folder = folder_of(out, suite.id, made.about)
    sizes = (POOL,) if made.uses_pool else tuple(dict.fromkeys(suite.support_sizes))
    jobs = [
        Job(
            suite,
            store.location.absolute,
            method,
            _limited(task, limit),
            size,
            folder / f"{task.task.replace('/', '--')}-s{size}.parquet",
        )
        for task in cases.tasks
        for size in sizes
    ]
    provenance = Provenance(
        method,
        made.about,
        hardware(),
        __version__,
        str(store.location),
        store.attributes.fingerprint,
        cases.missing,
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
    method = make_method(job.method)
    sweep(job.path)
    before = read_rows(job.path)
    _expect_same(before, job, method.about)
    rows = _usable(before, job)
    runner = _Runner(job, method)
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
        if all(row["data"] == job.cases.fingerprint and not row["failure"] for row in each)
    }


class _Runner:
    """Runs a method on the queries of one task."""

    def __init__(self, job: Job, method: Method) -> None:
        self._job = job
        self._method = method
        self._reader = CaseReader(open_store(job.store), job.cases.group)
        self._is_fitted = False
        self._fault: Exception | None = None

    def rows(self, query: Example) -> Iterator[dict[str, Any]]:
        """The row of each draw, then that of their ensemble."""
        image, truth = self._reader.query(query)
        predictions, seconds, failures = [], [], []
        draws = 1 if self._method.uses_pool else self._job.suite.draws
        for draw in range(draws):
            begun = time.perf_counter()
            try:
                predictions.append(self._predicted(query, image, draw))
                failures.append("")
            except Exception as error:  # one method's fault must not stop the others
                predictions.append(np.zeros_like(image))
                failures.append(f"{type(error).__name__}: {error}")
            seconds.append(time.perf_counter() - begun)
        if draws > 1:
            for draw in range(draws):
                yield self._row(
                    query, draw, predictions[draw], truth, seconds[draw], failures[draw]
                )
        failed = next(filter(None, failures), "")
        ensemble = np.mean(predictions, axis=0)
        yield self._row(query, ENSEMBLE, ensemble, truth, sum(seconds), failed)

    def _predicted(
        self, query: Example, image: NDArray[np.float32], draw: int
    ) -> NDArray[np.float32]:
        job, method = self._job, self._method
        if method.uses_pool:
            self._fit_once()
        else:
            examples = draw_support(job.suite, job.cases, query, draw, job.support_size)
            method.fit(self._reader.support(examples), seed=job.suite.seed + draw)
        found = np.asarray(method.predict(image[None].copy()), dtype=np.float32)
        if found.shape != (1, *image.shape) or not ((found >= 0) & (found <= 1)).all():
            raise ValueError(
                f"{method.about.name} gave no probabilities in [0, 1] of shape {(1, *image.shape)}"
            )
        return found[0]

    def _fit_once(self) -> None:
        """Fit the pool of the task; what failed once would only fail again, after as long."""
        if self._fault:
            raise self._fault
        if not self._is_fitted:
            try:
                self._method.fit(self._reader.support(self._job.cases.pool), self._job.suite.seed)
            except Exception as error:
                self._fault = error
                raise
            self._is_fitted = True

    def _row(
        self,
        query: Example,
        draw: int,
        found: NDArray[Any],
        truth: NDArray[np.float32],
        seconds: float,
        failure: str,
    ) -> dict[str, Any]:
        job, about, suite = self._job, self._method.about, self._job.suite
        scores: Mapping[str, float | None] = dict.fromkeys(("dice", "hd95", "assd", "surface_dice"))
        if not failure:
            scores = asdict(score(found, truth, suite.threshold, suite.both_empty))
        is_shown = draw == ENSEMBLE and not failure
        return {
            "suite": suite.id,
            "protocol": suite.protocol,
            "data": job.cases.fingerprint,
            "method": about.name,
            "version": about.version,
            "weights": about.weights,
            "task": job.cases.task,
            "dataset": job.cases.dataset,
            "group": job.cases.group,
            "subject": query.subject,
            "patient": query.patient,
            "support_size": job.support_size,
            "draw": draw,
            **scores,
            "seconds": seconds,
            "memory": peak_memory(),
            "mask": packed(found > suite.threshold) if is_shown else None,
            "failure": failure,
        }


def packed(mask: NDArray[np.bool_]) -> bytes:
    """A mask (H, W) in few bytes."""
    return zlib.compress(np.packbits(mask).tobytes())


def unpacked(content: bytes, side: int) -> NDArray[np.bool_]:
    """The mask (side, side) that `packed` made small."""
    unzipped = zlib.decompressobj().decompress(content, max_length=side * side)
    bits = np.frombuffer(unzipped, np.uint8)
    return np.unpackbits(bits, count=side * side).reshape(side, side).astype(bool)


def hardware() -> str:
    """The machine, in words."""
    import psutil

    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 1e9
    return f"{cores} cores ({platform.processor() or platform.machine()}), {memory:.0f} GB"


def _limited(cases: TaskCases, limit: int | None) -> TaskCases:
    return replace(cases, queries=cases.queries[:limit])


def _expect_same(rows: Sequence[Mapping[str, Any]], job: Job, about: About) -> None:
    """Make sure that rows which are there were made as those to come will be.

    Raises:
        ResultsError: they were not.
    """
    wanted = {
        "protocol": job.suite.protocol,
        "version": about.version,
        "weights": about.weights,
    }
    differing = [name for name, value in wanted.items() if any(row[name] != value for row in rows)]
    if differing:
        raise ResultsError(
            f"{job.path} was made with another {' and '.join(differing)}",
            "Delete it, or name another --out.",
        )
