"""Whether an archive is whole, as far as its own structure tells without unpacking it."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from megamedical.errors import ArchiveError
from megamedical.unpacking.archives import DAMAGE, names_in
from megamedical.unpacking.safe_folder import GENEROUS, Refused
from megamedical.unpacking.zip_directory import end_record, refuse_large_directory

_BEGINNINGS = {
    (".zip",): b"PK",
    (".gz", ".tgz"): b"\x1f\x8b",
    (".bz2", ".tbz", ".tbz2"): b"BZh",
    (".xz", ".txz"): b"\xfd7zXZ\x00",
    (".7z",): b"7z\xbc\xaf\x27\x1c",
    (".rar",): b"Rar!\x1a\x07",
}


def what_is_broken(path: Path, name: str) -> str:
    """What is wrong with the structure of an archive called `name`; "" if nothing, or it is none.

    A table of contents is read, a plain tar is walked through to its end, of what is compressed as
    a whole the beginning is looked at: its end is checked when it is unpacked.
    """
    beginning = next((b for ends, b in _BEGINNINGS.items() if name.lower().endswith(ends)), b"")
    with path.open("rb") as file:
        head = file.read(8)
    known = any(head.startswith(each) for each in _BEGINNINGS.values())
    if beginning and not head.startswith(beginning) and not known:
        return f"it does not begin as a {Path(name).suffix} does"
    try:
        if name.lower().endswith(".zip") and head.startswith(b"PK"):
            _open_zip(path)
        elif name.lower().endswith((".7z", ".rar")):
            names_in(path)
        elif name.lower().endswith(".tar") and not known:
            with tarfile.open(path, "r:") as content:
                _walk(content)
    except (ArchiveError, Refused, *DAMAGE):
        return "it is no whole archive"
    return ""


def _open_zip(path: Path) -> None:
    with path.open("rb") as file:
        record = end_record(file)
        if int.from_bytes(record[4:6], "little"):
            return  # the last of several files, of which the others come apart
        refuse_large_directory(file, GENEROUS)
        zipfile.ZipFile(file).close()


def _walk(content: tarfile.TarFile) -> None:
    while content.next() is not None:
        content.members = []  # type: ignore[attr-defined]
