"""What a command is to one who kills it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Moment:
    """A command at work: its folder, what it has said so far, and its processes below."""

    folder: Path
    said: str
    process: psutil.Process
    below: Sequence[psutil.Process]

    def has_file(self, pattern: str) -> bool:
        return any(self.folder.glob(pattern))

    def holds(self, holder: str) -> bool:
        """Whether a lock is this process's, as the file beside it says."""
        try:
            return f'"process": {self.process.pid},' in (self.folder / holder).read_text()
        except OSError:
            return False


@dataclass(frozen=True)
class Act:
    """A command, and what is right.

    Attributes:
        line: what is run after `python`, for the folder that it works in.
        stage: in which of `stages` it is, as far as can be seen from outside.
        result: what it must come to, byte for byte, by name.
        problems: what is wrong with it all the same, in words.
    """

    name: str
    stages: Sequence[str]
    line: Callable[[Path], Sequence[str]]
    stage: Callable[[Moment], str]
    result: Callable[[Path], dict[str, str]]
    problems: Callable[[Path], Sequence[str]] = lambda _: ()


def digests(folder: Path, among: str = "**/*") -> dict[str, str]:
    """The SHA-256 of files below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob(among))
        if path.is_file()
    }


def names(folder: Path) -> set[str]:
    """Every file and folder below one, hidden ones too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
