"""What the server and the predicting process say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from universeg.desk.catalogue import Entry

Ends = tuple[float, float]


@dataclass(frozen=True)
class Settings:
    """What a person chose when the desk was opened."""

    weights: str
    window: Ends | None = None
    percentiles: Ends | None = None
    support_size: int = 16
    plane: str = "axial"
    device: str = "cpu"


@dataclass(frozen=True)
class Workplace:
    """Where the process finds everything: scans by identity, work on them, examples."""

    scans: Mapping[str, Entry]
    folder: Path
    support: Path | None
    settings: Settings


@dataclass(frozen=True)
class Task:
    """Predict scans from a support: scans that were looked at, each with its revision.

    With `drawn`, slices of the one scan are shown before all others, and it is these that the rest
    of it is predicted from, along `plane`.
    """

    scans: Sequence[str]
    support: Sequence[tuple[str, int]]
    labels: Mapping[int, str]
    overlap: bool
    plane: str
    drawn: Sequence[int] = ()


@dataclass(frozen=True)
class Stop:
    """End the present task; something more urgent has come."""


@dataclass(frozen=True)
class Ready:
    """The process has begun; `values` are the labels of the examples, `notes` what is said."""

    values: Sequence[int] = ()
    examples: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Unable:
    """The process cannot begin."""

    problem: str
    remedy: str


@dataclass(frozen=True)
class Progress:
    """The share of a task that is done."""

    share: float


@dataclass(frozen=True)
class Found:
    """What was found in a scan lies in a file; or why nothing was found."""

    scan: str
    file: Path | None = None
    confidence: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Done:
    """The task has ended."""

    stopped: bool = False
