"""The subjects of one image: itself, or each of the pictures that its file holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import repeat

from megamedical.catalogue.annotation import Span, Told
from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.reading.file_parts import count_pictures, told_of_pictures
from megamedical.reading.spreadsheets import Row, find_row
from megamedical.subjects.images import Image
from megamedical.subjects.masks import Masks
from megamedical.subjects.subject import Tree


def parts_of(image: Image, group: FileGroup, masks: Masks, tree: Tree) -> Iterator[dict[str, str]]:
    """The fields of each subject of an image file: of itself, or of each of its frames.

    Raises:
        SubjectError: its frames cannot be counted, or are not those of its mask.
    """
    if not group.frames:
        yield dict(image.fields)
        return
    if group.span:
        for phase, frame in enumerate(_spanned(image, group, group.span, masks, tree)):
            counted = {group.frames: f"{frame:05d}", group.span.counts: f"{phase:05d}"}
            yield {**image.fields, **counted}
        return
    (path,) = image.paths
    count = count_pictures(tree[path], group.array)
    told = list(_told(group.told, path, count, tree)) if group.told else repeat({}, count)
    _expect_as_many(path, count, group, masks.known(image.fields), tree)
    for frame, also in enumerate(told):
        yield {**image.fields, **also, group.frames: f"{frame:05d}"}


def _expect_as_many(path: str, count: int, group: FileGroup, masks: set[str], tree: Tree) -> None:
    """The n-th picture of a mask belongs to the n-th of its image, so they are as many."""
    if group.mask.decode == "entries" or group.frames in Pattern(group.mask.array).fields:
        return
    for mask in sorted(masks):
        shown = count_pictures(tree[mask], group.mask.array)
        if shown != count:
            raise SubjectError("match", mask, f"shows {shown} frames, its image {path} has {count}")


def _spanned(image: Image, group: FileGroup, span: Span, masks: Masks, tree: Tree) -> Iterator[int]:
    """The frames of an image that its mask shows, in their order; none where it has no mask.

    What the image or its row lacks of the mask's frames, or the mask of its row's, is told after
    those that are there.
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
    ((mask,),) = next(iter(masks.of_image(image, image.fields).values()))
    shown = count_pictures(tree[mask], group.mask.array)
    there = count_pictures(tree[path], group.array)
    yield from frames[: min(shown, max(there - frames.start, 0))]
    if frames[:shown].stop > there:
        raise SubjectError(
            "match", path, f"has {there} frames, its mask shows {_counted_from_1(frames[:shown])}"
        )
    if shown != len(frames):
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


def _told(told: Told, path: str, count: int, tree: Tree) -> Iterator[Mapping[str, str]]:
    texts = told_of_pictures(tree[path], told.array)
    if len(texts) != count:
        raise SubjectError("match", path, f"has {count} frames, {told.array} tells of {len(texts)}")
    for text in texts:
        fields = Pattern(told.pattern).match(text)
        if fields is None:
            raise SubjectError("match", path, f"{told.array} says {text}: no {told.pattern}")
        yield fields
