"""Writing results, in a process of its own, while the page goes on."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Lock, Thread
from typing import Any

from universeg.desk.desk import Desk
from universeg.desk.results.order import Order, Outcome, Step
from universeg.desk.results.writing import write_results


class Errand:
    """One writing of results at a time, and how far it is."""

    def __init__(self, desk: Desk) -> None:
        """Take a desk."""
        self._desk = desk
        self._lock = Lock()
        self._process: Any = None
        self._step = Step(0, 0)
        self._outcome: Outcome | None = None

    def begin(self, *, unseen: bool, patients: bool) -> None:
        """Begin, unless it has begun already."""
        with self._lock:
            if self._process is not None:
                return
            for record in self._desk.records.values():
                if record.standing.state == "begun":
                    record.fold()
            ours, theirs = multiprocessing.Pipe(duplex=False)
            order = Order.of(self._desk, unseen=unseen, patients=patients)
            self._step, self._outcome = Step(0, len(order.scans)), None
            self._process = multiprocessing.get_context("spawn").Process(
                target=write_results, args=(theirs, order), daemon=True
            )
            self._process.start()
            theirs.close()
            Thread(target=self._listen, args=(ours,), daemon=True).start()

    def told(self) -> dict[str, Any]:
        """How far it is, and what came of it, for the page."""
        done = self._outcome
        return {
            "running": self._process is not None,
            "done": self._step.done,
            "of": self._step.of,
            "folder": str(self._desk.folder),
            "written": done.written if done else [],
            "failures": done.failures if done else [],
            "problem": done.problem if done else "",
        }

    def close(self) -> None:
        """End it."""
        with suppress(AttributeError):
            self._process.terminate()

    def _listen(self, conversation: Connection) -> None:
        outcome = Outcome(problem="The process that writes results ended suddenly.")
        with suppress(EOFError, OSError):
            while True:
                said = conversation.recv()
                if isinstance(said, Outcome):
                    outcome = said
                    break
                self._step = said
        with self._lock:
            self._outcome, self._process = outcome, None
