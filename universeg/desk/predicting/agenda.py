"""What is predicted next, and what becomes of what was found."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from threading import RLock

from megamedical.errors import MegaMedicalError, SubjectError
from universeg.desk.desk import Desk
from universeg.desk.predicting.queue import next_ones, stale_ones
from universeg.desk.predicting.tasks import Found, Judged, Ready, Spoilt, Task
from universeg.desk.record import drawn_in

_OPEN = 6.0  # seconds after which a page that is silent looks at a scan no more


class Agenda:
    """Tasks for the predicting process, see `Employer`; for several threads."""

    def __init__(self, desk: Desk) -> None:
        """Take a desk."""
        self.problem = ""
        self.is_ready = False
        self.given = 0
        self.task: Task | None = None
        self.share = 0.0
        self._desk = desk
        self._lock = RLock()
        self._looked: dict[str, float] = {}
        self._asked: list[str] = []
        self._values: set[int] = set()
        self._judged_from = ""

    def looks_at(self, identity: str) -> None:
        """Note that a page shows a scan: what is on the screen does not change by itself."""
        if identity in self._desk.records:
            with self._lock:
                is_new = identity not in self._opened()
                self._looked[identity] = time.monotonic()
            if is_new:
                self._desk.on_change()

    def ask(self, identity: str) -> None:
        """Predict a scan before all others; of a volume that is drawn on, its other slices.

        Raises:
            MegaMedicalError: there is nothing to predict it from.
        """
        standing = self._desk.record(identity).standing
        is_begun = self._desk.are_volumes and bool(standing.drawn)
        if not (self.labelled or is_begun):
            raise MegaMedicalError(
                "There is nothing to learn from yet", "Draw on a scan and say that it is done."
            )
        with self._lock:
            if identity not in self._asked:
                self._asked.append(identity)
        self._desk.changed()

    @property
    def labelled(self) -> int:
        """How many scans there are to learn from."""
        return self.given + len(self._desk.support())

    def left(self) -> int:
        """How many scans wait for a prediction from what is known by now."""
        if not self.labelled:
            return 0
        return len(stale_ones(self._desk.standings(), self._now(), self._opened()))

    def next_task(self) -> Task | None:
        """See `Employer`."""
        with self._lock:
            self.task, self.share = self._next(), 0.0
        if self.task:
            self._desk.changed()
        return self.task

    def is_outdated(self, task: Task) -> bool:
        """See `Employer`."""
        if task.drawn:  # it is waited for, until the person is done
            return any(self._desk.records[i].standing.state != "begun" for i in task.scans)
        with self._lock:
            if self._asked or self._signature(task) != self._now():
                return True
            waited = {*self._waited_for()}
            return bool(waited) and not waited & {*task.scans}

    def begun(self, ready: Ready) -> None:
        """See `Employer`."""
        self.given, self.is_ready = ready.examples, True
        self._values = {*ready.names}
        self.problem = "; ".join(ready.notes[:3])
        try:
            for value, name in ready.names.items():
                self._desk.name(value, name, ready.colours.get(value, ""))
        except (OSError, MegaMedicalError) as error:  # what has a label is found all the same
            self.problem = f"Not all labels of the examples are here: {error}"
        self._desk.changed()

    def unable(self, problem: str) -> None:
        """See `Employer`."""
        self.problem = problem
        self._desk.changed()

    def progressed(self, task: Task, share: float) -> None:
        """See `Employer`."""
        del task
        if share - self.share >= 0.05:
            self.share = share
            self._desk.changed()

    def found(self, task: Task, found: Found) -> None:
        """See `Employer`."""
        record = self._desk.records[found.scan]
        signature = self._signature(task)
        try:
            if found.file is None:
                record.fail(found.reason, signature)
            elif task.drawn:
                record.fill(self._desk.shape(found.scan), found.file)
            else:
                record.take(found.file, found.confidence, signature)
        except (OSError, SubjectError, MegaMedicalError) as error:
            self.problem = f"{record.standing.name} could not be kept: {error}"
        finally:
            if found.file is not None:
                found.file.unlink(missing_ok=True)
        self._desk.changed()

    def judged(self, task: Task, judged: Judged) -> None:
        """See `Employer`."""
        self._judged_from = self._signature(task)
        self._desk.judged = judged
        self._desk.changed()

    def spoilt(self, spoilt: Spoilt) -> None:
        """See `Employer`."""
        self.problem = spoilt.problem
        self._desk.set_tuned(None)

    def ended(self, task: Task) -> None:
        """See `Employer`."""
        del task
        with self._lock:
            self.task = None
        self._desk.changed()

    def _next(self) -> Task | None:
        while self._asked:
            identity = self._asked.pop(0)
            standing = self._desk.records[identity].standing
            if self._desk.are_volumes and standing.drawn and standing.state == "begun":
                return self._rest_of(identity)
            if standing.state in ("waiting", "predicted"):
                return self._task([identity])
        if not self.labelled:
            return None
        chosen = next_ones(
            self._desk.standings(), self._now(), self._opened(), self._desk.are_volumes
        )
        if chosen:
            return self._task(chosen)
        is_known = self._judged_from == self._now()
        return None if is_known or self.labelled < 2 else replace(self._task([]), judges=True)

    def _waited_for(self) -> list[str]:
        """The scans that somebody looks at and that were never predicted."""
        opened = self._opened()
        stale = stale_ones(self._desk.standings(), self._now(), opened)
        return [each for each in stale if each in opened]

    def _now(self) -> str:
        return self._signature(self._task([]))

    def _rest_of(self, identity: str) -> Task:
        """The slices of a volume that nobody drew, along the plane in which most were drawn."""
        record = self._desk.records[identity]
        record.fold()
        drawn = record.standing.drawn
        planes = [plane for plane, _ in drawn]
        plane = max(sorted({*planes}, key=lambda p: p != self._desk.plane), key=planes.count)
        return self._task([identity], plane, drawn_in(drawn, plane))

    def _task(self, scans: Sequence[str], plane: str = "", drawn: Sequence[int] = ()) -> Task:
        notes = self._desk.notes
        return Task(
            scans=tuple(scans),
            support=self._desk.support(),
            labels={label.value: label.name for label in notes.labels},
            overlap=notes.overlap,
            plane=plane or self._desk.plane,
            drawn=tuple(drawn),
            tuned=notes.tuned.number if notes.tuned else 0,
        )

    def _signature(self, task: Task) -> str:
        """What a prediction is made from, in few letters; names of labels do not matter."""
        given = (self.given, sorted(self._values), task.support)
        said = repr((*given, [*task.labels], task.overlap, task.tuned))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def _opened(self) -> set[str]:
        now = time.monotonic()
        with self._lock:
            self._looked = {each: at for each, at in self._looked.items() if now - at < _OPEN}
            return {*self._looked}
