"""One tuning at a time, in a process of its own, and how far it is."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

from megamedical.errors import MegaMedicalError
from megamedical.reporting.ending import deaf_to_interrupts
from universeg.desk.desk import Desk, TunedNote
from universeg.desk.predicting.polite import step_back
from universeg.desk.predicting.tasks import Tuned, Tuning, Unable, Workplace

_GONE = Unable("The process that tunes ended suddenly", "Is there memory enough? Try again.")
_NICE = 15  # after what somebody waits for
_NEARLY = 0.99  # of the progress; the rest is being written


class Tunings:
    """Begins tunings, hears what comes of them, and has the desk go by the better network."""

    def __init__(
        self,
        desk: Desk,
        place: Workplace,
        target: Callable[[Connection, Workplace, Tuning], None] | None = None,
    ) -> None:
        """Take a desk, and where a process finds everything."""
        self._desk = desk
        self._place = place
        self._target = target or _tune
        self._lock = Lock()
        self._process: Any = None
        self._begun = self._seconds = 0.0
        self._last: Tuned | Unable | None = None

    def begin(self, seconds: float, labelled: int) -> None:
        """Begin, unless it has begun already; `labelled` is how many scans there are to learn from.

        Raises:
            MegaMedicalError: there are too few.
        """
        if labelled < 2:
            raise MegaMedicalError(
                "One labelled scan leaves nothing to learn from", "Look at another one first."
            )
        with self._lock:
            if self._process is not None:
                return
            notes = self._desk.notes
            asked = Tuning(
                notes.tunings + 1,
                seconds,
                self._desk.support(),
                {label.value: label.name for label in notes.labels},
                self._desk.plane,
            )
            ours, theirs = multiprocessing.Pipe(duplex=False)
            self._process = multiprocessing.get_context("spawn").Process(
                target=self._target, args=(theirs, self._place, asked), daemon=True
            )
            self._begun, self._seconds, self._last = time.monotonic(), seconds, None
            with deaf_to_interrupts():
                self._process.start()
            theirs.close()
            Thread(target=self._listen, args=(ours, self._process, asked), daemon=True).start()
        self._desk.changed()

    def stop(self) -> None:
        """Give it up; what was before stays."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.terminate()
        self._desk.changed()

    def back(self) -> None:
        """Go by the network as it was before any tuning."""
        note = self._desk.notes.tuned
        self._desk.set_tuned(None)
        self._last = None
        if note:
            with suppress(OSError):
                self._place.tuned(note.number).unlink(missing_ok=True)

    def told(self) -> dict[str, Any]:
        """How far it is, and what came of it, for the page."""
        is_running, last, note = self._process is not None, self._last, self._desk.notes.tuned
        labels = {label.value for label in self._desk.notes.labels}
        spent = time.monotonic() - self._begun
        return {
            "running": is_running,
            "share": min(_NEARLY, spent / self._seconds) if is_running else 0.0,
            "left": max(0, round(self._seconds - spent)) if is_running else 0,
            "problem": f"{last.problem}. {last.remedy}" if isinstance(last, Unable) else "",
            "last": _dice(last) if isinstance(last, Tuned) else None,
            "kept": _dice(note) if note else None,
            "knows": note is None or labels <= {*note.labels},
        }

    def close(self) -> None:
        """End it."""
        with self._lock:
            if self._process is not None:
                self._process.terminate()

    def _listen(self, conversation: Connection, process: Any, asked: Tuning) -> None:  # noqa: ANN401
        said: Tuned | Unable = _GONE
        with suppress(EOFError, OSError):
            said = conversation.recv()
        with self._lock:
            if self._process is not process:
                return  # it was given up
            if isinstance(said, Tuned) and said.gain > 0:
                try:
                    self._keep(TunedNote(number=asked.number, **vars(said)))
                except OSError as error:
                    said = Unable(f"It could not be kept: {error.strerror or error}", "Make room.")
            self._process, self._last = None, said
        self._desk.changed()

    def _keep(self, note: TunedNote) -> None:
        before = self._desk.notes.tuned
        self._desk.set_tuned(note)
        if before:
            with suppress(OSError):
                self._place.tuned(before.number).unlink(missing_ok=True)


def _dice(said: Tuned | TunedNote) -> dict[str, float | None]:
    return {"before": said.before, "after": said.after}


def _tune(conversation: Connection, place: Workplace, asked: Tuning) -> None:
    """What runs in the other process; the server itself does without torch."""
    step_back(_NICE)
    from universeg.desk.predicting.tuner import tune

    tune(conversation, place, asked)
