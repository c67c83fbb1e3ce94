"""What is drawn and covers no area: points, lines, tags."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


class LeftOut:
    """Counts what is left out of a file, by its kind."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._counts: Counter[str] = Counter()

    def count(self, kind: object) -> None:
        """One of a kind is left out."""
        self._counts[str(kind)] += 1

    def told(self, path: Path) -> list[str]:
        """A sentence for a person, if anything is left out."""
        if not self._counts:
            return []
        kinds = ", ".join(f"{count} × {kind}" for kind, count in self._counts.most_common())
        return [f"{path.name} holds what is no area of a label, and left out: {kinds}"]
