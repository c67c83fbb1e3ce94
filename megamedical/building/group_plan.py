"""The groups that can be built: of each its subjects, their splits, and where their records go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain
from pathlib import Path

from megamedical.building.record import record_path
from megamedical.building.report import Missing
from megamedical.building.splits import SPLITTING, assign_splits
from megamedical.building.subject_job import Job, basis_of, digest, fingerprint_of
from megamedical.catalogue.datasets import Selection
from megamedical.catalogue.group import DrawnGroup, FileGroup
from megamedical.catalogue.honesty import KnownError
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import MegaMedicalError
from megamedical.obtaining.archive_content import Unpacked
from megamedical.processing import synthetic
from megamedical.sharing.terms import provenance_of
from megamedical.store.describing.provenance import Provenance
from megamedical.subjects.matching import find_subjects
from megamedical.subjects.subject import Failure, Subject, Tree

Archives = Mapping[tuple[str, str], Unpacked]  # by dataset and name


@dataclass(frozen=True)
class Settings:
    """What all groups of a build have in common.

    Attributes:
        raw: folder of what is staged.
        resolution: height and width of the slices, in pixels.
        seed: of the splits.
        keeps_known_errors: whether subjects are built too that are known to be wrong.
    """

    raw: Path
    resolution: int
    seed: int
    keeps_known_errors: bool = False


@dataclass(frozen=True)
class GroupPlan:
    """A group that can be built; `splits` are by patient, `folder` is that of its records.

    `left_out` are the subjects that are known to be wrong, `known_errors` what is said of those
    that are kept all the same.
    """

    dataset: DatasetManifest
    name: str
    group: FileGroup | DrawnGroup
    jobs: Sequence[Job]
    splits: Mapping[str, str]
    failures: Sequence[Failure]
    folder: Path
    left_out: Sequence[str] = ()
    known_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """`<dataset>/<group>`."""
        return f"{self.dataset.id}/{self.name}"

    @property
    def provenance(self) -> Provenance:
        """What the store says of where the dataset is from."""
        return provenance_of(self.dataset)

    @cached_property
    def inputs(self) -> str:
        """What the group is made from, as far as is known without reading a file."""
        records = sorted(job.fingerprint for job in self.jobs)
        inputs: list[object] = [self.dataset.role, records, SPLITTING, dict(self.splits)]
        if self.known_errors:
            inputs.append({name: list(said) for name, said in self.known_errors.items()})
        return digest(inputs)

    @property
    def expected(self) -> int:
        """How many subjects there are in the whole distribution, those left out not counted."""
        if not isinstance(self.group, FileGroup):
            return len(self.jobs)
        return self.group.subjects - len(self.left_out)


@dataclass(frozen=True)
class _Matched:
    """The subjects of a group, what could not be matched, and what is known to be wrong.

    `sources` are digests of the archives that each subject is from.
    """

    subjects: Sequence[Subject]
    failures: Sequence[Failure] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    known_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)


def plan_groups(
    selection: Selection, unpacked: Archives, settings: Settings
) -> tuple[list[GroupPlan], list[Missing]]:
    """The groups of a dataset that can be built, and those that cannot though they are here.

    Groups whose splits are made together are built only where all of them can be matched.
    """
    if selection.dataset.generator:
        return list(_drawn_groups(selection, settings)), []
    dataset = selection.dataset
    found: dict[str, _Matched] = {}
    here = {archive for id_, archive in unpacked if id_ == dataset.id}
    missing = []

    @cache  # groups may share an archive, and walking through one of many files takes a while
    def files_of(archive: str) -> Tree:
        return unpacked[dataset.id, archive].files()

    for name, group in dataset.groups.items():
        if dataset.suffice(name, here):
            try:
                found[name] = _match(dataset, name, group, unpacked, files_of, settings)
            except MegaMedicalError as error:
                missing.append(Missing.for_want_of(error, _split_with(selection, name)))
    plans = []
    for name in selection.groups:
        together = dataset.together_with(name)
        if found.keys() >= set(together):
            patients = [s.patient for other in together for s in found[other].subjects]
            splits = assign_splits(dataset.id, patients, settings.seed)
            plans.append(_plan(dataset, name, dataset.groups[name], found[name], splits, settings))
    return plans, missing


def _match(
    dataset: DatasetManifest,
    name: str,
    group: FileGroup,
    unpacked: Archives,
    files_of: Callable[[str], Tree],
    settings: Settings,
) -> _Matched:
    archives = [archive.name for archive in dataset.archives_of(name)]
    here = {a: unpacked[dataset.id, a] for a in archives if (dataset.id, a) in unpacked}
    tree = dict(chain.from_iterable(files_of(archive).items() for archive in here))
    is_part = len(here) < len(archives)
    subjects, failures = find_subjects(dataset.id, name, group, tree, is_part=is_part)
    wrong = dataset.known_wrong(name)
    left_out = []
    if not settings.keeps_known_errors:
        left_out = [s.name for s in subjects if _is_left_out(wrong.get(s.name, ()))]
    kept = [subject for subject in subjects if subject.name not in left_out]
    known = {s.name: [error.what for error in wrong[s.name]] for s in kept if s.name in wrong}
    if group.parts:
        sources = {s.name: _source_in_parts(s, group, here) for s in kept}
    else:
        needed = [(dataset.id, archive) for archive in dataset.needed_by(name)]
        source = digest([unpacked[key].digest for key in needed if key in unpacked])
        sources = dict.fromkeys((s.name for s in kept), source)
    return _Matched(kept, failures, sources, left_out, known)


def _is_left_out(errors: Iterable[KnownError]) -> bool:
    return any(error.done == "left out" for error in errors)


def _source_in_parts(subject: Subject, group: FileGroup, here: Mapping[str, Unpacked]) -> str:
    """The archives of one subject: a part that comes later makes no other of it."""
    files = subject.files.values()
    return digest(
        [
            archive.digest
            for name, archive in here.items()
            if name not in group.parts or any(f.is_relative_to(archive.folder) for f in files)
        ]
    )


def _split_with(selection: Selection, group: str) -> list[str]:
    """Those of the chosen groups whose splits are made together with those of a group."""
    dataset = selection.dataset
    return [f"{dataset.id}/{n}" for n in selection.groups if group in dataset.together_with(n)]


def _prefix_of_patients(dataset: DatasetManifest, name: str) -> str:
    """What makes the patients of a group unique within the dataset."""
    if len(dataset.groups) < 2 or dataset.shares_patients:
        return ""
    return f"{dataset.groups[name].cohort or name}/"


def _drawn_groups(selection: Selection, settings: Settings) -> Iterable[GroupPlan]:
    generator = selection.dataset.generator
    if generator is None:
        return
    groups = synthetic.groups(generator, selection.tasks, selection.subjects)
    for name, group in groups.items():
        drawn = [Subject(f"{n:04d}", f"{name}-{n:04d}") for n in range(group.subjects)]
        splits = assign_splits(selection.dataset.id, [s.patient for s in drawn], settings.seed)
        yield _plan(selection.dataset, name, group, _Matched(drawn), splits, settings)


def _plan(
    dataset: DatasetManifest,
    name: str,
    group: FileGroup | DrawnGroup,
    matched: _Matched,
    splits: Mapping[str, str],
    settings: Settings,
) -> GroupPlan:
    """A group whose patients have the splits of their own names, and go by unique ones."""
    prefix = _prefix_of_patients(dataset, name)
    own = {f"{prefix}{s.patient}": splits[s.patient] for s in matched.subjects}
    subjects = matched.subjects
    if prefix:
        subjects = [replace(s, patient=f"{prefix}{s.patient}") for s in subjects]
    folder = settings.raw / dataset.id / "staged" / str(settings.resolution) / name
    sources = {s.name: matched.sources.get(s.name, "") for s in subjects}
    basis = {
        source: basis_of(group, settings.resolution, source) for source in set(sources.values())
    }
    jobs = [
        _job(dataset.id, name, group, s, settings.resolution, folder, basis[sources[s.name]])
        for s in subjects
    ]
    return GroupPlan(
        dataset=dataset,
        name=name,
        group=group,
        jobs=jobs,
        splits=own,
        failures=matched.failures,
        folder=folder,
        left_out=matched.left_out,
        known_errors=matched.known_errors,
    )


def _job(
    dataset: str,
    name: str,
    group: FileGroup | DrawnGroup,
    subject: Subject,
    resolution: int,
    folder: Path,
    basis: str,
) -> Job:
    fingerprint = fingerprint_of(basis, subject)
    target = record_path(folder, subject.name, fingerprint)
    return Job(dataset, name, group, subject, resolution, target, fingerprint)
