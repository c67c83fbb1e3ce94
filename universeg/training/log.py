"""What a run writes down as it goes: JSON lines always, and for those who track it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from megamedical.files.writing import whole_file
from universeg.training.trackers import Tracker


class Log:
    """A file of JSON lines, each with its step, and the same for those who track the run."""

    def __init__(self, path: Path, after: int, trackers: Sequence[Tracker] = ()) -> None:
        """Open it to go on after a step; what was written of later ones is taken out."""
        self._path = path
        self._trackers = trackers
        if path.exists():
            kept = [row for row in _rows(path) if row["step"] <= after]
            with whole_file(path) as unfinished:
                unfinished.write_text("".join(json.dumps(row) + "\n" for row in kept))

    def write(self, step: int, **values: float) -> None:
        """Note some figures of a step."""
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for tracker in self._trackers:
            tracker.write(step, values)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All that was written."""
        return _rows(self._path)

    def close(self) -> None:
        """Write what others do not have yet; the file of JSON lines has all."""
        for tracker in self._trackers:
            tracker.close()


class Unwritten(Log):
    """The log of a process that does not lead."""

    def __init__(self) -> None:
        """Open nothing."""

    def write(self, step: int, **values: float) -> None:
        """See `Log`."""

    def close(self) -> None:
        """See `Log`."""


def _rows(path: Path) -> list[dict[str, Any]]:
    """All whole lines: the last may have been cut off."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
