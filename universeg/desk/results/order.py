"""What is to be written, and what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from universeg.desk.catalogue import Entry
from universeg.desk.overview import expected_dice, trust_in
from universeg.desk.record import State
from universeg.results.labels import Label
from universeg.tuning.expectation import Expectation

if TYPE_CHECKING:
    from universeg.desk.desk import Desk


@dataclass(frozen=True)
class Ordered:
    """One scan of which results are written; `mask` is the file of what is drawn or found."""

    entry: Entry
    mask: Path
    state: State
    expected: float | None
    agreed: float | None


@dataclass(frozen=True)
class Order:
    """All that is needed to write results, for another process.

    `patients` says whether names of patients may be told; `left_out` has for each label what is to
    be expected of it, as labelled scans say that were each found from the others.
    """

    folder: Path
    scans: Sequence[Ordered]
    labels: Sequence[Label]
    overlap: bool
    patients: bool
    left_out: Mapping[int, Expectation] = field(default_factory=dict)

    @classmethod
    def of(cls, desk: Desk, *, unseen: bool, patients: bool) -> Order:
        """What there is by now; without what nobody looked at, if it is not wanted."""
        trust = trust_in(desk)
        scans = []
        for identity, record in desk.records.items():
            standing = record.standing
            if standing.state == "waiting" or (standing.state == "predicted" and not unseen):
                continue
            mask = record.mask_file if record.mask_file.exists() else record.found_file
            if standing.state == "predicted":
                mask = record.found_file
            scans.append(
                Ordered(
                    desk.entries[identity],
                    mask,
                    standing.state,
                    expected_dice(standing, trust),
                    standing.agreed,
                )
            )
        notes = desk.notes
        left_out = desk.judged.labels
        return cls(desk.folder, scans, notes.labels, notes.overlap, patients, left_out)


@dataclass(frozen=True)
class Step:
    """So many scans of so many are written."""

    done: int
    of: int


@dataclass(frozen=True)
class Outcome:
    """What was written, below the folder; which scans failed, and why."""

    written: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""
