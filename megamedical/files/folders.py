"""A folder in the place of an archive: what its user unpacked, or what never was packed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from megamedical.errors import ArchiveError
from megamedical.files.checksums import sha256_of


def list_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Every file below some folders, by its path in them; no link to a folder is followed.

    Raises:
        ArchiveError: a folder cannot be read.
    """
    tree: dict[str, Path] = {}
    for folder in folders:
        if folder.is_dir():
            with _explained(folder):
                tree.update(_unpacked(folder))
    return tree


def _unpacked(folder: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _unpacked(folder / entry.name, f"{prefix}{entry.name}/")
        elif entry.is_file() and not entry.name.startswith("."):
            yield prefix + entry.name, Path(entry)


def files_in(folder: Path) -> dict[str, Path]:
    """Every visible file below a folder of the user's own, by its path in it.

    Links are followed, which a `SUBJECTS_DIR` may consist of, but into no folder twice.

    Raises:
        ArchiveError: a folder cannot be read.
    """
    with _explained(folder):
        return dict(_visible(folder, set()))


def _visible(
    folder: Path, entered: set[tuple[int, int]], prefix: str = ""
) -> Iterator[tuple[str, Path]]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in entered:
        return
    entered.add((status.st_dev, status.st_ino))
    for entry in _entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _visible(folder / entry.name, entered, f"{prefix}{entry.name}/")
        elif entry.is_file():
            yield prefix + entry.name, Path(entry)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, in the order of the names; the kind of each is known without asking."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveError(
            f"{error.filename or folder} cannot be read: {error.strerror}",
            "Allow yourself to read it, or move it away.",
        ) from error


def sha256_of_files(files: Mapping[str, Path]) -> str:
    """The SHA-256 of the names and contents of files, whatever their order."""
    listed = [(name, sha256_of(files[name])) for name in sorted(files)]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def state_of_files(files: Mapping[str, Path]) -> str:
    """What changes when one of them does, is added or is gone: told without reading them."""
    statuses = {name: files[name].stat() for name in sorted(files)}
    listed = [(name, each.st_size, each.st_mtime_ns) for name, each in statuses.items()]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
