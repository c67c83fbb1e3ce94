"""What builds that died have left in a folder of records: swept up, but for that of live ones.

Every build holds a shared lock on the folder for as long as it works there. One that can have it
alone knows that nobody else is at work, so that whatever is unfinished has nobody to finish it.
Where others are at work, or the file system knows no locks, only what is a day old is swept up.
Whole records stay, for another store, seed or manifest may want them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from megamedical.files.system import fcntl

_LOCK = ".builds.lock"
_OLD = 24 * 3600.0  # seconds


@contextmanager
def at_work_in(raw: Path, datasets: Iterable[str]) -> Iterator[None]:
    """Work in a folder of archives and records, of which that of some datasets is swept first."""
    with suppress(OSError):
        raw.mkdir(parents=True, exist_ok=True)
    try:
        lock = (raw / _LOCK).open("a")
    except OSError:  # a folder that cannot be written to has nothing to sweep
        yield
        return
    with lock:
        _sweep_all(raw, datasets, lock.fileno())
        try:
            yield
        finally:
            _sweep_all(raw, datasets, lock.fileno())


def _sweep_all(raw: Path, datasets: Iterable[str], lock: int) -> None:
    alone = _locked(lock, "LOCK_EX", "LOCK_NB")
    for dataset in datasets:
        _sweep(raw / dataset / "staged", 0.0 if alone else _OLD)
    _locked(lock, "LOCK_SH")


def _locked(lock: int, *how: str) -> bool:
    if fcntl is None:  # then only what is old is swept up
        return False
    try:
        fcntl.flock(lock, sum(getattr(fcntl, name) for name in how))
    except OSError:
        return False
    return True


def _sweep(staged: Path, age: float) -> None:
    """Remove what is unfinished, and was last written to so many seconds ago."""
    for path in staged.glob("*/*/.*.unfinished"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < age:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
