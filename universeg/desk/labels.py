"""The labels of a desk: a value in the masks, a name, a colour."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from megamedical.errors import MegaMedicalError
from megamedical.task_id import slug

# Told apart by people who see colours otherwise, on dark and on light; after Okabe and Ito.
COLOURS = (
    "#e69f00", "#56b4e9", "#00b37e", "#f0e442", "#4d8ff0", "#e8642c", "#d97bb6", "#b9b9b9",
)  # fmt: skip
_MOST = 64
_LARGEST = 65535  # that a grey PNG can hold


class Label(BaseModel):
    """One label; `value` is what it is written as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int = Field(ge=1, le=_LARGEST)
    name: str = Field(min_length=1, max_length=80)
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")

    @field_validator("name")
    @classmethod
    def _says_something(cls, name: str) -> str:
        name = " ".join(name.split())
        if not slug(name):
            raise ValueError("a name needs a letter or a digit")
        return name


def added(labels: Sequence[Label], name: str, value: int | None = None) -> list[Label]:
    """The labels, and a new one with a colour that is free.

    Raises:
        MegaMedicalError: there are enough already, or one of that name.
    """
    if len(labels) >= _MOST:
        raise MegaMedicalError(f"There are {_MOST} labels already", "Take one away.")
    taken = {label.value for label in labels}
    own = value or next(number for number in range(1, _LARGEST) if number not in taken)
    used = [label.colour for label in labels]
    colour = min(COLOURS, key=used.count)
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
