"""Files of segments or contours that lie in the patient, and how they come onto an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.library_errors import blaming
from megamedical.reading.volume import Volume
from universeg.annotations.drawing import Named

Say = Callable[[str], None]
Painter = Callable[[Path, Volume, Mapping[str, int], Say], NDArray[Any]]


@dataclass(frozen=True)
class Segments:
    """One file: its program, its labels, and the UID of its series, if it says which it is."""

    path: Path
    program: str
    labels: Sequence[Named]
    series: str
    paint: Painter

    def on(self, image: Volume, values: Mapping[str, int], say: Say) -> NDArray[Any]:
        """The label values of an image, (k, j, i) on its own axes; (K, k, j, i) where they overlap.

        Args:
            image: the volume.
            values: of labels, by name; others are left out.
            say: takes what a person should know of it.

        Raises:
            SubjectError: it is damaged, or does not lie on the image at all.
        """
        with blaming(self.path):
            found = self.paint(self.path, image, values, say)
        if not found.any() and self.labels:
            raise SubjectError(
                "match", self.path.name, "has no voxel on its image: was it drawn on another one?"
            )
        return found
