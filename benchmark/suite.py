"""A suite: which tasks, which subjects, which supports, and how a prediction is scored.

Everything that a figure depends on stands in the suite's YAML file, so a figure that names the
suite and its protocol hash says how it came about.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from megamedical.catalogue import strict_yaml
from megamedical.catalogue.datasets import manifest_folder
from megamedical.catalogue.facts import Slug
from megamedical.errors import MegaMedicalError, nearest
from megamedical.task_id import home_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_RULES = 1  # of draws and measures, as the code has them: counted up when figures change with them
_NOT_COMPARED = {"title", "citation", "notes", "support_sizes", "shared_draws"}
_SHOWN = 20  # of what cannot be
_TASK = r"^[^/]+(/[^/]+){5}$"


class SuiteError(MegaMedicalError):
    """There is no such suite, or its file says something that cannot be."""


class Suite(BaseModel):
    """What is evaluated, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: Slug
    """The name that it is asked for by."""
    version: int
    """Counted up with every change that figures depend on."""
    title: str
    """In a few words."""
    citation: Mapping[str, Any] = {}
    """Of the paper whose protocol it is."""
    notes: str = ""
    """Where it is not as in that paper."""
    resolution: int = Field(default=128, gt=0)
    """Height and width of the slices."""
    support: Literal["train", "dev", "test"] = "train"
    """The split that supports are drawn from."""
    evaluated: Literal["train", "dev", "test"] = "test"
    """The split whose subjects are the queries."""
    support_sizes: tuple[Annotated[int, Field(gt=0)], ...] = Field(default=(64,), min_length=1)
    """How many labelled slices a query comes with."""
    draws: int = Field(default=10, ge=1)
    """Supports of each query; the mean of their predictions is the ensemble."""
    shared_draws: int = Field(default=3, ge=1)
    """Supports of each task, for methods that are too dear to be fitted to those of each query."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Predictions and soft masks are cut at it alike: what is above it is inside."""
    both_empty: float = Field(default=1.0, ge=0, le=1)
    """The Dice where neither truth nor prediction has a pixel."""
    seed: int = Field(default=0, ge=0)
    """Of the draws."""
    minimum_area: float = Field(default=0, ge=0, lt=1)
    """Only examples count whose label covers more than this share of the slice."""
    only: Mapping[str, str] = {}
    """By `<dataset>/<group>`, a pattern of the subjects that count; the others are left out."""
    tasks: tuple[Annotated[str, Field(pattern=_TASK)], ...] = Field(min_length=1)
    """`<dataset>/<group>/<modality>/<plane>/<slicing>/<label>`, each once."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for name, values in (("tasks", self.tasks), ("support_sizes", self.support_sizes)):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"`{name}:` has {twice} twice")
        groups = {home_of(task) for task in self.tasks}
        for group in self.only:
            if group not in groups:
                raise ValueError(f"`only:` names {group}, of which there is no task")
        return self

    @cached_property
    def protocol(self) -> str:
        """SHA-256 of all that figures depend on: rows of one protocol may be compared.

        Which support sizes were asked for makes no difference to those that were, and the order of
        tasks none at all. How many supports a task has where all its queries share them is said by
        each row that it makes a difference to.
        """
        said = self.model_dump(mode="json", exclude=_NOT_COMPARED)
        said["tasks"].sort()
        said["rules"] = _RULES
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def suite_names() -> list[str]:
    """The suites that come with the package."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def load_suite(asked: str) -> Suite:
    """A suite by its name, or from a YAML file.

    Raises:
        SuiteError: there is none, or it cannot be.
    """
    path = Path(asked) if asked.endswith((".yaml", ".yml")) else _folder() / f"{asked}.yaml"
    if not path.is_file():
        raise SuiteError(f"There is no suite {asked}", nearest(asked, suite_names()))
    try:
        return Suite.model_validate(strict_yaml.read(path))
    except (yaml.YAMLError, OSError) as error:
        raise SuiteError(
            f"{path} is not YAML, or cannot be read: {error}",
            "See the suites that come with the package.",
        ) from error
    except ValidationError as error:
        raise SuiteError(
            "\n  ".join([f"{path} is not a suite:", *map(_fault, error.errors()[:_SHOWN])]),
            f"A suite has the keys {', '.join(Suite.model_fields)}.",
        ) from error


def _fault(error: ErrorDetails) -> str:
    place = ".".join(str(step) for step in error["loc"]) or "the whole file"
    reasons = {
        "extra_forbidden": "no such key; look for a misspelling",
        "missing": "this key must be given",
        "model_type": "must be `key: value` lines",
        "string_pattern_mismatch": f"{error['input']!r} does not have the form of a name",
    }
    found = (
        f" (found {error['input']!r:.200})" if isinstance(error["input"], str | int | float) else ""
    )
    told = str(error["msg"]).removeprefix("Value error, ") + found
    return f"{place}: {reasons.get(error['type'], told)}"


def _folder() -> Path:
    return manifest_folder() / "suites"
