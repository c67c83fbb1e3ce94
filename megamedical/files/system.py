"""What only POSIX has, and what is done where it is not there: on Windows, for one."""

from __future__ import annotations

import os
import signal
import threading

TYPE_CHECKING = False  # `typing` takes its time, and a command hears Ctrl-C before it has any
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

fcntl: Any
resource: Any
try:
    import fcntl
except ImportError:  # no locks that several share
    fcntl = None
try:
    import resource
except ImportError:  # no limits of a process, and nothing counted of it
    resource = None

IS_POSIX = os.name == "posix"
KILLED = getattr(signal, "SIGKILL", signal.SIGTERM)  # how a process ends that could not object


def after_fork(call: Callable[[], object]) -> None:
    """Let something be called in each process that is forked from this one, where any can be."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def never_block(file: int) -> None:
    """Let nothing that is written to a file wait, where that can be had."""
    if hasattr(os, "set_blocking"):
        os.set_blocking(file, False)


def signal_to_main_thread(number: signal.Signals) -> None:
    """Send this process's main thread a signal, in the middle of a call of the system if can be."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        import _thread

        _thread.interrupt_main(number)
