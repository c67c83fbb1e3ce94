"""Ctrl-C and SIGTERM in the first moment of a command, before `ending` is imported."""

import _signal  # type: ignore[import-not-found]  # `signal` imports ten modules before it is there
import os

_LINE = b"Interrupted. What is finished is kept: nothing was begun.\n"
_INTERRUPTED = 130  # exit code


def hear() -> None:
    """Let this program end with one line from now on; what it was started deaf to stays unheard."""
    for number in (_signal.SIGINT, _signal.SIGTERM):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)


def _end(_number: int, _frame: object) -> None:
    try:
        os.write(2, _LINE)
    finally:
        os._exit(_INTERRUPTED)
