"""The labels of a desk: added, and told apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain, count

from megamedical.errors import MegaMedicalError
from megamedical.task_id import slug
from universeg.results.labels import LARGEST, LONGEST, Label, free_colour

_MOST = 64


def added(
    labels: Sequence[Label], name: str, value: int | None = None, colour: str = ""
) -> list[Label]:
    """The labels, and a new one in a colour of its own, or one that is free.

    Raises:
        MegaMedicalError: there are enough already, or one of that name.
    """
    if len(labels) >= _MOST:
        raise MegaMedicalError(f"There are {_MOST} labels already", "Take one away.")
    taken = {label.value for label in labels}
    own = value or next(number for number in range(1, LARGEST) if number not in taken)
    shown = colour.lower() or free_colour(label.colour for label in labels)
    return checked([*labels, Label(value=own, name=name, colour=shown)])


def told_apart(name: str, value: int, taken: Collection[str]) -> str:
    """A name that files have for a value, cut and numbered where no label could have it as it is.

    Args:
        name: what files say; where they say nothing it is numbered.
        value: of the label.
        taken: the names of other labels.
    """
    slugs = {*map(slug, taken)}
    whole = " ".join(name.split())
    tries = [whole, f"{whole[: LONGEST - 8]} ({value})" if whole else "", f"label {value}"]
    numbered = (f"label {value} ({number})" for number in count(2))
    fitting = (each for each in chain(tries, numbered) if len(each) <= LONGEST and slug(each))
    return next(each for each in fitting if slug(each) not in slugs)


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
