"""The memory of this machine, or of the container that limits it."""

from __future__ import annotations

from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")
_VERSIONS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def all_memory() -> int:
    """Bytes that all processes together may take."""
    total = psutil.virtual_memory().total
    limits = (_number(_GROUPS / limit) for limit, _, _ in _VERSIONS)
    return min([total, *(limit for limit in limits if limit)])


def free_memory() -> int:
    """Bytes that can be taken before one of them is ended for it."""
    free = [psutil.virtual_memory().available]
    for limit, taken, kinds in _VERSIONS:
        most, used = _number(_GROUPS / limit), _number(_GROUPS / taken)
        if most and used:
            free.append(most - used + _cached(_GROUPS / kinds))
    return min(free)


def _number(file: Path) -> int:
    """The number in a file; 0 where there is none, which stands for no limit."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _cached(kinds: Path) -> int:
    """Bytes of files that are kept in memory only as long as there is room."""
    try:
        said = dict(line.split() for line in kinds.read_text(encoding="ascii").splitlines())
        return int(said["inactive_file"])
    except (OSError, ValueError, KeyError):
        return 0
