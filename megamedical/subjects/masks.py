"""Which mask files belong to an image, or to each of its slices."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.subjects.images import Counted, Image, counted, matches_of
from megamedical.subjects.subject import Tree

WITHOUT_MASK, WITHOUT_IMAGE = "an image without its mask", "a mask without an image"  # failures
_NAMED = 3  # files in one line


class Masks:
    """The mask files of a group, by the fields that they share with their images."""

    def __init__(self, group: FileGroup, tree: Tree) -> None:
        self._group = group
        self._tree = tree
        image = Pattern(group.image)
        self._patterns = {text: Pattern(text, image) for text in group.mask.patterns}
        self._counting = {group.slices, group.mask.union}
        self._of_either: dict[tuple[str, ...], str] = {}  # a mask, by the fields of two images
        self._several = {
            text: self._by_shared_fields(pattern)
            for text, pattern in self._patterns.items()
            if self._counting & {*pattern.fields}
        }

    def of(self, text: str, fields: Mapping[str, str]) -> list[str]:
        """The files of one of the mask's patterns, in the order of what counts them."""
        return [path for path, _ in self._with_numbers(text, fields)]

    def known(self, fields: Mapping[str, str]) -> set[str]:
        """The masks that an image of these fields has, as far as the fields say."""
        return {
            path
            for text, pattern in self._patterns.items()
            if fields.keys() >= {*self._shared(pattern)}
            for path in self.of(text, fields)
        }

    def of_image(self, image: Image, fields: Mapping[str, str]) -> dict[str, list[list[str]]]:
        """The files of each of the mask's patterns, for each file of an image.

        Args:
            image: the files of the image.
            fields: those of the image, with all that was looked up.

        Raises:
            SubjectError: a pattern that may not lack its file has none, or the slices of the mask
                are not those of the image.
        """
        mask = self._group.mask
        lacking = {mask.files[label] for label in mask.may_lack}
        found = {text: self._with_numbers(text, fields) for text in mask.patterns}
        for text, files in found.items():
            torn = self._of_either.get(self._key(text, fields)) if text in self._several else None
            if torn:
                raise SubjectError(
                    "match",
                    torn,
                    "is the mask of one image or of another, as its name is parted: say in the "
                    "manifest what fields may match, as in `{object:[0-9]+}`",
                )
            if not files and text not in lacking:
                known = {name: fields.get(name, "*") for name in Pattern(text).fields}
                missing = Pattern(text).fill(known)
                raise SubjectError("match", image.paths[0], f"{WITHOUT_MASK} {missing}")
        if not self._group.slices:
            return {text: [[path for path, _ in files]] for text, files in found.items()}
        return {
            text: self._by_slice(image, text, files, may_lack=text in lacking)
            for text, files in found.items()
        }

    def _by_slice(
        self, image: Image, text: str, files: Sequence[tuple[str, Counted]], *, may_lack: bool
    ) -> list[list[str]]:
        """The files of each slice of an image: by its number, or by order where they have none."""
        if not files:
            return [[] for _ in image.paths]
        fields = self._patterns[text].fields
        if self._group.slices not in fields:
            return _in_order(image, [path for path, _ in files])
        by_number: dict[Counted, list[str]] = {number: [] for number in image.numbers}
        if len(by_number) < len(image.paths):
            raise SubjectError(
                "match", image.paths[0], f"two slices have one number: {_twins(image)}"
            )
        strange = [path for path, number in files if number not in by_number]
        for path, number in files:
            by_number.get(number, []).append(path)
        bare = [p for p, n in zip(image.paths, image.numbers, strict=True) if not by_number[n]]
        if strange or (bare and not may_lack):
            raise SubjectError("match", (bare or strange)[0], _left_over(image, bare, strange))
        for paths in by_number.values():
            if len(paths) > 1 and self._group.mask.union not in fields:
                raise SubjectError("match", paths[0], f"is the mask of one slice with {paths[1]}")
        return list(by_number.values())

    def _with_numbers(self, text: str, fields: Mapping[str, str]) -> list[tuple[str, Counted]]:
        """Files with the number of their slice, which is empty where their pattern has none."""
        if text not in self._several:
            path = self._patterns[text].fill(fields)
            return [(path, ())] if path in self._tree else []
        return self._several[text].get(self._key(text, fields), [])

    def _key(self, text: str, fields: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(fields[name] for name in self._shared(self._patterns[text]))

    def _shared(self, pattern: Pattern) -> list[str]:
        return [name for name in pattern.fields if name not in self._counting]

    def _by_shared_fields(
        self, pattern: Pattern
    ) -> dict[tuple[str, ...], list[tuple[str, Counted]]]:
        shared = self._shared(pattern)
        images = self._keys_of_images(shared)
        longest = self._longest_first(pattern)
        files = defaultdict(list)
        for path, matched in matches_of(pattern, self._tree):
            ways = [matched, longest.match(path) or matched]
            keys = [tuple(way[name] for name in shared) for way in ways]
            if keys[0] != keys[1] and images.issuperset(keys):
                self._of_either.update(dict.fromkeys(keys, path))
            fields = ways[keys[0] not in images and keys[1] in images]
            order = [counted(fields[name]) for name in pattern.fields if name not in shared]
            number = counted(fields[self._group.slices]) if self._group.slices in fields else ()
            files[tuple(fields[name] for name in shared)].append((order, path, number))
        return {
            key: [(path, number) for _, path, number in sorted(each)] for key, each in files.items()
        }

    def _keys_of_images(self, shared: Sequence[str]) -> set[tuple[str, ...]]:
        """What the images say in some fields; nothing where these are looked up."""
        image = Pattern(self._group.image)
        if not {*shared} <= {*image.fields}:
            return set()
        return {tuple(f[name] for name in shared) for _, f in matches_of(image, self._tree)}

    def _longest_first(self, pattern: Pattern) -> Pattern:
        """A pattern whose fields take as much of a name as they can, not as little."""
        image = Pattern(self._group.image)
        bare = {*pattern.fields} - {*pattern.meanings, *image.meanings}
        text = re.sub(
            r"\{([a-z_]+)\}",
            lambda field: f"{{{field[1]}:[^/]+}}" if field[1] in bare else field[0],
            pattern.text,
        )
        return Pattern(text, image)


def _in_order(image: Image, masks: Sequence[str]) -> list[list[str]]:
    if len(masks) != len(image.paths):
        raise SubjectError(
            "match", image.paths[0], f"has {len(image.paths)} slices, its mask {len(masks)}"
        )
    return [[path] for path in masks]


def _left_over(image: Image, bare: Sequence[str], strange: Sequence[str]) -> str:
    told = []
    if bare:
        told.append(f"{WITHOUT_MASK}: {_some(bare)}")
    if strange:
        told.append(f"{WITHOUT_IMAGE}: {_some(strange)}")
    if len(bare) == len(image.paths):
        told.append("where they go by their order, let `union:` name what counts the masks")
    return "; ".join(told)


def _twins(image: Image) -> str:
    twins = [
        p for p, n in zip(image.paths, image.numbers, strict=True) if image.numbers.count(n) > 1
    ]
    return _some(twins)


def _some(paths: Sequence[str]) -> str:
    """The names of the first files, and how many more there are."""
    names = [PurePosixPath(path).name for path in paths[:_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
