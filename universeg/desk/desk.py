"""The desk itself: scans, what is drawn on them, and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock, RLock

from pydantic import BaseModel, ValidationError

from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from universeg.desk.catalogue import Entry, plane_of
from universeg.desk.labels import added, checked, told_apart
from universeg.desk.masks import Cut, Masks, Patch
from universeg.desk.predicting.tasks import Judged
from universeg.desk.record import LOOKED_AT, Record, Standing
from universeg.desk.showing import Shelf, Shown, read_shown, write_thumbnail
from universeg.results.labels import Label

_IN_MEMORY = 4  # scans whose layers are


class UnknownScanError(MegaMedicalError):
    """There is no such scan on this desk."""


class TunedNote(BaseModel):
    """What a tuning brought that is in use; see `universeg.desk.predicting.tasks.Tuned`."""

    number: int
    before: float | None
    after: float | None
    gain: float
    labels: list[int]


class Notes(BaseModel):
    """What the folder keeps of the desk as a whole; `tunings` counts them, so none is mistaken."""

    labels: list[Label] = []
    overlap: bool = False
    tuned: TunedNote | None = None
    tunings: int = 0


class Desk:
    """One desk, for several threads; what it says is true on disk."""

    def __init__(
        self, entries: Mapping[str, Entry], folder: Path, plane: str, names: Mapping[int, str]
    ) -> None:
        """Take up the work of a folder.

        Raises:
            MegaMedicalError: what is in it is damaged.
        """
        self.entries = entries
        self.folder = folder
        self.plane = plane_of({**entries}, plane)
        self.are_volumes = any(each.file.dimension == 3 for each in entries.values())
        self.shelf = Shelf()
        self.records = {
            identity: Record(self.work / identity, entry.name)
            for identity, entry in entries.items()
        }
        self.change = 0
        self.judged = Judged()
        self.on_change: Callable[[], None] = lambda: None
        self._lock = RLock()
        self._drawing = Lock()  # of thumbnails, one at a time
        self._used: list[str] = []
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.notes = self._read_notes()
        for value, name in names.items():
            self.name(value, name)

    @property
    def work(self) -> Path:
        """Where what is drawn and found lies, a folder a scan."""
        return self.folder / "work"

    def changed(self) -> None:
        """Count a change, and wake whom it concerns."""
        with self._lock:
            self.change += 1
        self.on_change()

    def record(self, identity: str) -> Record:
        """The work on a scan.

        Raises:
            UnknownScanError: there is no such scan.
        """
        if identity not in self.records:
            raise UnknownScanError("There is no such scan on this desk")
        return self.records[identity]

    def standings(self) -> dict[str, Standing]:
        """How far every scan is, in the order of their names."""
        return {identity: record.standing for identity, record in self.records.items()}

    def support(self) -> list[tuple[str, int]]:
        """The scans that were looked at, each with its revision: what is learnt from."""
        return [
            (identity, each.revision)
            for identity, each in self.standings().items()
            if each.state in LOOKED_AT
        ]

    def shown(self, identity: str) -> Shown:
        """A scan in memory.

        Raises:
            SubjectError: it cannot be read.
        """
        self.record(identity)
        shown = self.shelf.of(self.entries[identity])
        self._shapes[identity] = shown.shape
        return shown

    def shape(self, identity: str) -> tuple[int, ...]:
        """Of the voxels of a scan, which is read once for it, so that no stroke waits for it.

        Raises:
            SubjectError: it cannot be read.
        """
        return self._shapes.get(identity) or self.shown(identity).shape

    def masks(self, identity: str) -> Masks:
        """What is drawn on a scan.

        Raises:
            SubjectError: the scan cannot be read.
        """
        record = self.record(identity)
        masks = record.masks(self.shape(identity))
        with self._lock:
            used = [*(each for each in self._used if each != identity), identity]
            over, self._used = used[:-_IN_MEMORY], used[-_IN_MEMORY:]
        for other in over:
            self.records[other].forget()
        return masks

    def found_masks(self, identity: str) -> Masks:
        """What the network found in a scan, whatever was drawn since."""
        record = self.record(identity)
        if not record.found_file.exists():
            return Masks(self.shape(identity))
        return Masks.load(record.found_file)[0]

    def thumbnail(self, identity: str) -> Path:
        """A small picture of a scan, in a file.

        Raises:
            SubjectError: it cannot be read.
        """
        path = self.record(identity).folder / "thumbnail.png"
        if path.exists():
            return path
        entry = self.entries[identity]
        with self._drawing:  # not by way of the shelf, on which is what somebody looks at
            if not path.exists():
                write_thumbnail(self.shelf.kept(entry) or read_shown(entry), path)
        return path

    def edit(self, identity: str, revision: int, cut: Cut, patches: list[Patch]) -> int:
        """Draw on a slice; see `Record.edit`.

        Raises:
            MegaMedicalError: there is no such label.
        """
        known = {label.value for label in self.notes.labels}
        if any(patch.label not in known for patch in patches):
            raise MegaMedicalError("There is no such label any more", "Choose another one.")
        shape = self.masks(identity).shape
        made = self.record(identity).edit(shape, revision, cut, patches, self.notes.overlap)
        self.changed()
        return made

    def finish(self, identity: str, revision: int) -> None:
        """Accept or correct: the scan joins the support at once."""
        self.record(identity).finish(self.masks(identity).shape, revision)
        self.changed()

    def set_labels(self, labels: Sequence[Label], overlap: bool) -> None:
        """Rename and colour labels, or take some away with all that is drawn of them.

        Raises:
            MegaMedicalError: two have one name.
        """
        with self._lock:
            now = checked(labels)
            gone = {label.value for label in self.notes.labels} - {label.value for label in now}
            self._write_notes(self.notes.model_copy(update={"labels": now, "overlap": overlap}))
        for value in gone:
            for identity, record in self.records.items():
                if record.has_masks:
                    record.drop_label(self.masks(identity).shape, value)
        self.changed()

    def add_label(self, name: str, value: int | None = None, colour: str = "") -> None:
        """Add a label.

        Raises:
            MegaMedicalError: there is one of that name.
        """
        with self._lock:
            labels = added(self.notes.labels, name, value, colour)
            self._write_notes(self.notes.model_copy(update={"labels": labels}))
        self.changed()

    def set_tuned(self, note: TunedNote | None) -> None:
        """Go by what a tuning brought, or by the network as it was."""
        with self._lock:
            tunings = max(self.notes.tunings, note.number if note else 0)
            self._write_notes(self.notes.model_copy(update={"tuned": note, "tunings": tunings}))
        self.changed()

    def name(self, value: int, name: str, colour: str = "") -> None:
        """Have a label of this value; one that is there keeps what a person called it.

        Raises:
            MegaMedicalError: there are enough labels already.
        """
        there = self.notes.labels
        if value not in {label.value for label in there}:
            taken = [label.name for label in there]
            self.add_label(told_apart(name, value, taken), value, colour)

    def _read_notes(self) -> Notes:
        path = self.folder / "desk.json"
        try:
            return Notes.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return Notes()
        except ValidationError as error:
            raise MegaMedicalError(
                f"{path} is damaged", "Take it away; the labels get new names then."
            ) from error

    def _write_notes(self, notes: Notes) -> None:
        with whole_file(self.folder / "desk.json") as path:
            path.write_text(notes.model_dump_json(indent=1), encoding="utf-8")
        self.notes = notes
