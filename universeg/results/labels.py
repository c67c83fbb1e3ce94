"""A label as people see it: a value in the masks, a name, a colour."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field, field_validator

from megamedical.task_id import slug

# Told apart by people who see colours otherwise, on dark and on light; after Okabe and Ito.
COLOURS = (
    "#e69f00", "#56b4e9", "#00b37e", "#f0e442", "#4d8ff0", "#e8642c", "#d97bb6", "#b9b9b9",
)  # fmt: skip
LARGEST = 65535  # that a grey PNG can hold
LONGEST = 80  # letters of a name


class Label(BaseModel):
    """One label; `value` is what it is written as."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int = Field(ge=1, le=LARGEST)
    name: str = Field(min_length=1, max_length=LONGEST)
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")

    @field_validator("name")
    @classmethod
    def _says_something(cls, name: str) -> str:
        name = " ".join(name.split())
        if not slug(name):
            raise ValueError("a name needs a letter or a digit")
        return name

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Its colour as red, green and blue, 0 to 255."""
        red, green, blue = (int(self.colour[at : at + 2], 16) for at in (1, 3, 5))
        return red, green, blue


def free_colour(taken: Iterable[str]) -> str:
    """The colour that fewest have."""
    used = [*taken]
    return min(COLOURS, key=used.count)
