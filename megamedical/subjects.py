"""Which files of the archives make up which subject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from megamedical.errors import SubjectError
from megamedical.manifest import FileGroup, Lookup
from megamedical.patterns import Pattern

Tree = Mapping[str, Path]  # what was unpacked: path in the archive -> file


@dataclass(frozen=True)
class Subject:
    """One image with its annotation: `files` maps a pattern's filled-in path to where it lies."""

    name: str
    patient: str
    fields: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """One subject that could not be processed: a row of failures.parquet."""

    dataset: str
    group: str
    subject: str
    stage: str
    file: str
    reason: str

    @classmethod
    def of(cls, dataset: str, group: str, subject: str, error: SubjectError) -> Failure:
        """The row of an error."""
        return cls(dataset, group, subject, error.stage, error.file, error.reason)


def list_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Every file below some folders, by its path in them; no link to a folder is followed."""
    tree = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                tree[path.relative_to(folder).as_posix()] = path
    return tree


def find_subjects(
    dataset: str, name: str, group: FileGroup, tree: Tree
) -> tuple[list[Subject], list[Failure]]:
    """The subjects of a group, in the order of their names, and what could not be matched.

    An image without its mask, a mask without an image, an image whose lookup finds nothing, and two
    images that would be one subject are failures of stage `match`.
    """
    excluded = {subject for exclusion in group.exclude for subject in exclusion.subjects}
    subjects: list[Subject] = []
    failures: list[Failure] = []
    claimed: set[str] = set()
    matches = _matches(group.image, tree)
    for path, matched in matches:
        claimed |= {path, *_masks(group, matched)}
        try:
            fields = _with_lookups(group, matched, tree)
            claimed |= {*_masks(group, fields)}
            if Pattern(group.subject).fill(fields) not in excluded:
                subjects.append(_subject(path, fields, group, tree))
        except SubjectError as error:
            failures.append(Failure.of(dataset, name, Path(path).name, error))
    for text in group.mask.patterns:
        for path, _ in _matches(text, tree):
            if path not in claimed:
                orphan = SubjectError("match", path, "a mask without an image")
                failures.append(Failure.of(dataset, name, Path(path).name, orphan))
    if not matches:
        nothing = SubjectError("match", group.image, f"none of {len(tree)} files fits the pattern")
        failures.append(Failure.of(dataset, name, "", nothing))
    twice = {name for name, count in Counter(s.name for s in subjects).items() if count > 1}
    failures += [
        Failure(dataset, name, s.name, "match", s.image, "another image has this subject's name")
        for s in subjects
        if s.name in twice
    ]
    unique = [subject for subject in subjects if subject.name not in twice]
    return sorted(unique, key=lambda subject: subject.name), failures


def _matches(text: str, tree: Tree) -> list[tuple[str, dict[str, str]]]:
    pattern = Pattern(text)
    found = ((path, pattern.match(path)) for path in tree)
    return [(path, fields) for path, fields in found if fields is not None]


def _masks(group: FileGroup, fields: Mapping[str, str]) -> list[str]:
    """The masks that an image of these fields has, as far as the fields say."""
    patterns = map(Pattern, group.mask.patterns)
    return [pattern.fill(fields) for pattern in patterns if fields.keys() >= {*pattern.fields}]


def _with_lookups(group: FileGroup, matched: Mapping[str, str], tree: Tree) -> dict[str, str]:
    fields = dict(matched)
    for name, lookup in group.fields.items():
        fields[name] = _look_up(lookup, fields, tree)
    return fields


def _subject(path: str, fields: dict[str, str], group: FileGroup, tree: Tree) -> Subject:
    files = {path: tree[path]}
    for mask in _masks(group, fields):
        if mask not in tree:
            raise SubjectError("match", path, f"an image without its mask {mask}")
        files[mask] = tree[mask]
    return Subject(
        Pattern(group.subject).fill(fields),
        Pattern(group.patient).fill(fields),
        fields,
        path,
        files,
    )


def _look_up(lookup: Lookup, fields: Mapping[str, str], tree: Tree) -> str:
    path = Pattern(lookup.file).fill(fields)
    if path not in tree:
        raise SubjectError("match", path, "this file is missing")
    wanted = Pattern(lookup.equals).fill(fields)
    lines = tree[path].read_text(encoding="utf-8", errors="replace").splitlines()
    entries = {key.strip(): value.strip() for key, _, value in (li.partition(":") for li in lines)}
    for key in lookup.keys:
        if key in entries and _same(entries[key], wanted):
            return key
    raise SubjectError("match", path, f"none of {', '.join(lookup.keys)} is {wanted}")


def _same(a: str, b: str) -> bool:
    return a == b or (a.isdecimal() and b.isdecimal() and int(a) == int(b))
