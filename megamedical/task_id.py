"""The names of tasks, `<dataset>/<group>/<modality>/<plane>/<slicing>/<label>`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, Self


class TaskId(NamedTuple):
    """A task by what it is, each part as it stands in its id.

    >>> task = TaskId.parse("acdc/challenge2017/mri/axial/mid/left-ventricle")
    >>> task.label, task.home, str(task)[:14]
    ('left-ventricle', 'acdc/challenge2017', 'acdc/challenge')
    """

    dataset: str
    group: str
    modality: str
    plane: str
    slicing: str
    label: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of an id.

        Raises:
            ValueError: it has not six of them.
        """
        parts = text.split("/")
        if len(parts) != len(cls._fields):
            raise ValueError(f"{text!r} is no task: it is not <{'>/<'.join(cls._fields)}>")
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def home(self) -> str:
        """`<dataset>/<group>`, where its slices lie in a store."""
        return f"{self.dataset}/{self.group}"


def home_of(task: str) -> str:
    """`<dataset>/<group>` of a task's id."""
    return TaskId.parse(task).home


@lru_cache(maxsize=10_000)
def slug(name: str) -> str:
    """A name as it stands in a task's id: `Left ventricle` becomes `left-ventricle`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
