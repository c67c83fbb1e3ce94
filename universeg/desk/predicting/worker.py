"""The process that predicts, so that nobody who draws ever waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from megamedical.errors import MegaMedicalError, SubjectError
from universeg.desk.predicting.examples import Examples, digest_of
from universeg.desk.predicting.finding import SeenScan, examples_of_slices
from universeg.desk.predicting.judging import judge
from universeg.desk.predicting.learnt import Learnt
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


class _StoppedError(Exception):
    pass


def work(conversation: Connection, place: Workplace) -> None:
    """Answer tasks until the other end is closed."""
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
    tuned: dict[int, Learnt | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        notes: list[str] = []
        self.examples = Examples(self.place, notes.append)
        own = self.examples
        self.ready = Ready(own.names, own.colours, len(own.given), notes)

    def do(self, task: Task) -> None:
        stopped = False
        try:
            for said in self._judged(task) if task.judges else self._found(task):
                self.conversation.send(said)
        except _StoppedError:
            stopped = True
        self.conversation.send(Done(stopped))

    def _found(self, task: Task) -> Iterator[Found]:
        support = self.examples.of(task.support, task.plane, lambda: self._alive(0.0))
        seen: dict[str, SeenScan] = {}
        for identity in task.scans:
            self._alive(0.0)
            try:
                seen[identity] = self.examples.seen(identity, task.plane)
            except SubjectError as error:
                yield Found(identity, reason=error.reason)
            except Exception as error:  # what is wrong with one scan does not end the others
                yield Found(identity, reason=f"{type(error).__name__}: {error}")
        if task.drawn and seen:
            ((identity, scan),) = seen.items()
            masks = self.examples.masks(identity)
            support += examples_of_slices(scan, masks, task.drawn) if masks else []
        finder = self.examples.finder
        findings = finder.find(
            [*seen.values()],
            finder.shown(support, task.labels),
            task.overlap,
            self._learnt(task.tuned),
            self._alive,
        )
        for identity, finding in zip(seen, findings, strict=True):
            file = self.place.folder / identity / "coming.npz"
            try:
                finding.masks.save(file)
            except OSError as error:
                yield Found(identity, reason=f"could not be written: {error.strerror}")
            else:
                yield Found(identity, file, finding.confidence)

    def _judged(self, task: Task) -> Iterator[Judged]:
        support = self.examples.of(task.support, task.plane, lambda: self._alive(0.0))
        shown = self.examples.finder.shown(support, task.labels)
        yield judge(shown, task.overlap, self._learnt(task.tuned), lambda: self._alive(0.0))

    def _learnt(self, number: int) -> Learnt | None:
        """What a tuning has come to; nothing, where it cannot be used, which is said."""
        if number and number not in self.tuned:
            finder = self.examples.finder
            weights = digest_of(self.place.settings.weights)
            self.tuned = {number: None}
            try:
                file = self.place.tuned(number)
                self.tuned[number] = Learnt.load(file, finder.network, weights, finder.device)
            except MegaMedicalError as error:
                self.conversation.send(Spoilt(str(error)))
        return self.tuned.get(number)

    def _alive(self, share: float) -> None:
        """Say how far it is, and hear whether to stop."""
        self.conversation.send(Progress(share))
        while self.conversation.poll():
            if isinstance(self.conversation.recv(), Stop):
                raise _StoppedError
