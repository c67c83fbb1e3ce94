"""A folder in the place of an archive: what its user unpacked, or what never was packed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from megamedical.errors import ArchiveError
from megamedical.files.checksums import sha256_of


def list_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Every file below some folders, by its path in them; no link to a folder is followed."""
    tree = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                tree[path.relative_to(folder).as_posix()] = path
    return tree


def files_in(folder: Path) -> dict[str, Path]:
    """Every visible file below a folder of the user's own, by its path in it.

    Links are followed, which a `SUBJECTS_DIR` may consist of, but into no folder twice.

    Raises:
        ArchiveError: a folder cannot be read.
    """
    entered: set[tuple[int, int]] = set()
    try:
        return {path.relative_to(folder).as_posix(): path for path in _below(folder, entered)}
    except OSError as error:
        raise ArchiveError(
            f"{error.filename or folder} cannot be read: {error.strerror}",
            "Allow yourself to read it, or move it away.",
        ) from error


def _below(folder: Path, entered: set[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in entered:
        return
    entered.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        visible = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    for entry in visible:
        if entry.is_dir():
            yield from _below(Path(entry), entered)
        elif entry.is_file():
            yield Path(entry)


def sha256_of_files(files: Mapping[str, Path]) -> str:
    """The SHA-256 of the names and contents of files, whatever their order."""
    listed = [(name, sha256_of(files[name])) for name in sorted(files)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def state_of_files(files: Mapping[str, Path]) -> str:
    """What changes when one of them does, is added or is gone: told without reading them."""
    statuses = {name: files[name].stat() for name in sorted(files)}
    listed = [(name, each.st_size, each.st_mtime_ns) for name, each in statuses.items()]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
