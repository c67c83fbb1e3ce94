"""What an unpacked folder says of itself: which archive it holds, and how many files and bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megamedical.errors import ArchiveError
from megamedical.unpacking.safe_folder import MARKER, is_junk


@dataclass(frozen=True)
class Marker:
    """The file `.unpacked.json` of a folder, as it should be once an archive is unpacked there.

    It says the archive's name, size and digest, and how many files and bytes must be in the folder;
    what systems leave behind and what is hidden, which nothing is read from, does not count. It has
    a checksum of its own, and is written last: what has changed since is newer.
    """

    archive: str
    size: int
    digest: str | None

    def is_kept(self, folder: Path) -> bool:
        """Whether a folder holds this archive, and nothing of it has gone or changed since.

        Raises:
            ArchiveError: it holds more than was unpacked, or something else.
        """
        said = _said(folder)
        if said is None:
            return False
        if said.get("archive", self.archive) != self.archive:
            raise _foreign(folder, self.archive)
        if {key: said.get(key) for key in self._source} != self._source:
            return False
        finished = (folder / MARKER).stat().st_mtime_ns
        here, stated = _count(folder), {key: said.get(key) for key in ("files", "bytes")}
        if isinstance(stated["files"], int) and here["files"] > stated["files"]:
            raise ArchiveError(
                f"{folder} holds {here['files']} files, but {stated['files']} were unpacked from "
                f"{self.archive}",
                "Move away what was put there since, or delete the folder: it is unpacked again.",
            )
        return here == stated and all(each.st_mtime_ns <= finished for each in _statuses(folder))

    def write(self, folder: Path) -> None:
        """Say of a folder what is in it now."""
        said = self._source | _count(folder)
        whole = said | {"checksum": _checksum(said)}
        (folder / MARKER).write_text(json.dumps(whole), encoding="utf-8")

    @property
    def _source(self) -> dict[str, object]:
        return {"archive": self.archive, "size": self.size, "digest": self.digest}


def _said(folder: Path) -> Mapping[str, Any] | None:
    """What the marker of a folder says; None where there is no folder, or an empty one.

    One that says nothing that can be read is ours all the same: who else would leave it there.

    Raises:
        ArchiveError: what is there has no marker, so it is somebody else's.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / MARKER).is_file():
        raise _foreign(folder, folder.name)
    try:
        said = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.pop("checksum", "") not in ("", _checksum(said)):
        return {}
    return said


def _checksum(said: Mapping[str, Any]) -> str:
    """Of what a marker says; those of before had none."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _foreign(folder: Path, archive: str) -> ArchiveError:
    return ArchiveError(
        f"{folder} holds something else, {archive} is not unpacked over it",
        "Move it away or delete it.",
    )


def _count(folder: Path) -> dict[str, int]:
    sizes = [each.st_size for each in _statuses(folder)]
    return {"files": len(sizes), "bytes": sum(sizes)}


def _statuses(folder: str | Path) -> Iterator[os.stat_result]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _statuses(entry.path)
            elif not entry.name.startswith(".") and not is_junk(entry.name):
                yield entry.stat()
