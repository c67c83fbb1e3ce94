"""Downloads: resumed, retried, from several mirrors, whole and verified or not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from megamedical.errors import ArchiveError, Unobtainable
from megamedical.files.checksums import Digest, digest_of
from megamedical.files.disk import in_words
from megamedical.files.locking import held
from megamedical.obtaining.partial_file import (
    Address,
    Failed,
    PartialFile,
    Passing,
    TooSlow,
    Unreachable,
    WrongFile,
    without_secrets,
)
from megamedical.reporting.downloads import Report, nobody
from megamedical.unpacking.wholeness import what_is_broken

__all__ = ["arrived", "fetch", "without_secrets"]

_LONGEST_WAIT = 300.0
_A_STEP = 1024  # bytes that are a step forward


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
    tell: Callable[[str], None] | None = None,
) -> None:
    """Download a file from the first of its addresses that delivers it.

    They are of HTTP and FTP, and of collections with a client of their own, see
    `megamedical.obtaining.clients`.

    What arrives is kept in `<target>.part` until it is whole, so that a later call goes on where
    this one ended; `target` appears only when length and checksum are right. Without a checksum
    the length that the server told must be right, and what is called an archive must be one that
    ends where it should. Each address gets `attempts` tries, with growing pauses, for failures
    that may pass; one after which a kilobyte more is here than ever before counts as the first, so
    that a download may break off as often as it likes as long as it moves forward. One that brings
    less than 64 kB in `timeout` seconds, about 2 kB/s of thirty, has failed. `report` is told the
    bytes that have arrived and how many there are, where the server says so.

    Where another process downloads the same file, this one waits, `tell` is told for whom, and
    what the other has brought is checked in the same way.

    Raises:
        Unobtainable: no address delivers it; the message gives the reason for each.
        ArchiveError: an address delivers another file than the one expected, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    was_there = target.is_file()
    with held(
        target.with_name(f".{target.name}.lock"),
        what=f"the download of {target.name}",
        doing=f"downloading {target.name}",
        tell=tell,
        pause=wait,
    ):
        if not was_there and target.is_file():
            _check_brought(target, expected, size)
        else:
            _fetch(urls, target, expected, size, report or nobody, attempts, timeout, wait)


def _check_brought(target: Path, expected: Digest | None, size: int | None) -> None:
    """Make sure that what another process has brought is the file that is meant."""
    if reason := _wrong(target, expected, size):
        raise ArchiveError(
            f"{target.name} is not the file that is expected: {reason}",
            "Delete it and run again.",
        )


def _fetch(
    urls: Sequence[str],
    target: Path,
    expected: Digest | None,
    size: int | None,
    report: Report,
    attempts: int,
    timeout: float,
    wait: Callable[[float], None],
) -> None:
    part = PartialFile(target)
    failures: list[tuple[str, Failed]] = []
    # What has arrived so far can only be continued from where it came.
    for url in sorted(urls, key=lambda url: not part.came_from(url)):
        try:
            address = _address(url, size, report, timeout)
            _with_retries(address, part, attempts, wait)
            _check(part, expected, size)
        except Failed as failure:
            failures.append((without_secrets(url), failure))
        else:
            part.become(target)
            return
    raise _nothing_worked(target, failures, part)


def arrived(target: Path) -> int:
    """How many bytes of a file that is not whole yet are kept beside it."""
    return PartialFile(target).size


def _address(url: str, size: int | None, report: Report, timeout: float) -> Address:
    """An address with what can ask it."""
    scheme = url.partition(":")[0].lower()
    if scheme in ("http", "https"):
        from megamedical.obtaining.over_http import HttpAddress

        return HttpAddress(url, size, report, timeout)
    if scheme == "ftp":
        from megamedical.obtaining.over_ftp import FtpAddress

        return FtpAddress(url, size, report, timeout)
    from megamedical.obtaining.clients import CLIENTS, ClientAddress

    if scheme in CLIENTS:
        return ClientAddress(url, size, report, timeout)
    known = ", ".join(["http", "https", "ftp", *CLIENTS])
    raise Failed(f"no such addresses are known, only those that begin with {known}")


def _with_retries(
    address: Address, part: PartialFile, attempts: int, wait: Callable[[float], None]
) -> None:
    """Bring a part to its end from one address, however often the connection breaks meanwhile."""
    attempt, breaks, furthest = 0, 0, part.size
    while not part.is_whole(address.url):
        try:
            address.deliver(part)
        except Passing as failure:
            moved = part.size >= furthest + _A_STEP
            attempt = 1 if moved and attempts > 1 else attempt + 1
            # Without a network, or with next to none, it is better to say so soon than to hope.
            hopeless = attempt > 1 and (
                isinstance(failure, TooSlow) or (isinstance(failure, Unreachable) and not part.size)
            )
            if attempt >= attempts or hopeless:
                raise
            furthest = max(furthest, part.size)
            usual = 2.0 ** (min(breaks, 1) if moved else attempt - 1)
            breaks += 1
            wait(min(failure.after or usual, _LONGEST_WAIT))
        else:
            return


def _check(part: PartialFile, expected: Digest | None, size: int | None) -> None:
    """Make sure that a part is the file that is meant; what is proven wrong is deleted."""
    if reason := _wrong(part.path, expected, size, name=part.name):
        part.discard()
        raise WrongFile(reason)


def _wrong(path: Path, expected: Digest | None, size: int | None, name: str = "") -> str:
    """What is wrong with a file; "" if nothing is."""
    length = path.stat().st_size
    if size and length != size:
        return f"the file is {length} bytes long, expected {size}"
    if expected:
        found = digest_of(path, expected.algorithm)
        return "" if found == expected.value else expected.differs_from(found)
    return what_is_broken(path, name or path.name)


def _nothing_worked(
    target: Path, failures: list[tuple[str, Failed]], part: PartialFile
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
