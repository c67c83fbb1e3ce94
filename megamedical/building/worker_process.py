"""A worker: a process that does one piece of work after the other, as it is told through a pipe.

It is started as a program of its own, not forked, and ends when the pipe does, whatever it is at
then: with the process that it works for, however that ends. Asked to end by SIGTERM it clears up.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from megamedical.files.system import resource
from megamedical.reporting.afar import heard_by

READY = b""  # what a worker says first
SAID = b"said "  # before what a user should read; no result begins so


def serve(pipe: Connection) -> None:
    """Do what comes through a pipe, pairs of a function and its argument, until it ends."""
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    pipe.send_bytes(READY)
    with heard_by(lambda line: pipe.send_bytes(SAID + line.encode("utf-8", "replace"))):
        while True:
            pipe.send_bytes(_result_of(pipe.recv_bytes()))


def _result_of(message: bytes) -> bytes:
    try:
        work, item = pickle.loads(message)  # noqa: S301  (from the process that started this one)
        result = work(item)
    except Exception as error:
        return _packed(error)
    return _packed(result)


def _packed(result: Any) -> bytes:  # noqa: ANN401
    """A result on its way; of an error that cannot be sent, what it says."""
    try:
        packed = pickle.dumps(result)
        if isinstance(result, Exception):
            pickle.loads(packed)  # noqa: S301  (made here)
    except Exception:
        return pickle.dumps(RuntimeError(f"{type(result).__name__}: {result}"))
    return packed


def _end_with(pipe: Connection) -> None:
    """Wait until nobody holds the other end, and end, in the middle of whatever is done here."""
    gone = select.poll()
    gone.register(pipe.fileno(), 0)
    gone.poll()
    os._exit(0)


def _limit_memory(count: int) -> None:
    """Let an array that no memory could hold be an error here.

    And where memory runs out all the same, let the system end a worker, not what it works for.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (count, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _end(number: int, _: object) -> None:
    """Clear up what is half done, and end: nobody wants it any more, nor hears what is said."""
    signal.signal(number, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    raise KeyboardInterrupt


if __name__ == "__main__":
    _limit_memory(int(sys.argv[2]))
    signal.signal(signal.SIGTERM, _end)
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):
        serve(Connection(int(sys.argv[1])))
