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
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from megamedical.catalogue import manifest_folder
from megamedical.errors import MegaMedicalError


class SuiteError(MegaMedicalError):
    """There is no such suite, or its file says something that cannot be."""


class Suite(BaseModel):
    """What is evaluated, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str
    """The name that it is asked for by."""
    version: int
    """Counted up with every change that figures depend on."""
    title: str
    """In a few words."""
    citation: Mapping[str, Any] = {}
    """Of the paper whose protocol it is."""
    notes: str = ""
    """Where it is not as in that paper."""
    resolution: int = 128
    """Height and width of the slices."""
    support: Literal["train", "dev", "test"] = "train"
    """The split that supports are drawn from."""
    evaluated: Literal["train", "dev", "test"] = "test"
    """The split whose subjects are the queries."""
    support_sizes: tuple[int, ...] = Field(default=(64,), min_length=1)
    """How many labelled slices a query comes with."""
    draws: int = Field(default=10, ge=1)
    """Supports of each query; the mean of their predictions is the ensemble."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Above it, predictions and soft masks are inside."""
    both_empty: float = Field(default=1.0, ge=0, le=1)
    """The Dice where neither truth nor prediction has a pixel."""
    seed: int = Field(default=0, ge=0)
    """Of the draws."""
    minimum_area: float = Field(default=0, ge=0, lt=1)
    """Only examples count whose label covers more than this share of the slice."""
    only: Mapping[str, str] = {}
    """By `<dataset>/<group>`, a pattern of the subjects that count; the others are left out."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Their names."""

    @cached_property
    def protocol(self) -> str:
        """SHA-256 of all that figures depend on: rows of one protocol may be compared.

        Which support sizes were asked for makes no difference to those that were.
        """
        said = self.model_dump(mode="json", exclude={"title", "citation", "notes", "support_sizes"})
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
        raise SuiteError(
            f"There is no suite {asked}", f"There are {', '.join(suite_names())}; or give a file."
        )
    try:
        return Suite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise SuiteError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()]
        raise SuiteError("\n  ".join([f"{path} cannot be:", *faults])) from error


def _folder() -> Path:
    return manifest_folder() / "suites"
