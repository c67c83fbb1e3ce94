"""What has arrived of a file from one of its addresses, and why no more came."""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from megamedical.files.disk import explain_full, require_room
from megamedical.reporting.downloads import Report

_HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body|script)", re.I | re.S)


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without user name, password and query."""
    return re.split(r"[?#]", re.sub(r"(?<=://)[^/]*@", "", url))[0]


class Failed(Exception):
    """An address does not deliver, and will not if asked again."""


class Passing(Failed):
    """An address does not deliver now; `after` is how many seconds it asks to be left alone."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class TooSlow(Passing):
    """An address delivers, but next to nothing."""


class Unreachable(Passing):
    """No connection to an address comes about."""


class WrongFile(Failed):
    """An address delivers, but not the file that is meant."""


@dataclass(frozen=True)
class Version:
    """One version of a file on a server; `validator` is its strong ETag, else its date."""

    url: str
    validator: str | None
    length: int | None


class PartialFile:
    """What has arrived so far of a file, and the version of the file that it is a part of."""

    def __init__(self, target: Path) -> None:
        self.folder = target.parent
        self.name = target.name
        self.purpose = f"downloading {target.name}"
        self.path = target.with_name(f"{target.name}.part")
        self._sidecar = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        """How many bytes are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> Version | None:
        """The version that the bytes are of, as it was written down."""
        try:
            return Version(**json.loads(self._sidecar.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def is_whole(self, url: str) -> bool:
        """Whether no byte of what this URL gives is missing."""
        version = self.version
        return version is not None and self.came_from(url) and self.size == version.length

    def came_from(self, url: str) -> bool:
        """Whether the bytes are from this URL."""
        return self.version is not None and self.version.url == without_secrets(url)

    def begun_from(self, url: str) -> Version | None:
        """The version of which some bytes are here, if they came from this URL."""
        return self.version if self.size and self.came_from(url) else None

    def begin(self, version: Version) -> None:
        """Start from the first byte of a version."""
        # The old bytes go before the new version is written down, or a crash would mix the two.
        self.path.write_bytes(b"")
        self._sidecar.write_text(json.dumps(asdict(version)), encoding="utf-8")

    def discard(self) -> None:
        """Forget what has arrived."""
        self.path.unlink(missing_ok=True)
        self._sidecar.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        """Be the file itself from now on."""
        self.path.replace(target)
        self._sidecar.unlink(missing_ok=True)


@dataclass(frozen=True)
class Address(ABC):
    """One address of a file, and how it is asked: `size` is its length, where it is known."""

    url: str
    size: int | None
    report: Report
    timeout: float

    @abstractmethod
    def deliver(self, part: PartialFile) -> None:
        """Add to a part what is missing of the file.

        Raises:
            Failed: it does not come.
        """

    def begin(
        self, version: Version, chunks: Iterator[bytes], part: PartialFile, *, is_page: bool = False
    ) -> None:
        """Take a file from its first byte, once it looks like the one that is meant."""
        head = next(chunks, b"")
        if is_page or _HTML.match(head):
            raise Failed(
                "a web page came instead of the file, most likely a login, terms to accept, or a "
                "landing page with the real link: open it in a browser"
            )
        if not head:
            raise Passing("nothing came")
        if self.size and version.length is not None and version.length != self.size:
            raise WrongFile(f"the file is {version.length} bytes long, expected {self.size}")
        with explain_full(part.folder, version.length or self.size, part.purpose):
            part.begin(version)
        self.append(chain([head], chunks), part)

    def append(self, chunks: Iterable[bytes], part: PartialFile) -> None:
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
            raise WrongFile(f"more than the expected {limit} bytes came")
        if length and arrived < length:
            raise Passing(f"the connection ended after {arrived} of {length} bytes")
