"""One subject, from its files to its staged record: the unit of work of a build."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from megamedical.building.record import Record, SubjectFacts, is_current
from megamedical.catalogue.group import DrawnGroup, FileGroup, Group
from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.files.checksums import sha256_of
from megamedical.files.disk import explain_full
from megamedical.processing.slicing import slice_subject
from megamedical.reading.scan import LabelMap, Scan, Segmentation
from megamedical.subjects.assembly import Assembly
from megamedical.subjects.decoding import decode
from megamedical.subjects.subject import Failure, Subject

PROCESSING = "2"  # counts up whenever the same input gives other slices; a test holds it to that


@dataclass(frozen=True)
class Job:
    """All a worker needs to process one subject."""

    dataset: str
    group_name: str
    group: Group
    subject: Subject
    resolution: int
    target: Path
    fingerprint: str


def basis_of(group: Group, resolution: int, source: str) -> str:
    """What all records of a group are made from: the code, the group's facts, and their source.

    `source` identifies the archives that the files were unpacked from.
    """
    facts = {
        "processing": PROCESSING,
        "resolution": resolution,
        "group": facts_that_matter(group),
        "source": source,
    }
    return digest(facts)


def fingerprint_of(basis: str, subject: Subject) -> str:
    """What a record is made from: that of its group, and the subject's files."""
    files = sorted(subject.files)
    return digest([basis, subject.name, subject.patient, dict(subject.fields), files])


def facts_that_matter(group: Group) -> dict[str, object]:
    """What a group says that its slices depend on; evidence and notes may change freely."""
    said = {"title", "notes", "evidence", "subjects", "archives", "parts", "without_mask"}
    facts = {key: value for key, value in group.model_dump(mode="json").items() if key not in said}
    if group.grid == "isotropic" and group.intensity and group.intensity.window:
        facts["window"] = "as far as the grid reaches it"  # these alone changed after PROCESSING 2
    return facts


def digest(facts: object) -> str:
    """The SHA-256 of facts, written the same way everywhere."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def process(job: Job) -> Failure | None:
    """Process one subject unless its record is there; the record, or the row of a failure."""
    if is_current(job.target, job.fingerprint):
        return None
    try:
        facts, scan, segmentation = read_subject(job)
        with _blaming(job.subject.image):
            slices = slice_subject(scan, segmentation, job.group, job.resolution)
        _stage(Record.of(facts, slices), job)
    except SubjectError as error:
        return Failure.of(job.dataset, job.group_name, job.subject.name, error)
    except MegaMedicalError:
        raise  # a full disk is not the subject's fault
    except Exception as error:
        unforeseen = SubjectError("process", job.subject.image, f"{type(error).__name__}: {error}")
        return Failure.of(job.dataset, job.group_name, job.subject.name, unforeseen)
    return None


def _stage(record: Record, job: Job) -> None:
    """Write a record; a disk that does not take it is not the subject's fault."""
    folder = job.target.parent
    try:
        with explain_full(folder, None, "staged records"):
            record.save(job.target, job.fingerprint)
    except OSError as error:
        raise MegaMedicalError(
            f"{folder} cannot be written to: {error.strerror or error}",
            "Allow yourself to write there, or name another folder: --raw.",
        ) from error


def read_subject(job: Job) -> tuple[SubjectFacts, Scan, Segmentation]:
    """What the store says of a subject, its scan, and its labels on the grid of the scan.

    Raises:
        SubjectError: a file of it cannot be read, or is not what its group says.
    """
    if isinstance(job.group, DrawnGroup):
        scan, segmentation = _draw(job.group, job.subject)
        files = {}
    elif isinstance(job.group, FileGroup):
        with ThreadPoolExecutor(1) as beside:  # for a core that has nothing to do
            hashing = beside.submit(_hashes_of, job.subject)
            scan, segmentation = _read_files(job.group, job.subject, beside)
            files = hashing.result()
    facts = SubjectFacts(
        subject=job.subject.name,
        patient=job.subject.patient,
        fields=dict(job.subject.fields),
        files=files,
        spacing=scan.spacing,
        shape=scan.voxels.shape,
        orientation=scan.orientation,
    )
    return facts, scan, segmentation


def _hashes_of(subject: Subject) -> dict[str, str]:
    return {path: _sha256_of(file) for path, file in sorted(subject.files.items())}


def _sha256_of(path: Path) -> str:
    status = path.stat()
    return _hashed(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)  # of a file that holds many subjects
def _hashed(path: Path, _size: int, _changed: int) -> str:
    return sha256_of(path)


def _read_files(group: FileGroup, subject: Subject, beside: Executor) -> tuple[Scan, Segmentation]:
    assembly = Assembly(group, subject)
    assembly.read_ahead(beside)
    with _blaming(subject.image):
        scan = assembly.scan

    def read(pattern: str, name: str | int | None = None) -> NDArray[Any]:
        with _blaming(next(subject.masks_of(pattern), subject.image)):
            return assembly.label_values(pattern, name)

    with _blaming(next(subject.all_masks(), "")):
        return scan, decode(group, read, scan.voxels.shape)


def _draw(group: DrawnGroup, subject: Subject) -> tuple[Scan, Segmentation]:
    from megamedical.processing.synthetic import draw_subject, draw_task

    image, labels = draw_subject(draw_task(group.seed, group.task, group.size), int(subject.name))
    return Scan(image, (1.0, 1.0)), LabelMap(labels, group.label_values)


@contextmanager
def _blaming(file: str) -> Iterator[None]:
    """Name the file of the archive in errors that do not, or that only know its last part."""
    try:
        yield
    except SubjectError as error:
        known = error.file if "/" in error.file else file
        raise SubjectError(error.stage, known, error.reason) from error
