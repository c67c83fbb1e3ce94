"""Which files are one image: one, or all the slices of a volume."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from megamedical.catalogue.group import FileGroup
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import SubjectError
from megamedical.subjects.subject import Tree

Match = tuple[str, dict[str, str]]  # a path, and the fields that its pattern finds in it
Counted = tuple[tuple[int, str], ...]  # each number in a text, after what stands before it
_DECIMAL = ("", ".", "")  # what stands before the numbers of `0.5`, and behind them


@dataclass(frozen=True)
class Image:
    """The files of one image, and the fields that they agree on.

    `numbers` says which slice each file is, where each is one.
    """

    paths: Sequence[str]
    fields: Mapping[str, str]
    numbers: Sequence[Counted] = ()


def matches_of(pattern: Pattern, tree: Tree) -> list[Match]:
    """The files that fit a pattern, with their fields."""
    found = ((path, pattern.match(path)) for path in tree)
    return [(path, fields) for path, fields in found if fields is not None]


def images_of(matches: Iterable[Match], group: FileGroup) -> list[Image]:
    """The images that files make; the slices of a volume come from the lowest number up."""
    if not group.slices:
        return [Image([path], fields) for path, fields in matches]
    volumes: dict[tuple[tuple[str, str], ...], list[tuple[Counted, str]]] = defaultdict(list)
    for path, fields in matches:
        agreed = {name: text for name, text in fields.items() if name != group.slices}
        volumes[tuple(agreed.items())].append((counted(fields[group.slices]), path))
    return [
        Image([path for _, path in sorted(slices)], dict(agreed), [n for n, _ in sorted(slices)])
        for agreed, slices in volumes.items()
    ]


def expect_one_order(image: Image) -> None:
    """Make sure that the numbers of slices have one order, whoever counts.

    Raises:
        SubjectError: they are written in different ways, as those of two volumes would be, or some
            with a sign; or a point in them may be that of decimals, by which their order differs.
    """
    ways: dict[tuple[str, ...], str] = {}
    for path, number in zip(image.paths, image.numbers, strict=False):
        ways.setdefault(tuple(between for _, between in number), path)
    if len(ways) > 1:
        names = " and ".join(PurePosixPath(path).name for path in [*ways.values()][:2])
        told = f"its slices are numbered in different ways, as {names}"
    elif [*ways] == [_DECIMAL] and not _are_ordered(image.numbers):
        told = "of its slices nobody knows whether .25 comes before .5 or behind it"
    else:
        return
    raise SubjectError(
        "match",
        image.paths[0],
        f"{told}: say in the manifest what their field may match, as in `{{slice:[0-9]+}}`",
    )


def _are_ordered(numbers: Sequence[Counted]) -> bool:
    """Whether decimals are in their order as such."""
    decimals = [float(f"{whole}.{part}") for (whole, _), (part, _), *_ in numbers]
    return decimals == sorted(decimals)


def counted(text: str) -> Counted:
    """A text in an order in which numbers count: `2` before `10`, and `02` is `2`."""
    return tuple((int(part or -1), rest) for rest, part in re.findall(r"(\D*)(\d*)", text))
