"""The labels of a desk: added, and told apart."""

from __future__ import annotations

from collections.abc import Sequence

from megamedical.errors import MegaMedicalError
from megamedical.task_id import slug
from universeg.results.labels import LARGEST, Label, free_colour

_MOST = 64


def added(labels: Sequence[Label], name: str, value: int | None = None) -> list[Label]:
    """The labels, and a new one with a colour that is free.

    Raises:
        MegaMedicalError: there are enough already, or one of that name.
    """
    if len(labels) >= _MOST:
        raise MegaMedicalError(f"There are {_MOST} labels already", "Take one away.")
    taken = {label.value for label in labels}
    own = value or next(number for number in range(1, LARGEST) if number not in taken)
    colour = free_colour(label.colour for label in labels)
    return checked([*labels, Label(value=own, name=name, colour=colour)])


def checked(labels: Sequence[Label]) -> list[Label]:
    """The labels, if no two have one value or one name.

    Raises:
        MegaMedicalError: two have.
    """
    names = [slug(label.name) for label in labels]
    values = [label.value for label in labels]
    if len({*names}) < len(names) or len({*values}) < len(values):
        raise MegaMedicalError(
            "Two labels have one name, or one value", "Give each a name of its own."
        )
    return [*labels]
