"""Which files of the archives make up which subject."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path

from megamedical.catalogue.annotation import Lookup, Span, Told
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import Stage, SubjectError
from megamedical.reading.parts import count_pictures, has_entry, told_of_pictures
from megamedical.reading.spreadsheets import Row, find_row

WITHOUT_MASK, WITHOUT_IMAGE = "an image without its mask", "a mask without an image"  # failures

Tree = Mapping[str, Path]  # what was unpacked: path in the archive -> file


@dataclass(frozen=True)
class Subject:
    """One image with its annotation: `files` maps a pattern's filled-in path to where it lies.

    `images` are the paths of the image, several where it has one file a slice, in their order;
    `masks` those of each of the mask's patterns, none where a label lacks its file.
    """

    name: str
    patient: str
    fields: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    images: Sequence[str] = ()
    masks: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """One subject that could not be processed: a row of failures.parquet."""

    dataset: str
    group: str
    subject: str
    stage: Stage
    file: str
    reason: str

    @classmethod
    def of(cls, dataset: str, group: str, subject: str, error: SubjectError) -> Failure:
        """The row of an error."""
        return cls(dataset, group, subject, error.stage, error.file, error.reason)


def find_subjects(
    dataset: str, name: str, group: FileGroup, tree: Tree
) -> tuple[list[Subject], list[Failure]]:
    """The subjects of a group, in the order of their names, and what could not be matched.

    An image without its mask, a mask without an image, an image whose lookup finds nothing, and two
    images that would be one subject are failures of stage `match`.
    """
    excluded = {subject for exclusion in group.exclude for subject in exclusion.subjects}
    masks = _Masks(group, tree)
    subjects: list[Subject] = []
    failures: list[Failure] = []
    claimed: set[str] = set()
    pattern = Pattern(group.image)
    matches = _matches(pattern, tree)
    for image in _images(matches, group):
        claimed |= {*image.paths, *masks.known(image.fields)}
        try:
            for part in _parts(image, group, masks, tree):
                fields = _with_lookups(group, part, tree)
                claimed |= masks.known(fields)
                is_wanted = Pattern(group.subject).fill(fields) not in excluded
                if is_wanted and _is_annotated(fields, group, masks, tree):
                    subjects.append(_subject(image.paths, fields, group, masks, tree))
        except SubjectError as error:
            failures.append(Failure.of(dataset, name, Path(image.paths[0]).name, error))
    for text in group.mask.patterns:
        for path, _ in _matches(Pattern(text, pattern), tree):
            if path not in claimed:
                orphan = SubjectError("match", path, WITHOUT_IMAGE)
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


def _matches(pattern: Pattern, tree: Tree) -> list[tuple[str, dict[str, str]]]:
    found = ((path, pattern.match(path)) for path in tree)
    return [(path, fields) for path, fields in found if fields is not None]


@dataclass(frozen=True)
class _Image:
    """The files of one image, and the fields that they agree on."""

    paths: Sequence[str]
    fields: Mapping[str, str]


def _images(matches: Iterable[tuple[str, dict[str, str]]], group: FileGroup) -> list[_Image]:
    if not group.slices:
        return [_Image([path], fields) for path, fields in matches]
    volumes: dict[tuple[tuple[str, str], ...], list[tuple[str, str]]] = defaultdict(list)
    for path, fields in matches:
        agreed = {name: text for name, text in fields.items() if name != group.slices}
        volumes[tuple(agreed.items())].append((fields[group.slices], path))
    return [
        _Image(
            [path for _, path in sorted(slices, key=lambda each: _counted(each[0]))], dict(agreed)
        )
        for agreed, slices in volumes.items()
    ]


def _parts(image: _Image, group: FileGroup, masks: _Masks, tree: Tree) -> Iterator[dict[str, str]]:
    """The fields of each subject of an image file: of itself, or of each of its frames."""
    if not group.frames:
        yield dict(image.fields)
        return
    if group.span:
        for phase, frame in enumerate(_spanned(image, group, group.span, masks, tree)):
            counted = {group.frames: f"{frame:05d}", group.span.counts: f"{phase:05d}"}
            yield {**image.fields, **counted}
        return
    file = tree[image.paths[0]]
    told = _told(group.told, file) if group.told else repeat({})
    for frame, also in zip(range(count_pictures(file, group.array)), told, strict=False):
        yield {**image.fields, **also, group.frames: f"{frame:05d}"}


def _spanned(
    image: _Image, group: FileGroup, span: Span, masks: _Masks, tree: Tree
) -> Iterator[int]:
    """The frames of an image that its mask shows, in their order; none where it has no mask.

    What the image or its row lacks of the mask's frames is told after those that are there.
    """
    path = image.paths[0]
    sheet = Pattern(span.file).fill(image.fields)
    if sheet not in tree:
        raise SubjectError("match", sheet, "this file is missing")
    cells = {column: Pattern(text).fill(image.fields) for column, text in span.row.items()}
    row = find_row(tree[sheet], cells)
    if not span.marked.items() <= row.items():
        if masks.known(image.fields):
            marks = ", ".join(f"{mark} in {column}" for column, mark in span.marked.items())
            raise SubjectError("match", path, f"has a mask, but its row in {sheet} lacks {marks}")
        return
    frames = _frames_of(row, span, sheet)
    (mask,) = chain(*_masks_of(image.paths, image.fields, group, masks).values())
    shown = count_pictures(tree[mask], group.mask.array)
    there = count_pictures(tree[path], group.array)
    yield from frames[: min(shown, max(there - frames.start, 0))]
    if frames[:shown].stop > there:
        raise SubjectError(
            "match", path, f"has {there} frames, its mask shows {_counted_from_1(frames[:shown])}"
        )
    if shown > len(frames):
        raise SubjectError(
            "match", mask, f"shows {shown} frames, {sheet} says {_counted_from_1(frames)}"
        )


def _frames_of(row: Row, span: Span, sheet: str) -> range:
    """The frames of a row, counted from 0."""
    said = (row.get(column, "") for column in (span.first, span.last))
    first, last = (int(text) if re.fullmatch("[0-9]{1,9}", text) else 0 for text in said)
    if not 0 < first <= last:
        cells = ", ".join(f"{text} in {column}" for column, text in row.items())
        raise SubjectError("match", sheet, f"a row has no first and last frame: {cells}")
    return range(first - 1, last)


def _counted_from_1(frames: range) -> str:
    return f"{frames.start + 1} to {frames.stop}"


def _told(told: Told, file: Path) -> Iterator[dict[str, str]]:
    for text in told_of_pictures(file, told.array):
        fields = Pattern(told.pattern).match(text)
        if fields is None:
            raise SubjectError("match", file.name, f"{told.array} says {text}: no {told.pattern}")
        yield fields


def _is_annotated(fields: Mapping[str, str], group: FileGroup, masks: _Masks, tree: Tree) -> bool:
    """Whether the one file of all masks has an entry of an image, where there is such a file."""
    if group.mask.decode != "entries":
        return True
    entry = Pattern(group.mask.array).fill(fields)
    return all(has_entry(tree[path], entry) for path in masks.of(group.mask.patterns[0], fields))


class _Masks:
    """The mask files of a group, by the fields that they share with their images."""

    def __init__(self, group: FileGroup, tree: Tree) -> None:
        self._tree = tree
        image = Pattern(group.image)
        self._patterns = {text: Pattern(text, image) for text in group.mask.patterns}
        self._counting = {group.slices, group.mask.union}
        self._several = {
            text: self._by_shared_fields(pattern)
            for text, pattern in self._patterns.items()
            if self._counting & {*pattern.fields}
        }

    def of(self, text: str, fields: Mapping[str, str]) -> list[str]:
        """The files of one of the mask's patterns, in the order of what counts them."""
        if text not in self._several:
            path = self._patterns[text].fill(fields)
            return [path] if path in self._tree else []
        shared = self._shared(self._patterns[text])
        found = self._several[text].get(tuple(fields[name] for name in shared), ())
        return [path for _, path in sorted(found)]

    def known(self, fields: Mapping[str, str]) -> set[str]:
        """The masks that an image of these fields has, as far as the fields say."""
        return {
            path
            for text, pattern in self._patterns.items()
            if fields.keys() >= {*self._shared(pattern)}
            for path in self.of(text, fields)
        }

    def _shared(self, pattern: Pattern) -> list[str]:
        return [name for name in pattern.fields if name not in self._counting]

    def _by_shared_fields(
        self, pattern: Pattern
    ) -> dict[tuple[str, ...], list[tuple[_Counted, str]]]:
        shared = self._shared(pattern)
        files = defaultdict(list)
        for path, fields in _matches(pattern, self._tree):
            counted = [_counted(fields[name]) for name in pattern.fields if name not in shared]
            files[tuple(fields[name] for name in shared)].append(([*chain(*counted)], path))
        return files


_Counted = list[tuple[int, str]]


def _counted(text: str) -> _Counted:
    """A text in an order in which numbers count: `2` before `10`."""
    return [(int(part or 0), rest) for rest, part in re.findall(r"(\D*)(\d*)", text)]


def _with_lookups(group: FileGroup, matched: Mapping[str, str], tree: Tree) -> dict[str, str]:
    fields = dict(matched)
    for name, lookup in group.fields.items():
        fields[name] = _look_up(lookup, fields, tree)
    return fields


def _subject(
    images: Sequence[str], fields: dict[str, str], group: FileGroup, masks: _Masks, tree: Tree
) -> Subject:
    found = _masks_of(images, fields, group, masks)
    return Subject(
        name=Pattern(group.subject).fill(fields),
        patient=Pattern(group.patient).fill(fields),
        fields=fields,
        image=images[0],
        files={path: tree[path] for path in [*images, *chain(*found.values())]},
        images=images,
        masks=found,
    )


def _masks_of(
    images: Sequence[str], fields: Mapping[str, str], group: FileGroup, masks: _Masks
) -> dict[str, list[str]]:
    """The files of each of the mask's patterns, of which none may lack but what is said to."""
    lacking = {group.mask.files[label] for label in group.mask.may_lack}
    found = {text: masks.of(text, fields) for text in group.mask.patterns}
    for text, paths in found.items():
        if not paths and text not in lacking:
            missing = Pattern(text).fill(
                {name: fields.get(name, "*") for name in Pattern(text).fields}
            )
            raise SubjectError("match", images[0], f"{WITHOUT_MASK} {missing}")
    return found


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
