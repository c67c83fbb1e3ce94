"""What the server, the predicting process and the tuning one say to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from universeg.desk.catalogue import Entry
from universeg.tuning.expectation import Expectation

Ends = tuple[float, float]


@dataclass(frozen=True)
class Settings:
    """What a person chose when the desk was opened; no `device` is the usual one."""

    weights: str
    window: Ends | None = None
    percentiles: Ends | None = None
    support_size: int = 16
    plane: str = "axial"
    device: str = ""


@dataclass(frozen=True)
class Workplace:
    """Where a process finds everything: scans by identity, work on them, examples."""

    scans: Mapping[str, Entry]
    folder: Path
    support: Path | None
    settings: Settings

    def tuned(self, number: int) -> Path:
        """The file of what was learnt by one tuning."""
        return self.folder / f"tuned-{number}.safetensors"


@dataclass(frozen=True)
class Task:
    """Predict scans from a support: scans that were looked at, each with its revision.

    With `drawn`, slices of the one scan are shown before all others, and it is these that the rest
    of it is predicted from, along `plane`. With `judges`, nothing is predicted: labelled slices are
    found from the others. `tuned` is the number of the tuning whose fruits are used, 0 for none.
    """

    scans: Sequence[str]
    support: Sequence[tuple[str, int]]
    labels: Mapping[int, str]
    overlap: bool
    plane: str
    drawn: Sequence[int] = ()
    judges: bool = False
    tuned: int = 0


@dataclass(frozen=True)
class Stop:
    """End the present task; something more urgent has come."""


@dataclass(frozen=True)
class Ready:
    """The process has begun; `notes` is what is said.

    `names` are the labels of the examples by their values, empty where files have no name for one;
    `colours` has those that files give.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)
    examples: int = 0
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Unable:
    """The process cannot begin, or not go on."""

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
class Judged:
    """How well labelled scans are found from the others, as if nobody had labelled them.

    `labels` has what is to be expected of each label that two scans show. `scans` has for each scan
    its Dice, and the Dice that the network expected of itself.
    """

    labels: Mapping[int, Expectation] = field(default_factory=dict)
    scans: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Spoilt:
    """What a tuning has left cannot be used, and why."""

    problem: str


@dataclass(frozen=True)
class Done:
    """The task has ended."""

    stopped: bool = False


@dataclass(frozen=True)
class Tuning:
    """Go on learning from a support for some seconds, and keep it as this number's."""

    number: int
    seconds: float
    support: Sequence[tuple[str, int]]
    labels: Mapping[int, str]
    plane: str


@dataclass(frozen=True)
class Tuned:
    """What came of a tuning: the Dice of scans that were left out, before and after.

    `gain` is what it brings; where that is nothing, nothing is kept. `labels` are those that it
    learnt.
    """

    before: float | None
    after: float | None
    gain: float
    labels: Sequence[int]
