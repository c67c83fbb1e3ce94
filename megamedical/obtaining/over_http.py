"""Files over HTTP and HTTPS, continued by Range where the server can say that they are the same."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING

from megamedical.obtaining.partial_file import (
    Address,
    Failed,
    PartialFile,
    Passing,
    Unreachable,
    Version,
    without_secrets,
)
from megamedical.obtaining.redirects import MOST, next_address, places_of, refuse_inward
from megamedical.obtaining.watching import Watch

if TYPE_CHECKING:
    import requests

_CHUNK = 64 * 1024
_LONGEST_REASON = 100  # characters
_LENGTH = re.compile("[0-9]{1,18}")
_VALIDATOR = re.compile("[ -~]{1,1000}")
_TRY_AGAIN = {408, 425, 429}


class HttpAddress(Address):
    """An `http://` or `https://` address."""

    def deliver(self, part: PartialFile) -> None:
        """See `Address`."""
        import requests

        version = part.begun_from(self.url)
        with Watch(self.timeout) as watch, requests.Session() as session:
            with self._explained():
                response = self._answer(session, _headers(part, version), watch)
                _refuse_status(response, part)
            with response:
                chunks = self._told(watch.counted(self._chunks(response)))
                if response.status_code == 206:
                    _refuse_other_version(response, version, part)
                    self.append(chunks, part)
                else:
                    version, is_page = _version_of(response, self.url), _is_web_page(response)
                    self.begin(version, chunks, part, is_page=is_page)

    def _answer(
        self, session: requests.Session, headers: dict[str, str], watch: Watch
    ) -> requests.Response:
        """What a server answers, or the one that it sends to."""
        from megamedical.obtaining.watched_http import watch_connections

        peers = watch_connections(session, watch)
        url, own = self.url, None
        for _ in range(MOST + 1):
            response = session.get(
                url, headers=headers, stream=True, timeout=self.timeout, allow_redirects=False
            )
            onward = next_address(session, response, url)
            if onward is None:
                return response
            response.close()
            if own is None:
                own = peers.allow_only_like_the_first(url)
            for place in places_of(onward):
                refuse_inward(place, own)
            url = onward
        raise Failed(f"it redirects in circles, or more than {MOST} times")

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        # Content-Encoding is left alone: servers that send one here mean the `.gz` as it lies.
        yield from response.raw.stream(_CHUNK, decode_content=False)

    def _told(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """What comes, with errors of the connection, and not of the disk, in words."""
        with self._explained():
            yield from chunks

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what went wrong without the texts of the libraries, which hold the whole URL."""
        import requests
        import urllib3

        try:
            yield
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            slow = f"nothing came for {self.timeout:g} s"
            raise (Unreachable(slow) if _never_connected(error) else Passing(slow)) from None
        except requests.exceptions.SSLError as error:
            if _caused_by(error, ssl.SSLCertVerificationError):
                raise Failed("its certificate is not valid") from None
            raise Passing("no secure connection came about") from None
        except (requests.ConnectionError, urllib3.exceptions.HTTPError) as error:
            if _never_connected(error):
                raise Unreachable(f"it could not be reached{_cause(error)}") from None
            raise Passing("the connection was dropped") from None
        except requests.RequestException as error:
            raise Failed(f"it cannot be asked for ({type(error).__name__})") from None
        except Failed:
            raise
        except (ValueError, LookupError, ArithmeticError, HTTPException) as error:
            raise Failed(f"its answer makes no sense ({type(error).__name__})") from None


def _headers(part: PartialFile, version: Version | None) -> dict[str, str]:
    headers = {"User-Agent": "megamedical", "Accept-Encoding": "identity"}
    # Without a validator the file may be another one by now: it is fetched as a whole.
    if version and version.validator:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": version.validator}
    return headers


def _refuse_status(response: requests.Response, part: PartialFile) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    reason = f"it answers {status} {(response.reason or '')[:_LONGEST_REASON]}".rstrip()
    if status == 416:
        part.discard()
        raise Passing(reason)
    if status in _TRY_AGAIN or status >= 500:
        raise Passing(reason, _retry_after(response))
    if status in (401, 403):
        raise Failed(f"{reason}: it wants a login, or terms to be accepted")
    raise Failed(reason)


def _refuse_other_version(
    response: requests.Response, version: Version | None, part: PartialFile
) -> None:
    """Make sure that what a server continues with belongs to the bytes that are there."""
    span = re.fullmatch(
        r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+|\*)", response.headers.get("Content-Range", "")
    )
    validator = _validator_of(response)
    if (
        version is None
        or span is None
        or int(span[1]) != part.size
        or (version.length is not None and span[2] not in (str(version.length), "*"))
        or (validator is not None and validator != version.validator)
    ):
        part.discard()
        raise Passing("the file changed on the server between two attempts")


def _version_of(response: requests.Response, url: str) -> Version:
    length = response.headers.get("Content-Length", "")
    return Version(
        without_secrets(url),
        _validator_of(response),
        int(length) if _LENGTH.fullmatch(length) else None,
    )


def _validator_of(response: requests.Response) -> str | None:
    """What tells this version from a later one, as `If-Range` takes it: no weak ETags."""
    etag: str = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
    return validator if _VALIDATOR.fullmatch(validator) else None


def _is_web_page(response: requests.Response) -> bool:
    content_type = response.headers.get("Content-Type", "").lower()
    return content_type.startswith(("text/html", "application/xhtml"))


def _retry_after(response: requests.Response) -> float | None:
    """The seconds that a server asks to wait, given as such or as a date."""
    value = response.headers.get("Retry-After", "")
    if _LENGTH.fullmatch(value):
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
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
