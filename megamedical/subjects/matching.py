"""Which files of the archives make up which subject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.reading.dicom import is_dicom
from megamedical.reading.file_parts import has_entry
from megamedical.subjects.frames import parts_of
from megamedical.subjects.images import Image, expect_one_order, images_of, matches_of
from megamedical.subjects.lookups import with_lookups
from megamedical.subjects.masks import WITHOUT_IMAGE, WITHOUT_MASK, Masks
from megamedical.subjects.subject import Failure, Subject, Tree


def find_subjects(
    dataset: str, name: str, group: FileGroup, tree: Tree, *, is_part: bool = False
) -> tuple[list[Subject], list[Failure]]:
    """The subjects of a group, in the order of their names, and what could not be matched.

    An image without its mask, a mask without an image, an image whose lookup finds nothing, and two
    images that would be one subject are failures of stage `match`. Of a part (`is_part`) of a whole
    that has its images and its masks in archives apart, those alone are none that lack each other.
    """
    excluded = {subject for exclusion in group.exclude for subject in exclusion.subjects}
    masks = Masks(group, tree)
    subjects: list[Subject] = []
    failures: list[Failure] = []
    claimed: set[str] = set()
    pattern = Pattern(group.image)
    matches = matches_of(pattern, tree)
    for image in images_of(matches, group):
        claimed |= {*image.paths, *masks.known(image.fields)}
        try:
            if image.numbers and not is_dicom(tree[image.paths[0]]):  # which says where each lies
                expect_one_order(image)
            for part in parts_of(image, group, masks, tree):
                fields = with_lookups(group, part, tree)
                if fields != image.fields:
                    claimed |= masks.known(fields)
                is_wanted = Pattern(group.subject).fill(fields) not in excluded
                if is_wanted and _is_annotated(fields, group, masks, tree):
                    subjects.append(_subject(image, fields, group, masks, tree))
        except SubjectError as error:
            lacks_mask = error.reason.startswith(f"{WITHOUT_MASK} ")
            if not (lacks_mask and (is_part or group.is_without_mask(image.paths[0]))):
                failures.append(Failure.of(dataset, name, Path(image.paths[0]).name, error))
    for text in () if is_part else group.mask.patterns:
        for path, _ in matches_of(Pattern(text, pattern), tree):
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


def _is_annotated(fields: Mapping[str, str], group: FileGroup, masks: Masks, tree: Tree) -> bool:
    """Whether the one file of all masks has an entry of an image, where there is such a file."""
    if group.mask.decode != "entries":
        return True
    entry = Pattern(group.mask.array).fill(fields)
    return all(has_entry(tree[path], entry) for path in masks.of(group.mask.patterns[0], fields))


def _subject(
    image: Image, fields: dict[str, str], group: FileGroup, masks: Masks, tree: Tree
) -> Subject:
    found = masks.of_image(image, fields)
    paths = [*image.paths, *chain(*chain(*found.values()))]
    return Subject(
        name=Pattern(group.subject).fill(fields),
        patient=Pattern(group.patient).fill(fields),
        fields=fields,
        image=image.paths[0],
        files={path: tree[path] for path in paths},
        images=image.paths,
        masks=found,
    )
