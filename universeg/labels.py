"""Names for the values in masks, as a user gives them."""

from __future__ import annotations

from collections.abc import Sequence

from megamedical.manifest import slug
from universeg.support import SupportError


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
