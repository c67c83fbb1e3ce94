"""One value for each name of a label, in however many files it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from megamedical.task_id import slug
from universeg.annotations.drawing import Named

_LARGEST = 65535  # that a grey PNG can hold
_LONGEST = 80  # letters of a name
_UNNAMED = "unnamed"


@dataclass(frozen=True)
class Names:
    """Labels of several files: the value of each name as files spell it, its name, its colour."""

    values: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)


def unified(labels: Iterable[Named]) -> Names:
    """Names of all files, those that differ in large letters or blanks being one.

    A label has the value that its files give it, where no two files contradict each other; else
    labels are numbered from 1, in the order of their names.
    """
    spellings: dict[str, list[Named]] = {}
    for label in labels:
        spellings.setdefault(_key(label.name), []).append(label)
    said: dict[str, set[int | None]] = {
        key: {label.value for label in own} for key, own in spellings.items()
    }
    only = [next(iter(values)) for values in said.values() if len(values) == 1]
    known = [value for value in only if value is not None and 0 < value <= _LARGEST]
    if len(known) == len(spellings) == len({*known}):
        numbered = dict(zip(spellings, known, strict=True))
    else:
        numbered = {key: number for number, key in enumerate(sorted(spellings), start=1)}
    spellings = dict(sorted(spellings.items(), key=lambda each: numbered[each[0]]))
    return Names(
        {label.name: numbered[key] for key, own in spellings.items() for label in own},
        {numbered[key]: _shown(own[0].name, numbered[key]) for key, own in spellings.items()},
        {
            numbered[key]: label.colour
            for key, own in spellings.items()
            for label in own
            if label.colour
        },
    )


def _key(name: str) -> str:
    return slug(name) or " ".join(name.split()).casefold()


def _shown(name: str, value: int) -> str:
    """A name that can be a folder's too, which takes a Latin letter or a digit."""
    name = " ".join(name.split())[:_LONGEST] or _UNNAMED
    return name if slug(name) else f"{name} (label {value})"
