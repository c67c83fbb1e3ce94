"""The build: archives in, a store out, in stages that can each be interrupted and taken up again.

obtain archives -> match subjects -> process each subject -> pack each group -> publish the tables
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from megamedical.building.group_job import GroupJob, PackedGroup, pack
from megamedical.building.record import record_path
from megamedical.building.splits import assign_splits
from megamedical.building.subject_job import Job, digest, fingerprint_of, process
from megamedical.building.workers import Workers, workers
from megamedical.catalogue.datasets import Catalog, Selection, catalog
from megamedical.catalogue.group import Group
from megamedical.catalogue.manifest import DatasetManifest, Role
from megamedical.errors import ArchiveError, MegaMedicalError, SubjectError, Unobtainable
from megamedical.files.disk import explain_full
from megamedical.files.writing import whole_file
from megamedical.obtaining.archive_content import Unpacked, files_of, obtain_unpacked
from megamedical.obtaining.sources import raw_folder
from megamedical.processing import synthetic
from megamedical.reporting.progress import Listener, Silence
from megamedical.store import store as stores
from megamedical.store.location import Location
from megamedical.store.tables import FAILURES
from megamedical.subjects.matching import Failure, Subject, find_subjects


@dataclass(frozen=True)
class Missing:
    """Something that cannot be had here, the groups left out for it, and what to do."""

    what: str
    groups: Sequence[str]
    remedy: str


@dataclass(frozen=True)
class GroupOutcome:
    """What became of one group: a row of the summary."""

    path: str
    subjects: int
    failed: int
    tasks: int
    images: int
    masks: int
    was_there: bool


@dataclass(frozen=True)
class BuildReport:
    """What a build did: its groups, the subjects that failed, and what could not be had."""

    store: str
    groups: Sequence[GroupOutcome]
    failures: Sequence[Failure]
    missing: Sequence[Missing]
    fingerprint: str

    @property
    def is_complete(self) -> bool:
        """Whether everything that was asked for is in the store."""
        return not self.failures and not self.missing


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
    checksum: bool = True,
    offline: bool = False,
    workers_count: int | None = None,
    scheduler: str | None = None,
    listener: Listener | None = None,
    manifests: Catalog | None = None,
) -> BuildReport:
    """Build datasets into a store; what is there already is not done again.

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
        checksum: whether archives are checked against their checksums.
        offline: never use the network.
        workers_count: processes on this machine, by default one per core; 0 for this process.
        scheduler: address of a Dask scheduler whose workers are taken instead.
        listener: hears of the progress.
        manifests: the catalogue, by default the packaged one.

    Raises:
        MegaMedicalError: nothing can be built: no such dataset, a store of another resolution, a
            full disk. What is wrong with one archive or one subject is in the report instead.
    """
    chosen = (manifests or catalog()).select(
        names, role=role, everything=everything, tasks=tasks, subjects=subjects
    )
    location = Location(store)
    attributes = stores.begin(location, resolution, seed)
    with workers(workers_count, scheduler) as crew:
        work = _Build(
            location=location,
            attributes=attributes,
            raw=raw_folder(location, raw),
            mirror=None if mirror is None else Path(mirror).resolve(),
            resolution=resolution,
            seed=seed,
            checksum=checksum,
            offline=offline,
            crew=crew,
            listener=listener or Silence(),
        )
        return work.run(chosen)


class _Matched(NamedTuple):
    """The subjects of a group, what could not be matched, and the digest of its archives."""

    subjects: Sequence[Subject]
    failures: Sequence[Failure] = ()
    source: str = ""


@dataclass(frozen=True)
class _Plan:
    """A group that can be built: its subjects, their splits, and where its records go."""

    dataset: DatasetManifest
    name: str
    group: Group
    jobs: Sequence[Job]
    splits: Mapping[str, str]
    failures: Sequence[Failure]
    folder: Path

    @property
    def path(self) -> str:
        return f"{self.dataset.id}/{self.name}"

    @property
    def inputs(self) -> str:
        """What the group is made from, as far as is known without reading a file."""
        records = sorted(job.fingerprint for job in self.jobs)
        return digest([self.dataset.role, records, dict(self.splits)])


@dataclass
class _Build:
    """One run of `build`, stage by stage."""

    location: Location
    attributes: stores.StoreAttributes
    raw: Path
    mirror: Path | None
    resolution: int
    seed: int
    checksum: bool
    offline: bool
    crew: Workers
    listener: Listener
    missing: list[Missing] = field(default_factory=list)

    def run(self, chosen: Sequence[Selection]) -> BuildReport:
        unpacked = self._obtain(chosen)
        plans = [plan for selection in chosen for plan in self._match(selection, unpacked)]
        groups = self.attributes.groups
        there = {p.path: found for p in plans if (found := _there(p, groups.get(p.path)))}
        todo = [plan for plan in plans if plan.path not in there]
        failures = self._process(todo)
        packed = self._pack(todo, failures)
        attributes = self._publish(todo, packed, failures) if todo else self.attributes
        outcomes = [
            there.get(plan.path) or _outcome(plan, packed.get(plan.path), failures[plan.path])
            for plan in plans
        ]
        return BuildReport(
            store=str(self.location),
            groups=outcomes,
            failures=[failure for plan in todo for failure in failures[plan.path]],
            missing=self.missing,
            fingerprint=attributes.fingerprint,
        )

    def _obtain(self, chosen: Sequence[Selection]) -> dict[tuple[str, str], Unpacked]:
        """Every archive that is needed, unpacked, by dataset and name."""
        needed = {
            (s.dataset.id, archive.name): (s.dataset, archive)
            for s in chosen
            for archive in s.archives
        }
        if not needed:
            return {}
        unpacked: dict[tuple[str, str], Unpacked] = {}
        errors: dict[tuple[str, str], Exception] = {}
        fetch = partial(
            obtain_unpacked,
            raw=self.raw,
            mirror=self.mirror,
            checksum=self.checksum,
            offline=self.offline,
        )
        with self.listener.stage("obtain", len(needed), "archives") as step:
            for (dataset, archive), result in self.crew.run(fetch, list(needed.values())):
                key = (dataset.id, archive.name)
                if isinstance(result, Unpacked):
                    unpacked[key] = result
                elif isinstance(result, (Unobtainable, ArchiveError)):
                    errors[key] = result
                else:
                    _stop(result)
                step(archive.name)
        for (dataset_id, name), error in sorted(errors.items()):
            self._miss(dataset_id, name, error, chosen)
        return unpacked

    def _miss(
        self, dataset: str, archive: str, error: Exception, chosen: Sequence[Selection]
    ) -> None:
        (selection,) = (s for s in chosen if s.dataset.id == dataset)
        groups = [
            f"{dataset}/{name}"
            for name in selection.groups
            if archive in selection.dataset.needed_by(name)
        ]
        problem = error.problem if isinstance(error, MegaMedicalError) else str(error)
        remedy = error.remedy if isinstance(error, MegaMedicalError) else ""
        self.missing.append(Missing(problem, groups, remedy))

    def _miss_unread(self, selection: Selection, unread: str, error: MegaMedicalError) -> None:
        """Nor can the groups be built whose splits are made together with those of one unread."""
        dataset = selection.dataset
        groups = [
            f"{dataset.id}/{name}"
            for name in selection.groups
            if unread in dataset.together_with(name)
        ]
        self.missing.append(Missing(error.problem, groups, error.remedy))

    def _match(
        self, selection: Selection, unpacked: Mapping[tuple[str, str], Unpacked]
    ) -> Iterable[_Plan]:
        """The groups of a dataset that can be built, with their subjects and splits."""
        dataset = selection.dataset
        if dataset.generator:
            yield from self._drawn(selection)
            return
        found = dict(self._matched(selection, unpacked))
        together = _patients(dataset, found)
        for name in selection.groups:
            if found.keys() >= set(dataset.together_with(name)):
                group, matched = dataset.groups[name], found[name]
                splits = assign_splits(together[name], self.seed)
                own = {subject.patient: splits[subject.patient] for subject in matched.subjects}
                yield self._plan(dataset, name, group, matched, own)

    def _drawn(self, selection: Selection) -> Iterable[_Plan]:
        generator = selection.dataset.generator
        if generator is None:
            return
        drawn_groups = synthetic.groups(generator, selection.tasks, selection.subjects)
        for name, group in drawn_groups.items():
            drawn = [Subject(f"{n:04d}", f"{name}-{n:04d}") for n in range(group.subjects)]
            splits = assign_splits({name: [s.patient for s in drawn]}, self.seed)
            yield self._plan(selection.dataset, name, group, _Matched(drawn), splits)

    def _matched(
        self, selection: Selection, unpacked: Mapping[tuple[str, str], Unpacked]
    ) -> Iterable[tuple[str, _Matched]]:
        """Each group of a dataset whose archives are all here, and can be read."""
        dataset = selection.dataset
        for name, group in dataset.groups.items():
            needed = dataset.needed_by(name)
            if not all((dataset.id, archive) in unpacked for archive in needed):
                continue
            read = dataset.archives_of(name)
            tree = files_of(unpacked[dataset.id, archive.name] for archive in read)
            try:
                subjects, failures = find_subjects(dataset.id, name, group, tree)
            except MegaMedicalError as error:
                self._miss_unread(selection, name, error)
                continue
            if len(dataset.groups) > 1 and not dataset.shares_patients:
                cohort = group.cohort or name
                subjects = [replace(s, patient=f"{cohort}/{s.patient}") for s in subjects]
            source = digest([unpacked[dataset.id, archive].digest for archive in needed])
            yield name, _Matched(subjects, failures, source)

    def _plan(
        self,
        dataset: DatasetManifest,
        name: str,
        group: Group,
        matched: _Matched,
        splits: Mapping[str, str],
    ) -> _Plan:
        folder = self.raw / dataset.id / "staged" / str(self.resolution) / name
        jobs = [
            Job(
                dataset=dataset.id,
                group_name=name,
                group=group,
                subject=subject,
                resolution=self.resolution,
                target=record_path(folder, subject.name),
                fingerprint=fingerprint_of(group, subject, self.resolution, matched.source),
            )
            for subject in matched.subjects
        ]
        return _Plan(dataset, name, group, jobs, splits, matched.failures, folder)

    def _process(self, plans: Sequence[_Plan]) -> dict[str, list[Failure]]:
        """Stage a record of every subject; the failures of each group, with those of matching."""
        failures = {plan.path: list(plan.failures) for plan in plans}
        jobs = [job for plan in plans for job in plan.jobs]
        if not jobs:
            return failures
        with self.listener.stage("process", len(jobs), "subjects") as step:
            for job, result in self.crew.run(process, jobs):
                path = f"{job.dataset}/{job.group_name}"
                if isinstance(result, Failure):
                    failures[path].append(result)
                elif isinstance(result, Exception):
                    failures[path].append(_died(job, result))
                step(f"{path} {job.subject.name}")
        for found in failures.values():
            found.sort(key=lambda failure: (failure.subject, failure.file))
        return failures

    def _pack(
        self, plans: Sequence[_Plan], failures: Mapping[str, Sequence[Failure]]
    ) -> dict[str, PackedGroup]:
        """Write the arrays of every group that has a subject."""
        stores.withdraw(self.location, [plan.path for plan in plans])
        jobs = []
        for plan in plans:
            failed = {failure.subject for failure in failures[plan.path]}
            records = {
                job.subject.name: job.target for job in plan.jobs if job.subject.name not in failed
            }
            if records:
                jobs.append(self._group_job(plan, records))
        packed: dict[str, PackedGroup] = {}
        if not jobs:
            return packed
        stores.make_datasets(self.location, [f"{job.dataset}/{job.name}" for job in jobs])
        with self.listener.stage("pack", len(jobs), "groups") as step:
            for job, result in self.crew.run(pack, jobs):
                if isinstance(result, Exception):
                    _stop(result)
                packed[result.path] = result
                step(f"{job.dataset}/{job.name}")
        return packed

    def _group_job(self, plan: _Plan, records: Mapping[str, Path]) -> GroupJob:
        return GroupJob(
            store=self.location.absolute,
            dataset=plan.dataset.id,
            name=plan.name,
            group=plan.group,
            role=plan.dataset.role,
            resolution=self.resolution,
            seed=self.seed,
            records=records,
            splits=plan.splits,
            tables=plan.folder / "tables",
        )

    def _publish(
        self,
        plans: Sequence[_Plan],
        packed: Mapping[str, PackedGroup],
        failures: Mapping[str, Sequence[Failure]],
    ) -> stores.StoreAttributes:
        """Put the groups into the store's tables, and remember what they were made from."""
        rows: dict[str, list[pa.Table]] = {
            name: [pq.read_table(group.tables / f"{name}.parquet") for group in packed.values()]
            for name in ("tasks", "examples", "subjects")
        }
        failed = [vars(failure) for plan in plans for failure in failures[plan.path]]
        rows["failures"] = [pa.Table.from_pylist(failed, schema=FAILURES)]
        groups = {path: group.fingerprint for path, group in packed.items()}
        attributes = stores.publish(self.location, groups, rows)
        for plan in plans:
            if plan.path in packed:
                outcome = _outcome(plan, packed[plan.path], failures[plan.path])
                memory = {
                    "inputs": plan.inputs,
                    "fingerprint": groups[plan.path],
                    "outcome": vars(outcome),
                }
                with (
                    explain_full(plan.folder, None, "what was packed"),
                    whole_file(plan.folder / "packed.json") as path,
                ):
                    path.write_text(json.dumps(memory), encoding="utf-8")
        return attributes


def _patients(
    dataset: DatasetManifest, found: Mapping[str, _Matched]
) -> dict[str, dict[str, list[str]]]:
    """For each group, the patients of all groups whose splits are made together with its own."""
    patients = {name: [s.patient for s in each.subjects] for name, each in found.items()}
    return {
        name: {other: patients[other] for other in dataset.together_with(name) if other in patients}
        for name in patients
    }


def _outcome(plan: _Plan, packed: PackedGroup | None, failures: Sequence[Failure]) -> GroupOutcome:
    return GroupOutcome(
        path=plan.path,
        subjects=packed.subjects if packed else 0,
        failed=len(failures),
        tasks=packed.tasks if packed else 0,
        images=packed.images if packed else 0,
        masks=packed.masks if packed else 0,
        was_there=False,
    )


def _there(plan: _Plan, fingerprint: str | None) -> GroupOutcome | None:
    """The outcome of an earlier build, if the store has the group as it would be built now."""
    try:
        earlier = json.loads((plan.folder / "packed.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if fingerprint != earlier["fingerprint"] or plan.inputs != earlier["inputs"]:
        return None
    if earlier["outcome"]["failed"]:  # may have been mended
        return None
    return GroupOutcome(**{**earlier["outcome"], "was_there": True})


def _died(job: Job, error: Exception) -> Failure:
    """The row of a subject whose workers died; an error of the disk stops the build instead."""
    if isinstance(error, (OSError, MegaMedicalError)) and not isinstance(error, SubjectError):
        _stop(error)
    reason = f"its worker died: {type(error).__name__} (out of memory?)"
    died = SubjectError("process", job.subject.image, reason)
    return Failure.of(job.dataset, job.group_name, job.subject.name, died)


def _stop(error: Exception) -> NoReturn:
    """What stops a whole build, in words."""
    if isinstance(error, MegaMedicalError):
        raise error
    raise MegaMedicalError(
        f"The build had to stop: {type(error).__name__}: {error}",
        "What is finished is kept: mend what it says, and run the same command again.",
    ) from error
