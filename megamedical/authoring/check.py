"""A manifest against the files it is meant for: what it finds, what it leaves, what is in them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from megamedical.authoring.sample import Extent, FoundLabel, Sample
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import ManifestError, Stage, SubjectError, Unobtainable
from megamedical.files.folders import list_files
from megamedical.obtaining.archive_content import Unpacked, files_of, obtain_unpacked
from megamedical.obtaining.sources import expect_mirror
from megamedical.reading.formats import suffix_of
from megamedical.spread import spread
from megamedical.subjects.masks import WITHOUT_IMAGE, WITHOUT_MASK
from megamedical.subjects.matching import find_subjects
from megamedical.subjects.subject import Failure, Subject, Tree

QUESTION = "# ?"  # marks a line of a drafted manifest that its author has yet to look at
_STRAY = 0.01  # share of what is labelled, below which a value without a name is no label
_PATIENTS = 3  # at least, one for each split

Trees = Callable[[str], Tree]  # the files that a group is read from, by its name


@dataclass(frozen=True)
class GroupCheck:
    """What was found of one group.

    `stated` is the number of subjects in the manifest, `sampled` how many were read; `kinds` are
    the types of the images' values. `problems` must be mended, `remarks` should be read.
    """

    path: str
    dimension: int
    subjects: int
    stated: int
    patients: int
    images_without_mask: int
    masks_without_image: int
    sampled: int
    shape: Extent | None
    spacing: Extent | None
    kinds: tuple[str, ...]
    labels: tuple[FoundLabel, ...]
    failures: tuple[Failure, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Unmatched:
    """Files that no pattern fits: `what` they look like, and how many there are."""

    what: str
    files: int


@dataclass(frozen=True)
class Check:
    """A manifest, and the files it was matched against.

    `missing` names the groups whose archives are not here, and says why.
    """

    dataset: str
    files: int
    groups: tuple[GroupCheck, ...]
    missing: tuple[str, ...]
    unmatched: tuple[Unmatched, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be mended."""
        return not self.missing and not any(group.problems for group in self.groups)


def check(dataset: DatasetManifest, trees: Trees, *, sample: int = 20) -> Check:
    """Match a manifest against files.

    Args:
        dataset: the manifest.
        trees: gives the files of a group, see `folder_trees` and `archive_trees`.
        sample: how many subjects of each group are read, evenly spread; 0 for all.

    Raises:
        Unobtainable: the files of no group are here.
    """
    files: set[str] = set()
    fits: set[str] = set()
    groups = []
    missing = []
    for name, group in dataset.groups.items():
        try:
            tree = trees(name)
        except Unobtainable as error:
            missing.append((f"{dataset.id}/{name}", error))
            continue
        files |= tree.keys()
        patterns = group.patterns
        fits |= {path for path in tree if any(pattern.match(path) for pattern in patterns)}
        groups.append(_check_group(dataset.id, name, group, tree, sample))
    if missing and not groups:
        raise missing[0][1]
    return Check(
        dataset=dataset.id,
        files=len(files),
        groups=tuple(groups),
        missing=tuple(f"{path}: {error.problem}" for path, error in missing),
        unmatched=tuple(condensed(files - fits)),
    )


def questions_in(manifest: Path) -> list[tuple[int, str]]:
    """The lines of a manifest that its draft left to its author, by their numbers."""
    lines = enumerate(manifest.read_text(encoding="utf-8").splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if QUESTION in line]


def folder_trees(folder: Path) -> Trees:
    """The files of a folder that holds what is in the archives.

    Raises:
        ManifestError: it is not there.
    """
    if not folder.is_dir():
        raise ManifestError(f"{folder} is not a folder", "Name the folder of the unpacked files.")
    tree = list_files([folder])
    return lambda _: tree


def archive_trees(dataset: DatasetManifest, *, raw: Path, mirror: Path | None) -> Trees:
    """The files of the archives themselves, which are unpacked where a build looks for them.

    A group whose archives are not here raises `Unobtainable`, and one whose archive is not what it
    should be `ArchiveError`.

    Raises:
        MegaMedicalError: the mirror is no folder.
    """
    expect_mirror(mirror)

    @cache
    def unpacked(name: str) -> Unpacked:
        (archive,) = (each for each in dataset.archives if each.name == name)
        return obtain_unpacked((dataset, archive), raw=raw, mirror=mirror, offline=True)

    return lambda group: files_of(unpacked(each.name) for each in dataset.archives_of(group))


def condensed(paths: Iterable[str]) -> list[Unmatched]:
    """Files by folder and suffix, most frequent first; numbers in folders' names make no odds."""
    alike: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder = re.sub(r"[0-9]+", "*", PurePosixPath(path).parent.as_posix())
        alike[f"{folder}/*{suffix_of(Path(path))}".removeprefix("./")].append(path)
    found = [Unmatched(what if len(f) > 1 else f[0], len(f)) for what, f in alike.items()]
    return sorted(found, key=lambda each: (-each.files, each.what))


def _check_group(dataset: str, name: str, group: FileGroup, tree: Tree, count: int) -> GroupCheck:
    subjects, failures = find_subjects(dataset, name, group, tree)
    sample = Sample.of(group, spread(subjects, count or len(subjects)))
    failures += [
        Failure.of(dataset, name, subject.name, _blamed(error, subject))
        for subject, error in sample.failures
    ]
    sampled = len(sample.shapes) + len(sample.failures)
    problems, remarks = _about_labels(sample.labels, sampled, len(subjects))
    if not subjects:
        problems.insert(0, "No subject was found: mend the patterns by what is left over")
    elif len(subjects) != group.subjects:
        problems.insert(
            0,
            f"There are {len(subjects):,} subjects, the manifest says {group.subjects:,}: if all "
            f"files are here, write `subjects: {len(subjects)}`",
        )
    remarks += [
        f"{task}: no pixel of the label in any of {count} slices; nothing is trained or tested on "
        "slices without one"
        for task, count in sample.empty_tasks.items()
    ]
    if failures:
        problems.append(f"Failures: {len(failures):,}")
    patients = len({subject.patient for subject in subjects})
    if patients < _PATIENTS < len(subjects):
        remarks.append(f"Patients: {patients}, too few to split them: is `patient:` right?")
    return GroupCheck(
        path=f"{dataset}/{name}",
        dimension=group.dimension,
        subjects=len(subjects),
        stated=group.subjects,
        patients=patients,
        images_without_mask=sum(f.reason.startswith(WITHOUT_MASK) for f in failures),
        masks_without_image=sum(f.reason.startswith(WITHOUT_IMAGE) for f in failures),
        sampled=sampled,
        shape=sample.shape,
        spacing=sample.spacing,
        kinds=tuple(sorted(sample.kinds)),
        labels=sample.labels,
        failures=tuple(failures),
        problems=tuple(problems),
        remarks=tuple(remarks),
    )


def _about_labels(
    labels: Iterable[FoundLabel], sampled: int, subjects: int
) -> tuple[list[str], list[str]]:
    """Problems with the labels' names and values, and remarks on them."""
    if not sampled:
        return [], []
    problems: list[str] = []
    remarks: list[str] = []
    labels = list(labels)
    labelled = sum(label.pixels for label in labels)
    for label in labels:
        value = "" if label.value is None else f" ({label.value})"
        if not label.name:
            where = f"Value {label.value} has no name in `labels:`, and is {label.pixels:,} of "
            where += f"{labelled:,} labelled pixels"
            if label.pixels < _STRAY * labelled:
                remarks.append(f"{where}: stray pixels, which become background")
            else:
                problems.append(f"{where}: name it")
        elif not label.pixels and sampled < subjects:
            remarks.append(
                f"{label.name}{value} is in none of the {sampled} masks that were read: "
                "read all with --sample 0"
            )
        elif not label.pixels:
            problems.append(
                f"{label.name}{value} is in none of the {sampled} masks: mend its value or file, "
                "or take it out"
            )
    return problems, remarks


def _blamed(error: SubjectError, subject: Subject) -> SubjectError:
    """The error with the whole path of the file at fault."""
    for path in _suspects(error.stage, subject):
        if path.endswith(error.file):
            return SubjectError(error.stage, path, error.reason)
    return error


def _suspects(stage: Stage, subject: Subject) -> Iterator[str]:
    masks = [*subject.all_masks()]
    yield from [*masks, *subject.images] if stage == "decode" else [*subject.images, *masks]
