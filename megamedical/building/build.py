"""The build: archives in, a store out, in stages that can each be interrupted and taken up again.

obtain archives -> match subjects -> process each subject -> pack each group -> publish the tables
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from megamedical.building.group_job import DamagedRecords, GroupJob, PackedGroup, pack
from megamedical.building.group_plan import GroupPlan, Settings, plan_groups
from megamedical.building.leftovers import at_work_in
from megamedical.building.obtained import obtain_archives
from megamedical.building.packed_before import Before, refuse_to_lose, remember
from megamedical.building.record import Staged
from megamedical.building.report import BuildReport, GroupOutcome, Missing, stop
from megamedical.building.subject_job import Job, process
from megamedical.building.workers import WorkerError, Workers, workers
from megamedical.catalogue.datasets import Catalog, Selection, catalog
from megamedical.catalogue.manifest import Role
from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.files.writing import unfinished_name
from megamedical.obtaining.archive_content import Unpacked, obtain_unpacked
from megamedical.obtaining.sources import expect_mirror, raw_folder
from megamedical.reporting import afar
from megamedical.reporting.progress import Listener, Silence
from megamedical.store import publishing
from megamedical.store.attributes import DamagedStore, StoreAttributes
from megamedical.store.location import Location
from megamedical.store.tables import FAILURES
from megamedical.subjects.subject import Failure

Failures = Mapping[str, list[Failure]]  # by `<dataset>/<group>`

_ATTEMPTS = 3  # at records that are read back as what was written


def build(
    *names: str,
    store: str | Path,
    raw: str | Path | None = None,
    mirror: str | Path | None = None,
    role: Role | None = None,
    everything: bool = False,
    resolution: int = 128,
    seed: int = 0,
    tasks: int | None = None,
    subjects: int | None = None,
    known_errors: Literal["keep", "drop"] = "drop",
    checksum: bool = True,
    offline: bool = False,
    workers_count: int | None = None,
    scheduler: str | None = None,
    subject_minutes: float = 30.0,
    mend: bool = False,
    listener: Listener | None = None,
    manifests: Catalog | None = None,
) -> BuildReport:
    """Build datasets into a store; what is there already, and whole, is not done again.

    A group whose files have changed or gone is made anew; so are all groups of a store whose tables
    are damaged, which must then be asked for.

    Args:
        names: `DATASET` or `DATASET/GROUP`.
        store: folder or URL of the store; groups are added to one that is there.
        raw: folder for archives, what is unpacked from them, and staged records; by default `raw`
            beside the store.
        mirror: folder with archives at `<mirror>/<dataset>/<file name>`, looked at first.
        role: build every dataset of this role.
        everything: build every dataset but those of role `extra`.
        resolution: height and width of the slices, in pixels.
        seed: of the splits.
        tasks: number of tasks of a generated dataset.
        subjects: number of subjects of each of them.
        known_errors: whether subjects that are known to be wrong are kept or dropped.
        checksum: whether archives are checked against their checksums.
        offline: never use the network.
        workers_count: processes on this machine, by default one per core; 0 for this process.
        scheduler: address of a Dask scheduler whose workers are taken instead.
        subject_minutes: how long a worker on this machine may take for a subject, which then has
            failed.
        mend: read every file of what is there, for damage that neither size nor time tells.
        listener: hears of the progress.
        manifests: the catalogue, by default the packaged one.

    Raises:
        MegaMedicalError: nothing can be built: no such dataset, a store of another resolution, a
            full disk, a damaged store with groups that were not asked for. What is wrong with one
            archive or one subject is in the report instead.
    """
    chosen = (manifests or catalog()).select(
        names, role=role, everything=everything, tasks=tasks, subjects=subjects
    )
    mirror = None if mirror is None else Path(mirror).resolve()
    expect_mirror(mirror)
    location = Location(store)
    listener = listener or Silence()
    remains = None
    try:
        attributes = publishing.begin(location, resolution, seed)
    except DamagedStore as damage:
        attributes = remains = publishing.remains(location, resolution, seed)
        asked = {path for path in attributes.groups if any(each.has(path) for each in chosen)}
        refuse_to_lose(attributes, asked, damage.problem)
        listener.say(f"{damage.problem}: the whole store is made anew")
    settings = Settings(raw_folder(location, raw), resolution, seed, known_errors == "keep")
    with (
        at_work_in(settings.raw, [selection.dataset.id for selection in chosen]),
        workers(workers_count, scheduler) as crew,
    ):
        work = _Build(
            location=location,
            attributes=attributes,
            remains=remains,
            settings=settings,
            mirror=mirror,
            checksum=checksum,
            offline=offline,
            crew=crew,
            subject_minutes=subject_minutes,
            mend=mend,
            listener=listener,
        )
        return work.run(chosen)


@dataclass
class _Build:
    """One run of `build`, stage by stage."""

    location: Location
    attributes: StoreAttributes
    remains: StoreAttributes | None
    settings: Settings
    mirror: Path | None
    checksum: bool
    offline: bool
    crew: Workers
    subject_minutes: float
    mend: bool
    listener: Listener
    missing: list[Missing] = field(default_factory=list)

    def run(self, chosen: Sequence[Selection]) -> BuildReport:
        unpacked, self.missing = obtain_archives(
            chosen,
            partial(
                obtain_unpacked,
                raw=self.settings.raw,
                mirror=self.mirror,
                checksum=self.checksum,
                offline=self.offline,
                tell=afar.tell,
            ),
            self.crew,
            self.listener,
        )
        plans = self._match(chosen, unpacked)
        before = Before(self.location, self.attributes.groups, self.mend)
        there = before.outcomes(plans)
        paths = {plan.path for plan in plans}
        if self.remains:
            refuse_to_lose(self.remains, paths, *(each.what for each in self.missing))
        if self.mend:
            self.missing += before.damage_beside(paths)
        todo = [plan for plan in plans if plan.path not in there]
        failures = self._process(todo)
        made: dict[str, GroupOutcome] = {}
        attributes = self.attributes
        if todo:
            doing = f"building {', '.join(sorted({plan.dataset.id for plan in todo}))}"
            with publishing.turn(
                self.location, doing=doing, tell=self.listener.say, instead=self.remains
            ) as turn:
                # Another build may have been here.
                before = Before(self.location, turn.attributes.groups, self.mend)
                there |= before.outcomes(todo, self.listener.say)
                todo = [plan for plan in todo if plan.path not in there]
                attributes = turn.attributes
                if todo:
                    packed = self._pack(todo, failures, turn)
                    attributes = self._publish(todo, packed, failures, turn)
                    made = self._remember(todo, packed, failures)
        return BuildReport(
            store=str(self.location),
            groups=[(there | made)[plan.path] for plan in plans],
            failures=[failure for plan in todo for failure in failures[plan.path]],
            missing=self.missing,
            fingerprint=attributes.fingerprint,
        )

    def _remember(
        self, plans: Sequence[GroupPlan], packed: Mapping[str, PackedGroup], failures: Failures
    ) -> dict[str, GroupOutcome]:
        made = {}
        for plan in plans:
            group = packed.get(plan.path)
            made[plan.path] = GroupOutcome.of(plan, group, failures[plan.path])
            if group:
                remember(plan, group.fingerprint, made[plan.path], self.location)
        return made

    def _match(
        self, chosen: Sequence[Selection], unpacked: Mapping[tuple[str, str], Unpacked]
    ) -> list[GroupPlan]:
        """The groups that can be built, with their subjects and splits."""
        plans = []
        for selection in chosen:
            planned, missing = plan_groups(selection, unpacked, self.settings)
            plans += planned
            self.missing += missing
        return plans

    def _process(self, plans: Sequence[GroupPlan]) -> Failures:
        """Stage a record of every subject; the failures of each group, with those of matching."""
        failures = {plan.path: list(plan.failures) for plan in plans}
        self._stage([job for plan in plans for job in plan.jobs], failures)
        return failures

    def _stage(self, jobs: Sequence[Job], failures: Failures) -> None:
        if not jobs:
            return
        with self.listener.stage("process", len(jobs), "subjects") as step:
            for job, result in self.crew.run(process, jobs, self.subject_minutes):
                path = f"{job.dataset}/{job.group_name}"
                if isinstance(result, Failure):
                    failures[path].append(result)
                elif isinstance(result, Exception):
                    failures[path].append(_died(job, result))
                step(f"{path} {job.subject.name}")
        for found in failures.values():
            found.sort(key=lambda failure: (failure.subject, failure.file))

    def _pack(
        self, plans: Sequence[GroupPlan], failures: Failures, turn: publishing.Turn
    ) -> dict[str, PackedGroup]:
        """Write the arrays of every group that has a subject; damaged records are made again."""
        packed: dict[str, PackedGroup] = {}
        for _ in range(_ATTEMPTS):
            jobs = [
                self._group_job(plan, records, turn.place(plan.path))
                for plan in plans
                if plan.path not in packed and (records := _records(plan, failures))
            ]
            damaged = self._pack_once(jobs, packed)
            if not damaged:
                return packed
            self._stage(
                [
                    job
                    for plan in plans
                    for job in plan.jobs
                    if job.subject.name in damaged.get(plan.path, ())
                ],
                failures,
            )
        raise MegaMedicalError(
            f"What is written to {self.settings.raw} is read back as something else, again and "
            f"again: records of {', '.join(damaged)}",
            "Look after its disk, or name a folder on another: --raw.",
        )

    def _pack_once(
        self, jobs: Sequence[GroupJob], packed: dict[str, PackedGroup]
    ) -> dict[str, Sequence[str]]:
        """Pack groups; of those that cannot be, the subjects whose records are damaged."""
        damaged: dict[str, Sequence[str]] = {}
        if not jobs:
            return damaged
        with self.listener.stage("pack", len(jobs), "groups") as step:
            for job, result in self.crew.run(pack, jobs):
                path = f"{job.dataset}/{job.name}"
                if isinstance(result, DamagedRecords):
                    damaged[path] = result.subjects
                elif isinstance(result, Exception):
                    stop(result)
                else:
                    packed[path] = result
                step(path)
        return damaged

    def _group_job(self, plan: GroupPlan, records: Mapping[str, Staged], place: str) -> GroupJob:
        return GroupJob(
            store=self.location.absolute,
            dataset=plan.dataset.id,
            name=plan.name,
            group=plan.group,
            role=plan.dataset.role,
            resolution=self.settings.resolution,
            seed=self.settings.seed,
            records=records,
            splits=plan.splits,
            place=place,
            expected=plan.expected,
            tables=unfinished_name(plan.folder / "tables"),  # of this build alone
            known_errors=plan.known_errors,
        )

    def _publish(
        self,
        plans: Sequence[GroupPlan],
        packed: Mapping[str, PackedGroup],
        failures: Failures,
        turn: publishing.Turn,
    ) -> StoreAttributes:
        """Put the groups into the store's tables."""
        rows: dict[str, list[pa.Table]] = {
            name: [pq.read_table(group.tables / f"{name}.parquet") for group in packed.values()]
            for name in ("groups", "tasks", "examples", "subjects")
        }
        failed = [vars(failure) for plan in plans for failure in failures[plan.path]]
        rows["failures"] = [pa.Table.from_pylist(failed, schema=FAILURES)]
        groups = {path: group.fingerprint for path, group in packed.items()}
        provenances = {plan.dataset.id: plan.provenance for plan in plans}
        attributes = turn.publish(groups, rows, [plan.path for plan in plans], provenances)
        for group in packed.values():
            shutil.rmtree(group.tables, ignore_errors=True)
        return attributes


def _records(plan: GroupPlan, failures: Failures) -> dict[str, Staged]:
    """The records of a group's subjects, but for those that failed."""
    failed = {failure.subject for failure in failures[plan.path]}
    return {
        job.subject.name: Staged(job.target, job.fingerprint)
        for job in plan.jobs
        if job.subject.name not in failed
    }


def _died(job: Job, error: Exception) -> Failure:
    """The row of a subject that nobody can process; an error of the disk stops the build."""
    if isinstance(error, (OSError, MegaMedicalError)) and not isinstance(error, SubjectError):
        stop(error)
    reason = str(error) if isinstance(error, WorkerError) else f"{type(error).__name__}: {error}"
    died = SubjectError("process", job.subject.image, reason)
    return Failure.of(job.dataset, job.group_name, job.subject.name, died)
