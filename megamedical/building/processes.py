"""Workers on this machine: processes that are told what to do through pipes, and watched.

No socket listens anywhere, so that nobody else can tell them anything. Each has one piece of work
at a time, so that it is known what a worker died of.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait
from time import monotonic
from typing import Any, Generic, TypeVar

import psutil

from megamedical.building.machine_memory import all_memory, free_memory
from megamedical.building.worker_process import READY, SAID
from megamedical.building.workers import WorkerError
from megamedical.errors import MegaMedicalError
from megamedical.files.disk import in_words
from megamedical.files.system import KILLED
from megamedical.reporting.afar import Hearer
from megamedical.reporting.ending import deaf_to_interrupts

_MODULE = "megamedical.building.worker_process"
_TICK = 0.25  # seconds between two looks at time and memory
_CLEARING_UP = 0.75  # seconds
_SCARCE = 0.05  # of all memory: below it, workers that hold too much are stopped
_STARTS = 3  # in a row that may fail

# One thread each. glibc's own settings stay: giving pages back to the system costs a third of the
# time here, since they must be cleared again.
_ENVIRONMENT = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Task(Generic[Item]):
    """An item on its way; one that a worker died of is done again while nothing else is."""

    item: Item
    is_suspect: bool = False


class LocalWorkers:
    """The work is done by processes on this machine; see `Workers`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._crew: list[_Worker] = []
        self._failed_starts = 0
        self._next_look = 0.0

    def run(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        minutes: float | None = None,
        tell: Hearer | None = None,
    ) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Workers`."""
        waiting = deque(_Task(item) for item in items)
        suspects: deque[_Task[Item]] = deque()
        try:
            while True:
                if not waiting and suspects and not self._busy:
                    waiting.append(suspects.popleft())
                self._hand_out(work, waiting, minutes)
                if not self._busy:
                    return
                for task, outcome in self._outcomes(tell):
                    if isinstance(outcome, _Died) and not task.is_suspect:
                        suspects.append(_Task(task.item, is_suspect=True))
                    elif isinstance(outcome, _Died):
                        yield task.item, WorkerError(outcome.reason)
                    else:
                        yield task.item, outcome
        finally:
            self._let_clear_up(self._busy)
            for worker in self._busy:
                self._dismiss(worker)

    def close(self) -> None:
        """End all workers."""
        for worker in list(self._crew):
            self._dismiss(worker)

    @property
    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._crew if worker.task]

    def _hand_out(
        self, work: Callable[[Item], Result], waiting: deque[_Task[Item]], minutes: float | None
    ) -> None:
        """Give every worker that has nothing to do something that waits."""
        idle = [worker for worker in self._crew if not worker.task]
        while waiting and (idle or len(self._crew) < self._count):
            if not idle:
                self._crew.append(_Worker())
                idle.append(self._crew[-1])
            idle.pop().begin(work, waiting.popleft(), minutes)

    def _outcomes(self, tell: Hearer | None) -> Iterator[tuple[Any, Any]]:
        """What has come of tasks within a moment: results, errors, and workers that died."""
        pipes = {worker.pipe: worker for worker in self._busy}
        for pipe in wait(list(pipes), _TICK):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv_bytes()
            except (EOFError, ConnectionError):
                yield worker.task, _Died(self._bury(worker))
                continue
            if message == READY:
                worker.is_ready, self._failed_starts = True, 0
            elif message.startswith(SAID):
                if tell:
                    tell(message.removeprefix(SAID).decode())
            else:
                yield worker.end_task(), pickle.loads(message)  # noqa: S301  (from a worker)
        if monotonic() < self._next_look:
            return
        self._next_look = monotonic() + _TICK
        for worker in self._late():
            yield worker.task, WorkerError(f"it took longer than {worker.minutes:g} minutes")
            self._dismiss(worker)
        if greedy := self._greedy():
            held = f"its worker held {in_words(greedy.memory)} of {in_words(all_memory())} memory"
            yield greedy.task, _Died(f"{held}, of which too little was left")
            self._dismiss(greedy)

    def _late(self) -> list[_Worker]:
        return [worker for worker in self._busy if monotonic() > worker.deadline]

    def _greedy(self) -> _Worker | None:
        """The worker that holds most, if memory is scarce and it holds more than its share."""
        if free_memory() > _SCARCE * all_memory():
            return None
        largest = max(self._busy, key=lambda worker: worker.memory, default=None)
        if largest and largest.memory > all_memory() / (2 * max(len(self._busy), 1)):
            return largest
        return None

    def _bury(self, worker: _Worker) -> str:
        """Take leave of a worker that died; of what, in words."""
        worker.wait()
        self._dismiss(worker)
        if not worker.is_ready:
            self._failed_starts += 1
        if self._failed_starts == _STARTS:
            raise MegaMedicalError(
                f"Workers do not start: {worker.end_in_words}",
                "Give --workers 0 to do without them.",
            )
        return f"its worker died: {worker.end_in_words}"

    def _let_clear_up(self, workers: Sequence[_Worker]) -> None:
        """Give workers whose work is no longer wanted a moment to remove what is half done."""
        for worker in workers:
            worker.ask_to_end()
        until = monotonic() + _CLEARING_UP
        for worker in workers:
            worker.wait(until - monotonic())

    def _dismiss(self, worker: _Worker) -> None:
        self._crew.remove(worker)
        worker.stop()


@dataclass(frozen=True)
class _Died:
    """A worker ended over a task, for this reason as far as it is known."""

    reason: str


class _Worker:
    """The near end of a worker process."""

    def __init__(self) -> None:
        self.pipe, theirs = Pipe()
        self.task: Any = None
        self.minutes = self.deadline = float("inf")
        self.is_ready = False
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
        with theirs, deaf_to_interrupts():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), str(all_memory())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": path},
            )

    def begin(self, work: Callable[[Any], Any], task: _Task[Any], minutes: float | None) -> None:
        """Give it something to do, for so long at most."""
        self.task = task
        self.minutes = float("inf") if minutes is None else minutes
        self.deadline = monotonic() + 60 * self.minutes
        with suppress(ConnectionError):  # a worker that is dead is noticed when it does not answer
            self.pipe.send_bytes(pickle.dumps((work, task.item)))

    def end_task(self) -> Any:  # noqa: ANN401
        """The task that it has done."""
        done, self.task = self.task, None
        return done

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    @property
    def end_in_words(self) -> str:
        """How it ended."""
        code = self._process.returncode
        if code == -KILLED:
            return "it was killed (out of memory?)"
        if code < 0:
            return f"{signal.Signals(-code).name}"
        return f"exit code {code}"

    def ask_to_end(self) -> None:
        """Let it clear up what it is at, and end."""
        self._process.terminate()

    def wait(self, seconds: float = _TICK) -> None:
        """Let one that no longer answers come to its end."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(seconds, 0))

    def stop(self) -> None:
        """End it, and what it has started, whatever they are at."""
        below = []
        if self.task:
            with suppress(psutil.Error):
                below = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for process in below:
            with suppress(psutil.Error):
                process.kill()
        self._process.wait()
        self.pipe.close()
