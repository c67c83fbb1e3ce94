"""Room on a disk: asked for before it is needed, and explained when it is not there."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from megamedical.errors import ArchiveError, MegaMedicalError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO),
    *(errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR),
}


def in_words(count: int) -> str:
    """A number of bytes as people say it.

    >>> in_words(46_272_028)
    '46.3 MB'
    """
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def in_bytes(words: str) -> int:
    """The number of bytes that people mean.

    >>> in_bytes("46.3 MB")
    46300000

    Raises:
        MegaMedicalError: it is no number with a unit.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kmgt]?)b?", words.strip().lower())
    if not found:
        raise MegaMedicalError(f"{words:.40} is no size", "Write it as 500MB, or 20GB.")
    return round(float(found[1]) * 1000 ** " kmgt".index(found[2] or " "))


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk, or the user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in _FULL


def refusal(error: BaseException) -> MegaMedicalError | None:
    """What the system refuses, in words: room, or a file; None of any other error."""
    if not isinstance(error, OSError):
        return None
    place = error.filename or "a file"
    if is_full(error):
        return MegaMedicalError(
            f"No space left for {place}", "Free some space, or name a larger disk, and run again."
        )
    if error.errno in _REFUSED:
        return MegaMedicalError(
            f"{place} cannot be read, or written: {error.strerror}",
            "Look at who may, or name another place.",
        )
    return None


def require_room(folder: Path, need: int, purpose: str) -> None:
    """Make sure that a folder's disk has room for `need` more bytes.

    Raises:
        ArchiveError: it has not.
    """
    if shutil.disk_usage(folder).free < need:
        raise _too_small(folder, need, purpose)


@contextmanager
def explain_full(folder: Path, need: int | None, purpose: str) -> Iterator[None]:
    """Turn a disk that fills up into an error that says where, for what, and what to do.

    Raises:
        ArchiveError: no space was left.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise _too_small(folder, need, purpose) from error


def _too_small(folder: Path, need: int | None, purpose: str) -> ArchiveError:
    needed = f"{in_words(need)} or more are needed" if need else "how much is needed is not known"
    free = in_words(shutil.disk_usage(folder).free)
    return ArchiveError(
        f"No space left in {folder} for {purpose}: {needed}, {free} are free",
        "Free some space, or use a folder on a larger disk, and run again.",
    )
