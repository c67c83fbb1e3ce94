"""What a process has at hand to learn from: given examples, and scans that were looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.reading.scan import Scan
from universeg.desk.masks import Masks
from universeg.desk.predicting.finding import Finder, SeenScan, example_of, read_support
from universeg.desk.predicting.tasks import Workplace
from universeg.tuning.support import Example


class Examples:
    """A network, and all labelled scans by now; none is read twice while there is room."""

    def __init__(self, place: Workplace, say: Callable[[str], None]) -> None:
        """Load the network and read the given examples; `say` is told what is left out.

        Raises:
            MegaMedicalError: there are no such weights, or no example can be used.
        """
        self.finder = Finder(place.settings)
        self.given: list[Example] = []
        self.names: Mapping[int, str] = {}
        self.colours: Mapping[int, str] = {}
        self._place = place
        self._learnt: dict[tuple[str, int, str], Example] = {}
        if place.support:
            plane = place.settings.plane
            read = read_support(place.support, self.finder, plane, say)
            self.given, self.names, self.colours = read

    def of(
        self, support: Sequence[tuple[str, int]], plane: str, alive: Callable[[], None]
    ) -> list[Example]:
        """The given ones and the scans that were looked at; those not meant any more are let go."""
        examples: dict[tuple[str, int, str], Example] = {}
        for identity, revision in support:
            key = (identity, revision, plane)
            if key in self._learnt:
                examples[key] = self._learnt[key]
                continue
            alive()
            with suppress(SubjectError, MegaMedicalError):  # one that is gone is no example
                masks = self.masks(identity)
                if masks:
                    examples[key] = example_of(self.seen(identity, plane), masks)
        self._learnt = examples
        return [*self.given, *examples.values()]

    def seen(self, identity: str, plane: str) -> SeenScan:
        """A scan as the network sees it.

        Raises:
            SubjectError: it cannot be read.
        """
        return self.finder.seen(identity, lambda: self._read(identity), plane)

    def masks(self, identity: str) -> Masks | None:
        """What is drawn on a scan, if anything is."""
        file = self._place.folder / identity / "mask.npz"
        return Masks.load(file)[0] if file.exists() else None

    def _read(self, identity: str) -> Scan:
        entry = self._place.scans[identity]
        entry.expect_inside()
        try:
            return entry.file.read()[0]
        except OSError as error:
            raise SubjectError("read", entry.file.path.name, str(error)) from error


def digest_of(weights: str) -> str:
    """What tells a file of weights from any other."""
    with Path(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
