"""How a command ends when it is asked to: by Ctrl-C, or by SIGTERM, as a cluster sends it.

It says one line, and its exit code is 130. Where nothing is at stake, as while it is imported, it
ends at once. At work, `KeyboardInterrupt` is raised, so that what is half done is cleared up. That
may take a moment; then the process ends as if it had been killed, which leaves something for the
next one to clear up, and loses nothing. Once it is asked, it says nothing but that line, and to ask
again changes nothing.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress

from megamedical.files.system import after_fork, never_block, signal_to_main_thread

TYPE_CHECKING = False  # `typing` is as much to import as all of the above
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any, NoReturn

INTERRUPTED = 130  # exit code
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MOMENT = 1.5  # seconds for clearing up
_UNTIL_HEARD = 1.0  # seconds for a call, or an import, to come to its end before
_EVERY = 0.02  # seconds


class _Ending:
    """What this process has been asked, and how far it has come with it."""

    def __init__(self) -> None:
        self.is_asked = False
        self.next_time = ""
        self._owner = os.getpid()
        self._is_at_work = False
        self._is_raised = False
        self._said = threading.Lock()
        self._stderr = 2
        self._before: dict[signal.Signals, Any] = {}
        self._reader, self._writer = os.pipe()

    def hear(self) -> None:
        """Hear signals from now on; those that the process was started deaf to stay unheard."""
        for number in _SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._asked)
        never_block(self._writer)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, daemon=True).start()

    def have_the_last_word(self) -> None:
        """Once all is cleared up, end at once: to take libraries down lasts more than a second."""
        atexit.register(self._end)  # the first that is registered is the last that is called

    def hear_no_more(self) -> None:
        """Leave signals to whoever had them before."""
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(-1)
        os.close(self._writer)

    @contextmanager
    def work(self, next_time: str) -> Iterator[None]:
        """Have something at stake while the block lasts."""
        self.next_time, self._is_at_work = next_time, True
        try:
            yield
        finally:
            self._is_at_work = self.is_asked  # then the rest of the way is clearing up, too

    def say(self) -> None:
        """Say the line, once."""
        if self._said.acquire(blocking=False):
            line = f"Interrupted. What is finished is kept: {self.next_time}.\n"
            with suppress(OSError):
                is_terminal = os.isatty(self._stderr)  # which stands behind `^C`, or a bar
                os.write(self._stderr, (is_terminal * "\n" + line).encode())

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a forked worker, which is to die as any other
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self._is_raised:
            return
        if not self.is_asked:
            self.is_asked = True
            self._hush()
        if not self._is_at_work:
            self._leave()
        if not _is_importing(frame):  # libraries make anything of it there; see `_watch`
            self._is_raised = True
            raise KeyboardInterrupt

    def _hush(self) -> None:
        """Let nothing be said but the line: libraries report in their way that they are ended."""
        with suppress(OSError, ValueError):
            sys.stderr.flush()
            self._stderr = os.dup(2)
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 2)
            os.close(nothing)

    def _watch(self) -> None:
        """Ask again after an import, and in the end do not wait for what does not hear."""
        number = os.read(self._reader, 1)
        while number and number[0] not in _SIGNALS:
            number = os.read(self._reader, 1)
        if not number:  # nobody wants to hear any more
            os.close(self._reader)
            return
        begun = time.monotonic()
        while time.monotonic() - begun < (_MOMENT if self._is_raised else _UNTIL_HEARD):
            time.sleep(_EVERY)
            if not self._is_raised:
                signal_to_main_thread(signal.Signals(number[0]))
        self._leave()

    def _end(self) -> None:
        if self.is_asked and os.getpid() == self._owner:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            os._exit(INTERRUPTED)

    def _leave(self) -> NoReturn:
        """End this process as it is, and what it has started."""
        if self._is_at_work:
            with suppress(Exception):
                import psutil

                for process in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):
                        process.kill()
        self.say()
        os._exit(INTERRUPTED)


_ending: _Ending | None = None
after_fork(lambda: _ending and signal.set_wakeup_fd(-1))


def end_when_asked(next_time: str = "nothing was begun") -> None:
    """Hear Ctrl-C and SIGTERM from now on, as a program: before it imports anything."""
    _begin_to_hear(next_time).have_the_last_word()


def _begin_to_hear(next_time: str) -> _Ending:
    global _ending  # noqa: PLW0603  (signals are the process's)
    _ending = _Ending()
    _ending.next_time = next_time
    _ending.hear()
    return _ending


@contextmanager
def at_work(next_time: str) -> Iterator[None]:
    """Let `KeyboardInterrupt` be raised when this process is asked to end, while the block lasts.

    `next_time` is what becomes of the work that was interrupted.
    """
    global _ending  # noqa: PLW0603  (see above)
    is_program = _ending is not None
    if not is_program and threading.current_thread() is threading.main_thread():
        _begin_to_hear(next_time)
    if _ending is None:
        yield
        return
    try:
        with _ending.work(next_time):
            yield
    finally:
        if not is_program and not _ending.is_asked:
            _ending.hear_no_more()
            _ending = None


def is_asked() -> bool:
    """Whether this process has been asked to end."""
    return _ending is not None and _ending.is_asked


def say_so() -> None:
    """Say that this process ends because it was asked to, unless that was said."""
    if _ending is not None:
        _ending.say()


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """What is started here does not hear Ctrl-C, not even while it starts; this process does."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
