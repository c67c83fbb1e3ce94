"""The machine, in words."""

from __future__ import annotations

import platform


def hardware() -> str:
    """The machine, in words."""
    import psutil

    cores, memory = psutil.cpu_count(), psutil.virtual_memory().total / 1e9
    return f"{cores} cores ({platform.processor() or platform.machine()}), {memory:.0f} GB"
