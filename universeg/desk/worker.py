"""The process that predicts, so that nobody who draws ever waits for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.reading.scan import Scan
from universeg.desk.finding import (
    Finder,
    SeenScan,
    example_of,
    examples_of_slices,
    read_support,
)
from universeg.desk.masks import Masks
from universeg.desk.tasks import Done, Found, Progress, Ready, Stop, Task, Unable, Workplace
from universeg.tuning.support import Example

_NICE = 10  # so that the page and the server come first


class _StoppedError(Exception):
    pass


def work(conversation: Connection, place: Workplace) -> None:
    """Answer tasks until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    with suppress(OSError, AttributeError):
        os.nice(_NICE)
    with suppress(EOFError, BrokenPipeError, ConnectionError):
        try:
            worker = _Worker(conversation, place)
        except MegaMedicalError as error:
            conversation.send(Unable(error.problem, error.remedy))
            return
        conversation.send(worker.ready)
        while True:
            task = conversation.recv()
            if isinstance(task, Task):
                worker.do(task)


@dataclass
class _Worker:
    conversation: Connection
    place: Workplace
    given: list[Example] = field(default_factory=list)
    learnt: dict[tuple[str, int, str], Example] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.finder = Finder(self.place.settings)
        notes: list[str] = []
        values: list[int] = []
        if self.place.support:
            plane = self.place.settings.plane
            self.given, values = read_support(self.place.support, self.finder, plane, notes.append)
        self.ready = Ready(values, len(self.given), notes)

    def do(self, task: Task) -> None:
        stopped = False
        try:
            for found in self._found(task):
                self.conversation.send(found)
        except _StoppedError:
            stopped = True
        self.conversation.send(Done(stopped))

    def _found(self, task: Task) -> Iterator[Found]:
        support = [*self.given, *self._learnt(task)]
        seen: dict[str, SeenScan] = {}
        for identity in task.scans:
            try:
                seen[identity] = self._seen(identity, task.plane)
            except SubjectError as error:
                yield Found(identity, reason=error.reason)
        if task.drawn and seen:
            ((identity, scan),) = seen.items()
            masks = self._masks(identity)
            support += examples_of_slices(scan, masks, task.drawn) if masks else []
        findings = self.finder.find(
            [*seen.values()], support, task.labels, task.overlap, self._alive
        )
        for identity, finding in zip(seen, findings, strict=True):
            file = self.place.folder / identity / "coming.npz"
            try:
                finding.masks.save(file)
            except OSError as error:
                yield Found(identity, reason=f"could not be written: {error.strerror}")
            else:
                yield Found(identity, file, finding.confidence)

    def _learnt(self, task: Task) -> list[Example]:
        """The scans that were looked at, as examples; those that are no longer meant are let go."""
        examples: dict[tuple[str, int, str], Example] = {}
        for identity, revision in task.support:
            key = (identity, revision, task.plane)
            if key in self.learnt:
                examples[key] = self.learnt[key]
                continue
            self._alive(0.0)
            with suppress(SubjectError, MegaMedicalError):  # one that is gone is no example
                masks = self._masks(identity)
                if masks:
                    examples[key] = example_of(self._seen(identity, task.plane), masks)
        self.learnt = examples
        return [*examples.values()]

    def _seen(self, identity: str, plane: str) -> SeenScan:
        return self.finder.seen(identity, lambda: self._read(identity), plane)

    def _read(self, identity: str) -> Scan:
        entry = self.place.scans[identity]
        entry.expect_inside()
        try:
            return entry.file.read()[0]
        except OSError as error:
            raise SubjectError("read", entry.file.path.name, str(error)) from error

    def _masks(self, identity: str) -> Masks | None:
        file = self.place.folder / identity / "mask.npz"
        return Masks.load(file)[0] if file.exists() else None

    def _alive(self, share: float) -> None:
        """Say how far it is, and hear whether to stop."""
        self.conversation.send(Progress(share))
        while self.conversation.poll():
            if isinstance(self.conversation.recv(), Stop):
                raise _StoppedError
