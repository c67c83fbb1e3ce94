"""The groups that can be built: of each its subjects, their splits, and where their records go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import chain
from pathlib import Path

from megamedical.building.record import record_path
from megamedical.building.report import Missing
from megamedical.building.splits import SPLITTING, assign_splits
from megamedical.building.subject_job import Job, basis_of, digest, fingerprint_of
from megamedical.catalogue.datasets import Selection
from megamedical.catalogue.group import DrawnGroup, FileGroup
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import MegaMedicalError
from megamedical.obtaining.archive_content import Unpacked
from megamedical.processing import synthetic
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
    """

    raw: Path
    resolution: int
    seed: int


@dataclass(frozen=True)
class GroupPlan:
    """A group that can be built; `splits` are by patient, `folder` is that of its records."""

    dataset: DatasetManifest
    name: str
    group: FileGroup | DrawnGroup
    jobs: Sequence[Job]
    splits: Mapping[str, str]
    failures: Sequence[Failure]
    folder: Path

    @property
    def path(self) -> str:
        """`<dataset>/<group>`."""
        return f"{self.dataset.id}/{self.name}"

    @cached_property
    def inputs(self) -> str:
        """What the group is made from, as far as is known without reading a file."""
        records = sorted(job.fingerprint for job in self.jobs)
        return digest([self.dataset.role, records, SPLITTING, dict(self.splits)])


@dataclass(frozen=True)
class _Matched:
    """The subjects of a group, what could not be matched, and the digest of its archives."""

    subjects: Sequence[Subject]
    failures: Sequence[Failure] = ()
    source: str = ""


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
    missing = []

    @cache  # groups may share an archive, and walking through one of many files takes a while
    def files_of(archive: str) -> Tree:
        return unpacked[dataset.id, archive].files()

    for name, group in dataset.groups.items():
        if all((dataset.id, archive) in unpacked for archive in dataset.needed_by(name)):
            try:
                found[name] = _match(dataset, name, group, unpacked, files_of)
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
) -> _Matched:
    tree = dict(chain(*(files_of(archive.name).items() for archive in dataset.archives_of(name))))
    subjects, failures = find_subjects(dataset.id, name, group, tree)
    source = digest([unpacked[dataset.id, archive].digest for archive in dataset.needed_by(name)])
    return _Matched(subjects, failures, source)


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
    subjects = [replace(s, patient=f"{prefix}{s.patient}") for s in matched.subjects]
    folder = settings.raw / dataset.id / "staged" / str(settings.resolution) / name
    basis = basis_of(group, settings.resolution, matched.source)
    jobs = [
        _job(dataset.id, name, group, subject, settings.resolution, folder, basis)
        for subject in subjects
    ]
    return GroupPlan(dataset, name, group, jobs, own, matched.failures, folder)


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
