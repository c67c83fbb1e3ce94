"""The staged records of a group into the store: two Zarr arrays, and the rows of its tables.

Records are read one at a time and written a shard at a time, in the order of the subjects' names:
the arrays are the same bytes whoever processed which subject, and memory holds one shard.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

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
from megamedical.catalogue.group import Group
from megamedical.files.disk import explain_full
from megamedical.files.writing import whole_file
from megamedical.store.location import Location
from megamedical.store.tables import EXAMPLES, FORMAT, SHARES, SUBJECTS, TASKS, encode_table
from megamedical.task_id import TaskId, slug

# Figures of size against random reads are in docs/performance.md.
IMAGE_SHARD = 512  # slices: 16 MB at 128 x 128
MASK_SHARD = 2048  # masks: 32 MB before compression


@dataclass(frozen=True)
class GroupJob:
    """All a worker needs to pack one group; `records` and `splits` are by subject and patient.

    `known_errors` are what is known to be wrong of subjects that are kept all the same.
    """

    store: str
    dataset: str
    name: str
    group: Group
    role: str
    resolution: int
    seed: int
    records: Mapping[str, Staged]
    splits: Mapping[str, str]
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
    _write_arrays(job, members, images, masks, fingerprint)
    tasks = list(_task_rows(job, members, _task_names(job, members), fingerprint))
    rows = {
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
) -> None:
    import zarr

    location = Location(job.store)
    with location.explaining_full():
        group = zarr.open_group(
            location.zarr(),
            path=f"{job.dataset}/{job.name}",
            mode="w",
            attributes={"fingerprint": fingerprint},
        )
        image_array = create_array(group, "images", images, job.resolution)
        mask_array = create_array(group, "masks", masks, job.resolution)
        with _Appender(image_array) as image_end, _Appender(mask_array) as mask_end:
            for member in members:
                record = _whole(member)
                image_end.append(record.images[list(member.images)])
                mask_end.append(record.masks[list(member.masks)])


def _whole(member: _Member) -> Record:
    try:
        return Record.load(member.staged)
    except DamagedRecord as error:
        raise DamagedRecords([member.facts.subject]) from error


def create_array(group: Any, name: str, length: int, resolution: int) -> Any:  # noqa: ANN401
    """An empty `images` or `masks` array of a group: sharded, one slice a chunk.

    Images are not compressed, so that a reader can map them; masks are, being almost all zero.
    """
    from zarr.codecs import BloscCodec

    image = name == "images"
    return group.create_array(
        name,
        shape=(length, resolution, resolution),
        dtype="float16" if image else "uint8",
        chunks=(1, resolution, resolution),
        shards=(IMAGE_SHARD if image else MASK_SHARD, resolution, resolution),
        compressors=None if image else BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle"),
        dimension_names=("slice", "row", "column"),
        attributes={"unit": "1" if image else "1/255", "range": [0, 1] if image else [0, 255]},
    )


class _Appender:
    """The end of an array: collects slices and writes them a whole shard at a time."""

    def __init__(self, array: Any) -> None:  # noqa: ANN401
        self._array = array
        self._waiting: list[NDArray[Any]] = []
        self._count = 0
        self._written = 0

    def __enter__(self) -> _Appender:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and self._count:
            self._write(self._count)

    def append(self, slices: NDArray[Any]) -> None:
        """Add slices (n, H, W) at the end."""
        self._waiting.append(slices)
        self._count += len(slices)
        shard = self._array.shards[0]
        if self._count >= shard:
            self._write(self._count // shard * shard)

    def _write(self, count: int) -> None:
        waiting = np.concatenate(self._waiting)
        self._array[self._written : self._written + count] = waiting[:count]
        self._written += count
        self._waiting, self._count = [waiting[count:]], self._count - count


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
            "fingerprint": digest([fingerprint, task]),
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
