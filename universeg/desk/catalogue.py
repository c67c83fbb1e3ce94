"""The scans that lie on a desk, each by an identity that is no path."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.processing.slicing import PICTURE
from megamedical.reading.formats import sought_suffixes
from universeg.prediction.inputs import Input, inputs_at

_IDENTITY = 16  # letters


class NoScansError(MegaMedicalError):
    """There is nothing to lay on a desk."""


@dataclass(frozen=True)
class Entry:
    """One scan: who it is in addresses and folders, and what is read."""

    identity: str
    file: Input
    root: Path

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.file.name

    def expect_inside(self) -> None:
        """Make sure that its files are there, and that none leads out of the folder of the scans.

        Raises:
            SubjectError: one does not, or is gone.
        """
        for path in self.file.files:
            if not path.exists():
                raise SubjectError("read", path.name, "is not there any more")
            if not path.resolve().is_relative_to(self.root):
                raise SubjectError(
                    "read", path.name, "is a link that leads out of the folder of the scans"
                )


def lay_out(folder: Path, say: Callable[[str], None]) -> dict[str, Entry]:
    """The scans of a folder by their identity, all of one kind: pictures, or volumes.

    An identity comes of the path in the folder, so that it is the same the next time.

    Args:
        folder: of the scans.
        say: is told what is left out, and why.

    Raises:
        NoScansError: there is none that can be used.
    """
    root = folder.resolve() if folder.is_dir() else folder.resolve().parent
    entries: dict[str, Entry] = {}
    dimension = 0
    if not folder.exists():
        raise NoScansError(f"{folder} is not there", "Name a folder of scans, or one of them.")
    for file in inputs_at(folder):
        entry = Entry(_identity(file, folder), file, root)
        reason = _why_not(entry, dimension)
        if reason:
            say(f"Left out: {file.path.name} {reason}")
            continue
        dimension = file.dimension
        entries[entry.identity] = entry
    if not entries:
        raise NoScansError(
            f"{folder} holds no scan that can be used",
            f"It takes {', '.join(sought_suffixes())} files, and DICOM.",
        )
    return entries


def plane_of(entries: dict[str, Entry], plane: str) -> str:
    """The plane in which the network sees these scans."""
    return PICTURE if any(e.file.dimension == 2 for e in entries.values()) else plane


def _why_not(entry: Entry, dimension: int) -> str:
    try:
        entry.expect_inside()
    except SubjectError as error:
        return error.reason
    if entry.file.damage:
        return entry.file.damage
    if dimension and entry.file.dimension != dimension:
        kind = "a volume" if entry.file.dimension == 3 else "a picture"
        return f"is {kind}, unlike those before it: one kind lies on a desk at a time"
    return ""


def _identity(file: Input, folder: Path) -> str:
    inside = file.path.relative_to(folder) if folder.is_dir() else Path(file.path.name)
    said = f"{inside.as_posix()}\0{file.name}"
    return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:_IDENTITY]
