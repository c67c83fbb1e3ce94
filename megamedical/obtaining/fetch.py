"""Downloads: resumed, retried, from several mirrors, whole and verified or not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from megamedical.errors import ArchiveError, Unobtainable
from megamedical.files.checksums import Digest, digest_of
from megamedical.files.disk import in_words
from megamedical.obtaining.partial_file import (
    Failed,
    Mirror,
    Part,
    Passing,
    Unreachable,
    WrongFile,
    without_secrets,
)
from megamedical.reporting.downloads import Report, nobody

__all__ = ["arrived", "fetch", "without_secrets"]

_LONGEST_WAIT = 300.0


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    expected: Digest | None,
    size: int | None,
    report: Report | None = None,
    attempts: int = 6,
    timeout: float = 30.0,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Download a file from the first of its mirrors that delivers it.

    Mirrors are addresses of HTTP and FTP, and of collections with a client of their own, see
    `megamedical.obtaining.clients`.

    What arrives is kept in `<target>.part` until it is whole, so that a later call goes on where
    this one ended; `target` appears only when length and checksum are right. Each mirror gets
    `attempts` tries, with growing pauses, for failures that may pass. `report` is told the bytes
    that have arrived and how many there are, where the server says so.

    Raises:
        Unobtainable: no mirror delivers it; the message gives the reason for each.
        ArchiveError: a mirror delivers another file than the one expected, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Part(target)
    failures: list[tuple[str, Failed]] = []
    # What has arrived so far can only be continued from where it came.
    for url in sorted(urls, key=lambda url: not part.came_from(url)):
        try:
            mirror = _mirror(url, size, report or nobody, timeout)
            _with_retries(mirror, part, attempts, wait)
            _check(part, expected, size)
        except Failed as failure:
            failures.append((without_secrets(url), failure))
        else:
            part.become(target)
            return
    raise _nothing_worked(target, failures, part)


def arrived(target: Path) -> int:
    """How many bytes of a file that is not whole yet are kept beside it."""
    return Part(target).size


def _mirror(url: str, size: int | None, report: Report, timeout: float) -> Mirror:
    """An address with what can ask it."""
    scheme = url.partition(":")[0].lower()
    if scheme in ("http", "https"):
        from megamedical.obtaining.over_http import HttpMirror

        return HttpMirror(url, size, report, timeout)
    if scheme == "ftp":
        from megamedical.obtaining.over_ftp import FtpMirror

        return FtpMirror(url, size, report, timeout)
    from megamedical.obtaining.clients import CLIENTS, ClientMirror

    if scheme in CLIENTS:
        return ClientMirror(url, size, report, timeout)
    known = ", ".join(["http", "https", "ftp", *CLIENTS])
    raise Failed(f"no such addresses are known, only those that begin with {known}")


def _with_retries(mirror: Mirror, part: Part, attempts: int, wait: Callable[[float], None]) -> None:
    """Bring a part to its end from one mirror, however often the connection breaks meanwhile."""
    for attempt in range(1, attempts + 1):
        if part.is_whole(mirror.url):
            return
        try:
            mirror.deliver(part)
        except Passing as failure:
            # Without a network it is better to say so soon than to hope.
            hopeless = isinstance(failure, Unreachable) and not part.size and attempt > 1
            if attempt == attempts or hopeless:
                raise
            wait(min(failure.after or 2.0 ** (attempt - 1), _LONGEST_WAIT))
        else:
            return


def _check(part: Part, expected: Digest | None, size: int | None) -> None:
    """Make sure that a part is the file that is meant; what is proven wrong is deleted."""
    if size and part.size != size:
        reason = f"the file is {part.size} bytes long, expected {size}"
    elif expected and (found := digest_of(part.path, expected.algorithm)) != expected.value:
        reason = expected.differs_from(found)
    else:
        return
    part.discard()
    raise WrongFile(reason)


def _nothing_worked(
    target: Path, failures: list[tuple[str, Failed]], part: Part
) -> ArchiveError | Unobtainable:
    reasons = [f"  - {url}: {failure}" for url, failure in failures]
    by_hand = f"fetch it in a browser and put it into {target.parent}."
    if any(isinstance(failure, WrongFile) for _, failure in failures):
        problem = f"{target.name} is not the file that is expected"
        return ArchiveError(
            "\n".join([f"{problem}:", *reasons]),
            "Run again; if it stays so, its owners may have repacked it: use --no-checksum if you "
            f"trust it, or {by_hand}",
        )
    kept = f" ({in_words(part.size)} of it are kept)" if part.size else ""
    problem = f"{target.name} could not be downloaded{kept}"
    remedy = "Run again later"
    if all(isinstance(failure, Unreachable) for _, failure in failures):
        problem += ", it seems that there is no network here"
        remedy = "Run again with a network"
    return Unobtainable("\n".join([f"{problem}:", *reasons]), f"{remedy}, or {by_hand}")
