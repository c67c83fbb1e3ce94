"""The values in masks: their names, as a user gives them, and whether they are labels at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.subjects.shades import shades_of
from megamedical.task_id import slug
from universeg.tuning.support import Example, SupportError

_COLOUR = re.compile(r"#([0-9a-fA-F]{6})")
_MOST = 64  # labels
_SHOWN = 8
FOREGROUND = {
    1,
    255,
    65535,
}  # how masks of one label write its foreground, in one bit, eight and sixteen


@dataclass(frozen=True)
class Asked:
    """Which labels are looked for; all there are, if nothing is said.

    `values` gives values in masks their names; `colours`, as 0xRRGGBB, have values of their own
    among these; `names` are of labels that annotations name.
    """

    values: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, int] = field(default_factory=dict)
    names: Sequence[str] = ()

    def among(self, known: Mapping[int, str]) -> Mapping[int, str]:
        """The values that are meant and their names, where files have names for some.

        Raises:
            SupportError: a name is none of those that files have.
        """
        if not self.names and not self.values and len(known) > _MOST:
            some = ", ".join([*known.values()][:_SHOWN])
            raise SupportError(
                f"The examples have {len(known)} labels; {_MOST} can be looked for at once",
                f"Choose with --label, several times if need be: {some}, …",
            )
        if not self.names:
            return self.values or known
        by_name = {slug(name): (value, name) for value, name in known.items()}
        unknown = [name for name in self.names if slug(name) not in by_name]
        if unknown:
            there = ", ".join(known.values()) or "none: masks have values, as 1=nucleus"
            raise SupportError(
                f"{unknown[0]!r} names no label of the examples", f"They have {there}."
            )
        return {**self.values, **dict(by_name[slug(name)] for name in self.names)}


def asked_labels(given: Sequence[str]) -> Asked:
    """Read `1=nucleus`, `#ff0000=tumour`, and names alone, of labels that annotations name.

    Raises:
        SupportError: one is nothing of that kind; or two have one value, colour or name.
    """
    names = [label.strip() for label in given if "=" not in label and not label[:1].isdecimal()]
    coloured = [label for label in given if label.lstrip()[:1] == "#" and "=" in label]
    values = named_labels([x for x in given if x not in coloured and x.strip() not in names])
    colours: dict[int, int] = {}
    for label in coloured:
        said, _, name = label.strip().partition("=")
        colour = _COLOUR.fullmatch(said)
        if not colour or not slug(name):
            raise SupportError(
                f"{label!r} names no colour", "Give it as red, green and blue: '#ff0000=tumour'"
            )
        number = int(colour[1], 16)
        if number in colours or slug(name) in map(slug, values.values()):
            raise SupportError(
                f"{label!r} comes after another label of that colour or name",
                "Give each label a colour and a name of its own.",
            )
        colours[number] = max(values, default=0) + 1
        values[colours[number]] = name.strip()
    if any(not slug(name) for name in names):
        raise SupportError("A label has no name", "Give one, or a value and a name: 1=nucleus")
    return Asked(values, colours, names)


def named_labels(given: Sequence[str]) -> dict[int, str]:
    """Read `1=nucleus` and the like: each value and its name.

    Raises:
        SupportError: one is no value with a name; or two have one value, or one name.
    """
    names: dict[int, str] = {}
    for label in given:
        number, _, name = label.partition("=")
        if not number.strip().isdecimal() or int(number) < 1 or not slug(name):
            raise SupportError(
                f"{label!r} names no label",
                "Give the value that a label has in the masks, and its name: 1=nucleus",
            )
        value = int(number)
        if value in names or slug(name) in map(slug, names.values()):
            raise SupportError(
                f"{label!r} comes after another label of that value or name",
                "Give each label a value and a name of its own.",
            )
        names[value] = name.strip()
    return names


def expect_no_shades(mask: NDArray[Any]) -> None:
    """Make sure that a mask holds labels, not shades of grey as smoothing and JPEG leave at edges.

    Raises:
        SubjectError: it holds shades.
    """
    grey = len(shades_of(mask))
    if grey:
        raise SubjectError(
            "decode",
            "",
            f"its mask holds {grey} shades of grey, as at smooth edges, which are no labels: save "
            "it without smoothing, as PNG and not as JPEG",
        )


def with_one_foreground(
    examples: Sequence[Example], wanted: Collection[int]
) -> tuple[list[Example], list[int]]:
    """Examples in which the foreground of masks of two values has one value, as in a build.

    Masks of 0 and 1 beside others of 0 and 255 show one label. It has the value that is wanted,
    or the highest of those found. Where a mask has both, or a third one, or where several are
    wanted, they are taken at their word.

    Returns:
        the examples, and the values that were one label, where there were several.
    """
    found = sorted({value for example in examples for value in example.masks})
    (meant,) = wanted if len(wanted) == 1 else (max(found, default=0),)
    is_mixed = any(value != meant for value in found)
    if not is_mixed or len(wanted) > 1 or not {*found, meant} <= FOREGROUND:
        return [*examples], []
    if any(len(example.masks) > 1 for example in examples):
        return [*examples], []
    return [
        replace(example, masks=dict(zip([meant], example.masks.values(), strict=False)))
        for example in examples
    ], found


def only(mask: NDArray[Any], labels: Collection[int]) -> NDArray[Any]:
    """A mask without the values that are none of these labels."""
    return np.where(np.isin(mask, list(labels)), mask, 0)
