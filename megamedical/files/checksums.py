"""Checksums: what a file hashes to, and what somebody says that it should."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from megamedical.errors import ArchiveError

Algorithm = Literal["sha256", "md5"]

_LINE = re.compile(r"(?P<value>[0-9a-fA-F]{64}) [ *](?:\./)?(?P<name>\S.*)")


@dataclass(frozen=True)
class Digest:
    """What a file must hash to, and which list says so."""

    algorithm: Algorithm
    value: str
    according_to: str

    def differs_from(self, found: str) -> str:
        """The difference in words: what was found, what was expected, and who expects it."""
        return (
            f"its {self.algorithm} is {found[:12]}…, "
            f"expected {self.value[:12]}… according to {self.according_to}"
        )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as 64 hex digits."""
    return digest_of(path, "sha256")


def digest_of(path: Path, algorithm: Algorithm) -> str:
    """The hash of a file, as hex digits; the file is streamed, however large it is."""
    with path.open("rb") as file:
        # MD5 guards against damage here, not against an attacker.
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return found.hexdigest()


def read_sums(path: Path) -> dict[str, str]:
    """The files that a `SHA256SUMS` lists, `<dataset>/<file>`, and the SHA-256 of each.

    Raises:
        ArchiveError: a line is not `<64 hex digits>  <dataset>/<file>`, or two lines contradict
            each other.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        entry = _LINE.fullmatch(line)
        if entry is None:
            raise _malformed(path, number, "is not `<64 hex digits>  <dataset>/<file>`")
        name, value = entry["name"].rstrip(), entry["value"].lower()
        if sums.setdefault(name, value) != value:
            raise _malformed(path, number, f"gives {name} a second, different checksum")
    return sums


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise _malformed(path, number, "is not UTF-8") from error


def _malformed(path: Path, number: int, reason: str) -> ArchiveError:
    return ArchiveError(
        f"{path}, line {number}: {reason}",
        "Write it anew from the mirror's folder: `sha256sum */* > SHA256SUMS`.",
    )
