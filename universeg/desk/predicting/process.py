"""The thread that gives the predicting process its tasks, and the desk what comes of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Condition, Thread
from typing import Protocol

from megamedical.reporting.ending import deaf_to_interrupts
from universeg.desk.predicting.polite import step_back
from universeg.desk.predicting.tasks import (
    Done,
    Found,
    Judged,
    Progress,
    Ready,
    Spoilt,
    Stop,
    Task,
    Unable,
    Workplace,
)

_WAIT = 0.5  # seconds between two looks at what is to be done
_LISTEN = 0.05  # seconds between two looks at whether something is more urgent
_NICE = 10  # so that the page and the server come first
_DEATHS = 3  # of the process, one after another, before it is given up

_GONE = (
    "The process that predicts ended suddenly, perhaps for want of memory; this scan is left out. "
    "Ask for its prediction to try again."
)


class Employer(Protocol):
    """Who has tasks, and takes what is found."""

    def next_task(self) -> Task | None:
        """What is to be done now, if anything."""
        ...

    def is_outdated(self, task: Task) -> bool:
        """Whether something more urgent has come up since."""
        ...

    def begun(self, ready: Ready) -> None:
        """The process is there."""
        ...

    def unable(self, problem: str) -> None:
        """There will be no predictions, and why."""
        ...

    def progressed(self, task: Task, share: float) -> None:
        """A share of a task is done."""
        ...

    def found(self, task: Task, found: Found) -> None:
        """Something was found, or nothing, for a reason."""
        ...

    def judged(self, task: Task, judged: Judged) -> None:
        """It was seen how well labelled scans are found from the others."""
        ...

    def spoilt(self, spoilt: Spoilt) -> None:
        """What was tuned cannot be used."""
        ...

    def ended(self, task: Task) -> None:
        """A task has ended, done or not."""
        ...


class Predicting:
    """Runs while the desk is open; a process that dies is started anew."""

    def __init__(
        self,
        place: Workplace,
        employer: Employer,
        target: Callable[[Connection, Workplace], None] | None = None,
    ) -> None:
        """Begin."""
        self._place = place
        self._employer = employer
        self._target = target or _work
        self._deaths = 0
        self._wake = Condition()
        self._is_closed = False
        self._thread = Thread(target=self._run, name="predicting", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there may be something to do."""
        with self._wake:
            self._wake.notify_all()

    def close(self) -> None:
        """End the process and the thread."""
        self._is_closed = True
        self.wake()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._is_closed and self._deaths < _DEATHS:
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.get_context("spawn").Process(
                target=self._target, args=(theirs, self._place), daemon=True
            )
            with deaf_to_interrupts():
                process.start()
            theirs.close()
            try:
                if not self._serve(ours):
                    return
            except (EOFError, ConnectionError, OSError):
                self._deaths += 1
            finally:
                ours.close()
                process.terminate()
                process.join(timeout=5)
        if not self._is_closed:
            self._employer.unable("The process that predicts ended again and again.")

    def _serve(self, process: Connection) -> bool:
        """Give tasks until the desk is closed; returns whether it makes sense to begin again."""
        while not process.poll(_WAIT):
            if self._is_closed:
                return False
        first = process.recv()
        if isinstance(first, Unable):
            self._employer.unable(f"{first.problem}. {first.remedy}")
            return False
        self._employer.begun(first)
        while not self._is_closed:
            task = self._employer.next_task()
            if task is None:
                with self._wake:
                    self._wake.wait(_WAIT)
                continue
            try:
                process.send(task)
                self._attend(process, task)
            except (EOFError, ConnectionError, OSError):
                if not self._is_closed:
                    for scan in task.scans:
                        self._employer.found(task, Found(scan, reason=_GONE))
                raise
            finally:
                self._employer.ended(task)
        return False

    def _attend(self, process: Connection, task: Task) -> None:
        asked_to_stop = False
        while True:
            if process.poll(_LISTEN):
                said = process.recv()
                if isinstance(said, Done):
                    self._deaths = 0
                    return
                if isinstance(said, Progress):
                    self._employer.progressed(task, said.share)
                elif isinstance(said, Found):
                    self._employer.found(task, said)
                elif isinstance(said, Judged):
                    self._employer.judged(task, said)
                elif isinstance(said, Spoilt):
                    self._employer.spoilt(said)
            if self._is_closed:
                raise EOFError
            if not asked_to_stop and self._employer.is_outdated(task):
                asked_to_stop = True
                with suppress(OSError):
                    process.send(Stop())


def _work(conversation: Connection, place: Workplace) -> None:
    """What runs in the other process; the server itself does without torch."""
    step_back(_NICE)
    from universeg.desk.predicting.worker import work

    work(conversation, place)
