"""What a miniature of the collection says: its archives, and what must come of each subject."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from miniatures.archives import Archives
from miniatures.phantoms import Drawn

ALL_PLANES = ("axial", "coronal", "sagittal")


@dataclass(frozen=True)
class Expected:
    """A subject of a store: who it is, and what was drawn."""

    patient: str
    drawn: Drawn
    extent: tuple[float, ...]  # of the standard grid, along each axis of what was drawn


@dataclass
class Miniature:
    """A dataset in the layout of its distribution, a few subjects large."""

    archives: Archives = field(default_factory=lambda: defaultdict(dict))
    subjects: dict[str, dict[str, Expected]] = field(default_factory=lambda: defaultdict(dict))
    tasks: set[str] = field(default_factory=set)

    def put(self, archive: str, path: str, content: bytes) -> None:
        """Put a file into an archive."""
        self.archives[archive][path] = content

    def expect(
        self,
        group: str,
        modality: str,
        subject: str,
        drawn: Drawn,
        *,
        patient: str | None = None,
        planes: tuple[str, ...] = ALL_PLANES,
        spacing: tuple[float, ...] = (1.0, 1.0, 1.0),
    ) -> None:
        """Say what must come of a subject; `spacing` is that of voxels the grid resamples."""
        extent = tuple(n * side for n, side in zip(drawn.shape, spacing, strict=False))
        self.subjects[group][subject] = Expected(patient or subject, drawn, extent)
        places = [f"{p}/{s}" for p in planes for s in ("mid", "max")]
        if len(drawn.shape) == 2:
            places = ["2d/mid"]
        for name in {drawn.names[value] for value in drawn.masks}:
            self.tasks |= {f"{group}/{modality}/{place}/{name}" for place in places}


MINIATURES: dict[str, Callable[[], Miniature]] = {}


def miniature(dataset: str) -> Callable[[Callable[[], Miniature]], Callable[[], Miniature]]:
    """Enter the miniature of a dataset of the catalogue."""

    def enter(make: Callable[[], Miniature]) -> Callable[[], Miniature]:
        MINIATURES[dataset] = make
        return make

    return enter
