"""The most memory that a process has taken, since it was told to forget what it took before."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil

from megamedical.files.system import resource

_MARK = Path("/proc/self/clear_refs")  # of Linux: man 5 proc


def forget_peak() -> None:
    """Count the peak from now on, so that it is not that of another method; only on Linux."""
    with suppress(OSError):
        _MARK.write_text("5", encoding="ascii")


def peak_memory() -> int:
    """Bytes that this process has taken at most; of a system that does not say it, takes now."""
    if resource is None:
        taken = psutil.Process().memory_info()
        return int(getattr(taken, "peak_wset", taken.rss))
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
