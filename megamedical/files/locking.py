"""Locks between processes: one at a time, and the others are told who.

A lock is the system's own (`flock`), which ends with the process that holds it, however that ends:
none is left that a person must remove. It holds between processes of one machine, and between
machines where their file system carries `flock` over: NFS from version 4, Lustre mounted with
`flock`, CephFS, GPFS. Where a file system knows no `flock`, filelock marks the lock by a file with
the holder's process and machine; what a machine that is gone has left there, a person must remove.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from megamedical.errors import MegaMedicalError

_SECONDS = 0.1  # between two attempts
_PATIENCE = 2.0  # seconds of waiting, before it is said for whom


class InUseError(MegaMedicalError):
    """Another process holds what is asked for."""


@contextmanager
def held(
    lock: Path,
    *,
    what: str,
    doing: str,
    wait: bool = True,
    tell: Callable[[str], None] | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold a lock while the block lasts.

    Args:
        lock: its file, which is made, and stays; its folder must be there.
        what: that which is held, for messages: `the store at ./store`.
        doing: what it is held for: `building wbc`.
        wait: until another has given it back; else that is an error.
        tell: is told, once, for whom it waits.
        pause: waits for some seconds between two attempts; what it raises ends the waiting.

    Raises:
        InUseError: another process holds it; the message says which, since when, and for what.
    """
    own = FileLock(lock, timeout=0)
    holder = lock.with_name(f"{lock.name}.holder")
    try:
        if wait:
            _wait(own, pause, lambda: tell and tell(f"waiting for {what}: {_said_by(holder)}"))
        else:
            own.acquire()
    except Timeout:
        raise InUseError(
            f"{what} is in use: {_said_by(holder)}",
            "Wait until that has ended, or stop it; or name another folder.",
        ) from None
    try:
        _write(holder, doing)
        yield
    finally:
        holder.unlink(missing_ok=True)
        own.release()


def _wait(lock: FileLock, pause: Callable[[float], None], tell: Callable[[], object]) -> None:
    begun: float | None = time.monotonic()
    while True:
        try:
            lock.acquire()
        except Timeout:
            pause(_SECONDS)
            if begun is not None and time.monotonic() - begun > _PATIENCE:
                begun = None
                tell()
        else:
            return


def _write(holder: Path, doing: str) -> None:
    """Say who holds a lock; nobody depends on it but readers of a message."""
    said = {
        "doing": doing,
        "user": _user(),
        "process": os.getpid(),
        "machine": socket.gethostname(),
        "since": time.time(),
    }
    with suppress(OSError):
        holder.write_text(json.dumps(said), encoding="utf-8")


def _said_by(holder: Path) -> str:
    try:
        said = json.loads(holder.read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(said["since"], UTC).astimezone()
        return (
            f"{said['doing']}, process {int(said['process'])} of {said['user']} on "
            f"{said['machine']}, since {since:%Y-%m-%d %H:%M:%S}"
        )
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return "by a process that has not said who it is"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"
