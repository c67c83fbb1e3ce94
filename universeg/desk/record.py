"""One scan's work on disk: what is drawn, what was found, and how far a person is with it.

Of each scan a folder holds `mask.npz`, `edits.jsonl` with what was drawn since, `found.npz` with
what the network found, and `standing.json`. A stroke is a line that is appended and synced; a line
that a sudden end cut off is left out when the file is read again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from universeg.desk.masks import Cut, Masks, Patch, agreement

State = Literal["waiting", "predicted", "begun", "accepted", "corrected"]
LOOKED_AT: tuple[State, ...] = ("accepted", "corrected")

_LONG = 4 << 20  # bytes of edits that are folded into the mask


class ConflictError(MegaMedicalError):
    """Somebody else drew on the scan in the meantime."""


class Standing(BaseModel):
    """How far a scan is.

    `revision` counts what persons did, `version` whatever changed what is seen. `drawn` has the
    slices that a person drew or confirmed. `confidence` is what the network makes of its own mask,
    `agreed` the Dice of what it found with what a person made of it, `support` names what it was
    found from, `reason` says why nothing could be found.
    """

    name: str
    state: State = "waiting"
    revision: int = 0
    version: int = 0
    drawn: list[Cut] = []
    confidence: float | None = None
    agreed: float | None = None
    support: str = ""
    reason: str = ""


class Record:
    """The work on one scan, for several threads of one process."""

    def __init__(self, folder: Path, name: str) -> None:
        """Take up what is on disk, if there is anything."""
        self.lock = RLock()
        self.folder = folder
        self._masks: Masks | None = None
        self.standing = self._read_standing(name)
        self._written = self._last_edit = self.standing.revision
        for edit in self._edits():
            self._note(edit["revision"], (edit["plane"], edit["index"]))

    @property
    def mask_file(self) -> Path:
        """What was drawn and found, as of the last time it was folded."""
        return self.folder / "mask.npz"

    @property
    def found_file(self) -> Path:
        """What the network found."""
        return self.folder / "found.npz"

    @property
    def has_masks(self) -> bool:
        """Whether anything was drawn or found."""
        return any(p.exists() for p in (self.mask_file, self.found_file, self._edits_file))

    def masks(self, shape: tuple[int, ...]) -> Masks:
        """What a person sees and changes.

        Raises:
            MegaMedicalError: it belongs to a scan of another shape, or is damaged.
        """
        with self.lock:
            if self._masks is None:
                self._masks = self._loaded(shape)
            if self._masks.shape != shape:
                raise MegaMedicalError(
                    f"What was drawn on {self.standing.name} is for a scan of another size",
                    f"Bring the old scan back, or take {self.folder} away.",
                )
            return self._masks

    def forget(self) -> None:
        """Free the memory of the layers; they are on disk."""
        with self.lock:
            self._masks = None

    def edit(
        self,
        shape: tuple[int, ...],
        revision: int,
        cut: Cut,
        patches: list[Patch],
        overlap: bool,
    ) -> int:
        """Draw on one slice, and have it on disk before this returns.

        Returns:
            the new revision.

        Raises:
            ConflictError: `revision` is not the present one.
            NoSuchPlaceError: a patch lies outside of the scan.
            OSError: it could not be written; then nothing has changed.
        """
        with self.lock:
            self._expect(revision)
            masks = self.masks(shape)
            trial = Masks(shape)
            trial.draw(cut, patches, overlap=True)  # raises before anything is written
            if not self.mask_file.exists() and self.found_file.exists():
                self._copy_found()
            line = {
                "revision": revision + 1,
                "plane": cut[0],
                "index": cut[1],
                "overlap": overlap,
                "patches": [[p.label, [*p.box], [*p.runs]] for p in patches],
            }
            size = self._append(json.dumps(line, separators=(",", ":")))
            masks.draw(cut, patches, overlap)
            self._note(revision + 1, cut)
            if size > _LONG:
                with suppress(OSError):  # the edits are on disk as they are
                    self.fold()
            return self.standing.revision

    def confirm(self, shape: tuple[int, ...], revision: int, cut: Cut) -> int:
        """Note that a slice is right as it is."""
        return self.edit(shape, revision, cut, [], overlap=True)

    def finish(self, shape: tuple[int, ...], revision: int) -> None:
        """Note that a person is done: accepted as it was found, or corrected.

        Raises:
            ConflictError: `revision` is not the present one.
        """
        with self.lock:
            self._expect(revision)
            masks = self.masks(shape)
            found = Masks.load(self.found_file)[0] if self.found_file.exists() else None
            is_as_found = self.standing.state in ("predicted", "accepted")
            with self._or_as_before():
                self.standing.revision += 1
                self.standing.version += 1
                self.standing.state = "accepted" if is_as_found else "corrected"
                self.standing.agreed = None if found is None else agreement(found, masks)
                self.fold()

    def take(self, found: Path, confidence: float, support: str) -> None:
        """Take what the network found, in place of what it found before.

        Only as long as nobody has drawn on the scan, or is done with it.
        """
        with self.lock, self._or_as_before():
            if self.standing.state not in ("waiting", "predicted"):
                return
            self.standing.confidence = confidence
            self.standing.support = support
            self.standing.reason = ""
            self.standing.state = "predicted"
            self.standing.version += 1
            self._masks = None
            found.replace(self.found_file)
            self._write_standing()

    def fill(self, shape: tuple[int, ...], found: Path) -> None:
        """Take what the network found in all slices but those that a person drew.

        Only as long as that person is not done.
        """
        filled, _ = Masks.load(found)  # which takes long, and somebody may be drawing
        with self.lock:
            if self.standing.state == "begun":
                with self._or_as_before():
                    self._masks = self.masks(shape).renewed(filled, self.standing.drawn)
                    self.standing.version += 1
                    self.standing.reason = ""
                    self.fold()

    def drop_label(self, shape: tuple[int, ...], label: int) -> None:
        """Take a label away from what is drawn and found."""
        with self.lock:
            if self.mask_file.exists() or self._edits_file.exists():
                self._masks = self.masks(shape).without(label)
                self.fold()
            if self.found_file.exists():
                found, revision = Masks.load(self.found_file)
                found.without(label).save(self.found_file, revision)
            self._masks = None
            self.standing.version += 1
            self._write_standing()

    def fail(self, reason: str, support: str) -> None:
        """Note why nothing could be found."""
        with self.lock:
            self.standing.reason = reason
            self.standing.support = support
            self.standing.version += 1
            self._write_standing()

    def fold(self) -> None:
        """Write the layers whole, so that no edit is needed to tell them."""
        with self.lock:
            if self._masks is not None:
                self._masks.save(self.mask_file, self._last_edit, synced=True)
                self._write_standing()
                self._edits_file.unlink(missing_ok=True)

    @property
    def _edits_file(self) -> Path:
        return self.folder / "edits.jsonl"

    def _expect(self, revision: int) -> None:
        if revision != self.standing.revision:
            raise ConflictError(
                f"{self.standing.name} was changed in another window",
                "It is shown as it is now; draw on that.",
            )

    def _note(self, revision: int, cut: Cut) -> None:
        self.standing.version += revision - self.standing.revision
        self.standing.revision = self._last_edit = revision
        self.standing.state = "begun"
        if cut not in self.standing.drawn:
            self.standing.drawn.append(cut)

    @contextmanager
    def _or_as_before(self) -> Iterator[None]:
        """What cannot be written has not happened."""
        before = self.standing.model_copy(deep=True)
        try:
            yield
        except BaseException:
            self.standing = before
            self._masks = None
            raise

    def _loaded(self, shape: tuple[int, ...]) -> Masks:
        revision = -1
        if self.mask_file.exists():
            masks, revision = Masks.load(self.mask_file)
        elif self.found_file.exists():
            masks, _ = Masks.load(self.found_file)
        else:
            masks = Masks(shape)
        for edit in self._edits():
            if edit["revision"] > revision:
                patches = [Patch(label, tuple(box), runs) for label, box, runs in edit["patches"]]
                masks.draw((edit["plane"], edit["index"]), patches, edit["overlap"])
        return masks

    def _edits(self) -> Iterator[dict[str, Any]]:
        """What was drawn since the mask was written, but for a line that was cut off."""
        with suppress(FileNotFoundError):
            for line in self._edits_file.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    return
                edit = json.loads(line)
                if edit["revision"] > self._written:
                    yield edit

    def _append(self, line: str) -> int:
        """Append a line and have it on the disk; returns the size of the file.

        What a sudden end, or a full disk, left of a line is taken off first.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._edits_file.open("a+b") as file:
            whole = _whole_lines(file)
            file.truncate(whole)
            try:
                file.write(line.encode("ascii") + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.truncate(self._edits_file, whole)
                raise
            return file.tell()

    def _copy_found(self) -> None:
        with whole_file(self.mask_file) as path:
            shutil.copyfile(self.found_file, path)

    def _read_standing(self, name: str) -> Standing:
        path = self.folder / "standing.json"
        try:
            standing = Standing.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            standing = Standing(name=name)
        except ValidationError as error:
            raise MegaMedicalError(
                f"{path} is damaged", "Take its folder away; its scan begins anew."
            ) from error
        return standing

    def _write_standing(self) -> None:
        with whole_file(self.folder / "standing.json") as path:
            path.write_text(self.standing.model_dump_json(), encoding="utf-8")
        self._written = self.standing.revision


def _whole_lines(file: Any) -> int:  # noqa: ANN401  (a binary file that can be read)
    """How many bytes of a file are whole lines."""
    size = int(file.seek(0, os.SEEK_END))
    step = 1 << 16
    end = size
    while end > 0:
        start = max(0, end - step)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + int(place) + 1
        end = start
    return 0


def drawn_in(cuts: Iterable[Cut], plane: str) -> list[int]:
    """The slices of one plane that a person drew, in order."""
    return sorted(index for own, index in cuts if own == plane)
