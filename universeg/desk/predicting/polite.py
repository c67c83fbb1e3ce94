"""A process that leaves the machine to whoever draws."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def step_back(by: int) -> None:
    """Have a lower priority, and have threads sleep while they wait for each other.

    By default those of OpenMP spin, and where others use the processors too, that costs several
    times what is computed. OpenMP reads it when torch is loaded, so this comes before that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    with suppress(OSError, AttributeError):
        os.nice(by)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
