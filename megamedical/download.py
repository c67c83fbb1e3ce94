"""Downloads over HTTP: resumed, retried, from several mirrors, whole and verified or not there."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from megamedical.checksums import Digest, digest_of
from megamedical.disk import explain_full, in_words, require_room
from megamedical.errors import ArchiveError, Unobtainable

if TYPE_CHECKING:
    import requests

Report = Callable[[int, int | None], None]

_CHUNK = 64 * 1024
_LONGEST_WAIT = 300.0
_TRY_AGAIN = {408, 425, 429}
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body|script)", re.I | re.S)


def download(
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

    What arrives is kept in `<target>.part` until it is whole, so that a later call goes on where
    this one ended; `target` appears only when length and checksum are right. Each mirror gets
    `attempts` tries, with growing pauses, for failures that may pass. `report` is told the bytes
    that have arrived and how many there are, where the server says so.

    Raises:
        Unobtainable: no mirror delivers it; the message gives the reason for each.
        ArchiveError: a mirror delivers another file than the one expected, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target)
    failures: list[tuple[str, _Failed]] = []
    # What has arrived so far can only be continued from where it came.
    for url in sorted(urls, key=lambda url: not part.came_from(url)):
        mirror = _Mirror(url, size, report or _nobody, timeout)
        try:
            _with_retries(mirror, part, attempts, wait)
            _check(part, expected, size)
        except _Failed as failure:
            failures.append((without_secrets(url), failure))
        else:
            part.become(target)
            return
    raise _nothing_worked(target, failures, part)


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without user name, password and query."""
    return re.split(r"[?#]", re.sub(r"(?<=://)[^/]*@", "", url))[0]


class _Failed(Exception):
    """A mirror does not deliver, and will not if asked again."""


class _Passing(_Failed):
    """A mirror does not deliver now; `after` is how many seconds it asks to be left alone."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class _Unreachable(_Passing):
    """No connection to a mirror comes about."""


class _WrongFile(_Failed):
    """A mirror delivers, but not the file that is meant."""


@dataclass(frozen=True)
class _Version:
    """One version of a file on a server; `validator` is its strong ETag, else its date."""

    url: str
    validator: str | None
    length: int | None


class _Part:
    """What has arrived so far of a file, and the version of the file that it is a part of."""

    def __init__(self, target: Path) -> None:
        self.folder = target.parent
        self.purpose = f"downloading {target.name}"
        self.path = target.with_name(f"{target.name}.part")
        self._sidecar = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> _Version | None:
        try:
            return _Version(**json.loads(self._sidecar.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def is_whole(self, url: str) -> bool:
        version = self.version
        return version is not None and self.came_from(url) and self.size == version.length

    def came_from(self, url: str) -> bool:
        return self.version is not None and self.version.url == without_secrets(url)

    def begun_from(self, url: str) -> _Version | None:
        """The version of which some bytes are here, if they came from this URL."""
        return self.version if self.size and self.came_from(url) else None

    def begin(self, version: _Version) -> None:
        """Start from the first byte of a version."""
        # The old bytes go before the new version is written down, or a crash would mix the two.
        self.path.write_bytes(b"")
        self._sidecar.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        self.path.replace(target)
        self._sidecar.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Mirror:
    """One address of a file, and how it is asked."""

    url: str
    size: int | None
    report: Report
    timeout: float

    def deliver(self, part: _Part) -> None:
        """Add to a part what is missing of the file."""
        import requests

        if not re.match("https?://", self.url, re.IGNORECASE):
            raise _Failed("only http:// and https:// addresses can be downloaded so far")
        version = part.begun_from(self.url)
        with (
            self._explained(),
            requests.Session() as session,
            session.get(
                self.url, headers=_headers(part, version), stream=True, timeout=self.timeout
            ) as response,
        ):
            _refuse_status(response, part)
            # Content-Encoding is left alone: servers that send one here mean the `.gz` as it lies.
            chunks = response.raw.stream(_CHUNK, decode_content=False)
            if response.status_code == 206:
                _refuse_other_version(response, version, part)
                self._append(chunks, part)
            else:
                self._begin(response, chunks, part)

    def _begin(self, response: requests.Response, chunks: Iterator[bytes], part: _Part) -> None:
        """Take a file from its first byte, once it looks like the one that is meant."""
        version = _version_of(response, self.url)
        head = next(chunks, b"")
        if _is_web_page(response, head):
            raise _Failed(
                "a web page came instead of the file, most likely a login, terms to accept, or a "
                "landing page with the real link: open it in a browser"
            )
        if not head:
            raise _Passing("nothing came")
        if self.size and version.length is not None and version.length != self.size:
            raise _WrongFile(f"the file is {version.length} bytes long, expected {self.size}")
        with explain_full(part.folder, version.length or self.size, part.purpose):
            part.begin(version)
        self._append(chain([head], chunks), part)

    def _append(self, chunks: Iterable[bytes], part: _Part) -> None:
        """Write what comes to the end of a part."""
        length = part.version.length if part.version else None
        limit = length or self.size
        arrived = part.size
        if limit:
            require_room(part.folder, limit - arrived, part.purpose)
        with explain_full(part.folder, limit, part.purpose), part.path.open("ab") as file:
            for chunk in chunks:
                file.write(chunk)
                arrived += len(chunk)
                self.report(arrived, limit)
                if limit and arrived > limit:
                    break
            file.flush()
            os.fsync(file.fileno())
        if limit and arrived > limit:
            part.discard()
            raise _WrongFile(f"more than the expected {limit} bytes came")
        if length and arrived < length:
            raise _Passing(f"the connection ended after {arrived} of {length} bytes")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what went wrong without the texts of the libraries, which hold the whole URL."""
        import requests
        import urllib3

        try:
            yield
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            slow = f"nothing came for {self.timeout:g} s"
            raise (_Unreachable(slow) if _never_connected(error) else _Passing(slow)) from None
        except requests.exceptions.SSLError as error:
            if _caused_by(error, ssl.SSLCertVerificationError):
                raise _Failed("its certificate is not valid") from None
            raise _Passing("no secure connection came about") from None
        except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
            if _never_connected(error):
                raise _Unreachable(f"it could not be reached{_cause(error)}") from None
            raise _Passing("the connection was dropped") from None
        except requests.TooManyRedirects:
            raise _Failed("it redirects in circles") from None
        except requests.RequestException as error:
            raise _Failed(f"it cannot be asked for ({type(error).__name__})") from None


def _with_retries(
    mirror: _Mirror, part: _Part, attempts: int, wait: Callable[[float], None]
) -> None:
    """Bring a part to its end from one mirror, however often the connection breaks meanwhile."""
    for attempt in range(1, attempts + 1):
        if part.is_whole(mirror.url):
            return
        try:
            mirror.deliver(part)
        except _Passing as failure:
            # Without a network it is better to say so soon than to hope.
            hopeless = isinstance(failure, _Unreachable) and not part.size and attempt > 1
            if attempt == attempts or hopeless:
                raise
            wait(min(failure.after or 2.0 ** (attempt - 1), _LONGEST_WAIT))
        else:
            return


def _check(part: _Part, expected: Digest | None, size: int | None) -> None:
    """Make sure that a part is the file that is meant; what is proven wrong is deleted."""
    if size and part.size != size:
        reason = f"the file is {part.size} bytes long, expected {size}"
    elif expected and (found := digest_of(part.path, expected.algorithm)) != expected.value:
        reason = expected.differs_from(found)
    else:
        return
    part.discard()
    raise _WrongFile(reason)


def _headers(part: _Part, version: _Version | None) -> dict[str, str]:
    headers = {"User-Agent": "megamedical", "Accept-Encoding": "identity"}
    # Without a validator the file may be another one by now: it is fetched as a whole.
    if version and version.validator:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": version.validator}
    return headers


def _refuse_status(response: requests.Response, part: _Part) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    reason = f"it answers {status} {response.reason or ''}".rstrip()
    if status == 416:
        part.discard()
        raise _Passing(reason)
    if status in _TRY_AGAIN or status >= 500:
        raise _Passing(reason, _retry_after(response))
    if status in (401, 403):
        raise _Failed(f"{reason}: it wants a login, or terms to be accepted")
    raise _Failed(reason)


def _refuse_other_version(
    response: requests.Response, version: _Version | None, part: _Part
) -> None:
    """Make sure that what a server continues with belongs to the bytes that are there."""
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    validator = _validator_of(response)
    if (
        version is None
        or span is None
        or int(span[1]) != part.size
        or (version.length is not None and span[2] not in (str(version.length), "*"))
        or (validator is not None and validator != version.validator)
    ):
        part.discard()
        raise _Passing("the file changed on the server between two attempts")


def _version_of(response: requests.Response, url: str) -> _Version:
    length = response.headers.get("Content-Length", "")
    return _Version(
        without_secrets(url), _validator_of(response), int(length) if length.isdecimal() else None
    )


def _validator_of(response: requests.Response) -> str | None:
    """What tells this version from a later one, as `If-Range` takes it: no weak ETags."""
    etag: str = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _is_web_page(response: requests.Response, head: bytes) -> bool:
    content_type = response.headers.get("Content-Type", "").lower()
    return content_type.startswith(("text/html", "application/xhtml")) or bool(_HTML.match(head))


def _retry_after(response: requests.Response) -> float | None:
    """The seconds that a server asks to wait, given as such or as a date."""
    value = response.headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _caused_by(error: BaseException, *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _never_connected(error: BaseException) -> bool:
    import urllib3

    return _caused_by(
        error,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,
    )


def _cause(error: BaseException) -> str:
    """What the system said, such as `Connection refused`."""
    texts = (cause.strerror for cause in _causes(error) if isinstance(cause, OSError))
    return next((f" ({text})" for text in texts if text), "")


def _nothing_worked(
    target: Path, failures: list[tuple[str, _Failed]], part: _Part
) -> ArchiveError | Unobtainable:
    reasons = [f"  - {url}: {failure}" for url, failure in failures]
    by_hand = f"fetch it in a browser and put it into {target.parent}."
    if any(isinstance(failure, _WrongFile) for _, failure in failures):
        problem = f"{target.name} is not the file that is expected"
        return ArchiveError(
            "\n".join([f"{problem}:", *reasons]),
            "Run again; if it stays so, its owners may have repacked it: use --no-checksum if you "
            f"trust it, or {by_hand}",
        )
    kept = f" ({in_words(part.size)} of it are kept)" if part.size else ""
    problem = f"{target.name} could not be downloaded{kept}"
    remedy = "Run again later"
    if all(isinstance(failure, _Unreachable) for _, failure in failures):
        problem += ", it seems that there is no network here"
        remedy = "Run again with a network"
    return Unobtainable("\n".join([f"{problem}:", *reasons]), f"{remedy}, or {by_hand}")


def _nobody(arrived: int, length: int | None) -> None:
    """The report that nobody reads."""
