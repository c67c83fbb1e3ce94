"""The staged records of a group into the store: two Zarr arrays, and the rows of its tables.

Records are read one at a time and written a shard at a time, in the order of the subjects' names:
the arrays are the same bytes whoever processed which subject, and memory holds one shard.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from megamedical.building.record import (
    DamagedRecord,
    MaskEntry,
    Record,
    Staged,
    SubjectFacts,
    read_about,
)
from megamedical.building.splits import SPLITTING
from megamedical.building.subject_job import PROCESSING, digest, facts_that_matter
from megamedical.catalogue.group import DrawnGroup, FileGroup, Group
from megamedical.files.disk import explain_full
from megamedical.files.writing import whole_file
from megamedical.store.array_writer import checksum_of, group_writer
from megamedical.store.location import Location
from megamedical.store.tables import (
    EXAMPLES,
    FORMAT,
    GROUPS,
    SHARES,
    SUBJECTS,
    TASKS,
    encode_table,
    task_fingerprint,
)
from megamedical.task_id import TaskId, slug


@dataclass(frozen=True)
class GroupJob:
    """All a worker needs to pack one group; `records` and `splits` are by subject and patient.

    `known_errors` are what is known to be wrong of subjects that are kept all the same.
    `expected` is how many subjects there should be,
    `place` the folder of the store that the arrays are written into, `tables` that of the rows.
    """

    store: str
    dataset: str
    name: str
    group: FileGroup | DrawnGroup
    role: str
    resolution: int
    seed: int
    records: Mapping[str, Staged]
    splits: Mapping[str, str]
    place: str
    expected: int
    tables: Path
    known_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class PackedGroup:
    """What became of a group: a small row for the summary and for the store's attributes.

    Of `tasks`, `empty_tasks` show no pixel of their label in any subject.
    """

    dataset: str
    name: str
    fingerprint: str
    subjects: int
    tasks: int
    empty_tasks: int
    images: int
    masks: int
    tables: Path

    @property
    def path(self) -> str:
        """`<dataset>/<group>`."""
        return f"{self.dataset}/{self.name}"


class DamagedRecords(Exception):
    """The records of some subjects of a group are not what was written."""

    def __init__(self, subjects: Sequence[str]) -> None:
        super().__init__(subjects)
        self.subjects = subjects


@dataclass(frozen=True, eq=False)
class _Member:
    """A subject on its way into the arrays: where its first image and its first mask come."""

    facts: SubjectFacts
    staged: Staged
    images: Sequence[int]
    masks: Sequence[int]
    entries: Sequence[MaskEntry]
    first_image: int
    first_mask: int


def pack(job: GroupJob) -> PackedGroup:
    """Write one group's arrays into the store, and its rows beside its records.

    Raises:
        DamagedRecords: records are not what was written, and are to be made again.
    """
    members = list(_members(job))
    fingerprint = _fingerprint(job, members)
    images = sum(len(member.images) for member in members)
    masks = sum(len(member.masks) for member in members)
    checksum = _write_arrays(job, members, images, masks, fingerprint)
    tasks = list(_task_rows(job, members, _task_names(job, members), fingerprint))
    group = {
        "dataset": job.dataset,
        "group": job.name,
        "subjects": len(members),
        "expected": job.expected,
        "images": images,
        "masks": masks,
        "fingerprint": fingerprint,
        "checksum": checksum,
    }
    rows = {
        "groups": pa.Table.from_pylist([group], schema=GROUPS),
        "subjects": pa.Table.from_pylist(
            [_subject_row(job, m.facts) for m in members], schema=SUBJECTS
        ),
        "examples": pa.Table.from_pylist(list(_example_rows(job, members)), schema=EXAMPLES),
        "tasks": pa.Table.from_pylist(tasks, schema=TASKS),
    }
    with explain_full(job.tables.parent, None, "the rows of the tables"):
        for name, table in rows.items():
            with whole_file(job.tables / f"{name}.parquet") as path:
                path.write_bytes(encode_table(table))
    return PackedGroup(
        job.dataset,
        job.name,
        fingerprint,
        len(members),
        len(tasks),
        sum(_shows_nothing(task) for task in tasks),
        images,
        masks,
        job.tables,
    )


def _shows_nothing(task: Mapping[str, object]) -> bool:
    """Whether no subject of a task has a pixel of its label."""
    return task["empty"] == sum(int(str(task[split])) for split in SHARES)


def _members(job: GroupJob) -> Iterator[_Member]:
    """The subjects in the order of their names, with what is kept of each."""
    about, damaged = {}, []
    for subject, staged in sorted(job.records.items()):
        try:
            about[subject] = read_about(staged)
        except DamagedRecord:
            damaged.append(subject)
    if damaged:
        raise DamagedRecords(damaged)
    dropped = _too_small(job.group, [entries for _, entries in about.values()])
    first_image = first_mask = 0
    for subject, (facts, entries) in about.items():
        masks = [number for number, entry in enumerate(entries) if entry.label not in dropped]
        if not masks:
            continue
        kept = [entries[number] for number in masks]
        images = sorted({entry.image for entry in kept})
        yield _Member(facts, job.records[subject], images, masks, kept, first_image, first_mask)
        first_image += len(images)
        first_mask += len(masks)


def _too_small(group: Group, subjects: Sequence[Sequence[MaskEntry]]) -> set[str]:
    """Labels that cover less than the group's `minimum_area` in any subject, or miss in one."""
    if not group.minimum_area:
        return set()
    large_everywhere = set(group.label_values)
    for entries in subjects:
        large_everywhere &= {e.label for e in entries if e.area >= group.minimum_area}
    return set(group.label_values) - large_everywhere


def _fingerprint(job: GroupJob, members: Sequence[_Member]) -> str:
    """What a group was made from: code, manifest, splits, and the hashes of its source files."""
    facts: dict[str, object] = {
        "format": FORMAT,
        "processing": PROCESSING,
        "splitting": SPLITTING,
        "resolution": job.resolution,
        "seed": job.seed,
        "path": f"{job.dataset}/{job.name}",
        "role": job.role,
        "group": facts_that_matter(job.group),
        "subjects": [
            [m.facts.subject, job.splits[m.facts.patient], dict(m.facts.files)] for m in members
        ],
    }
    known = [[m.facts.subject, *job.known_errors.get(m.facts.subject, ())] for m in members]
    if any(len(said) > 1 for said in known):
        facts["known errors"] = [said for said in known if len(said) > 1]
    return digest(facts)


def _write_arrays(
    job: GroupJob, members: Sequence[_Member], images: int, masks: int, fingerprint: str
) -> str:
    """The checksum of the group, when all of it is written."""
    location = Location(job.store)
    folder = location.below(job.place)
    with (
        location.explaining_full(),
        group_writer(folder, fingerprint, images, masks, job.resolution) as writer,
    ):
        for member in members:
            record = _whole(member)
            writer.images.append(record.images[list(member.images)])
            writer.masks.append(record.masks[list(member.masks)])
    return checksum_of(folder)


def _whole(member: _Member) -> Record:
    try:
        return Record.load(member.staged)
    except DamagedRecord as error:
        raise DamagedRecords([member.facts.subject]) from error


def _task_id(job: GroupJob, entry: MaskEntry, slicing: str) -> str:
    label = slug(entry.label)
    return str(TaskId(job.dataset, job.name, job.group.modality, entry.plane, slicing, label))


def _task_names(job: GroupJob, members: Iterable[_Member]) -> dict[str, tuple[str, str, str]]:
    """Plane, slicing and label of every task, by its id, in the order of the ids."""
    names = {
        _task_id(job, entry, slicing): (entry.plane, slicing, entry.label)
        for member in members
        for entry in member.entries
        for slicing in entry.slicings
    }
    return dict(sorted(names.items()))


def _task_rows(
    job: GroupJob,
    members: Iterable[_Member],
    tasks: Mapping[str, tuple[str, str, str]],
    fingerprint: str,
) -> Iterator[dict[str, object]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for member in members:
        for entry in member.entries:
            for slicing in entry.slicings:
                count = counts[_task_id(job, entry, slicing)]
                count[job.splits[member.facts.patient]] += 1
                count["empty"] += entry.area == 0
    for task, (plane, slicing, label) in tasks.items():
        yield {
            "task": task,
            "dataset": job.dataset,
            "group": job.name,
            "modality": job.group.modality,
            "plane": plane,
            "slicing": slicing,
            "label": label,
            "role": job.role,
            **{split: counts[task][split] for split in ("train", "dev", "test", "empty")},
            "fingerprint": task_fingerprint(fingerprint, task),
        }


def _example_rows(job: GroupJob, members: Iterable[_Member]) -> Iterator[dict[str, object]]:
    for member in members:
        for number, entry in enumerate(member.entries):
            for slicing in entry.slicings:
                yield {
                    "task": _task_id(job, entry, slicing),
                    "subject": member.facts.subject,
                    "patient": member.facts.patient,
                    "split": job.splits[member.facts.patient],
                    "image": member.first_image + member.images.index(entry.image),
                    "mask": member.first_mask + number,
                    "slice": entry.index,
                    "area": entry.area,
                }


def _subject_row(job: GroupJob, facts: SubjectFacts) -> dict[str, object]:
    return {
        "dataset": job.dataset,
        "group": job.name,
        "subject": facts.subject,
        "patient": facts.patient,
        "split": job.splits[facts.patient],
        "fields": list(facts.fields.items()),
        "files": [{"path": path, "sha256": value} for path, value in facts.files.items()],
        "spacing": facts.spacing,
        "shape": facts.shape,
        "orientation": facts.orientation,
        "known_errors": list(job.known_errors.get(facts.subject, ())),
    }
