"""Archives unpacked: whole or not at all, and never a byte outside their folder.

An archive from the internet may be damaged or made to harm. What comes out of one here is regular
files and folders only, under names that mean the same on every system.
"""

from __future__ import annotations

import lzma
import re
import secrets
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal

from megamedical.errors import ArchiveError
from megamedical.files.disk import explain_full, is_full
from megamedical.files.linking import link_or_copy
from megamedical.files.locking import held
from megamedical.unpacking.marker import Marker
from megamedical.unpacking.password import published
from megamedical.unpacking.rar_files import names_in_rar, read_rar
from megamedical.unpacking.safe_folder import GENEROUS, MARKER, Limits, Refused, SafeFolder, is_junk
from megamedical.unpacking.seven_zip import names_in_seven_zip, read_seven_zip
from megamedical.unpacking.tar_files import (
    decompressed_head,
    is_compressed,
    names_in_tar,
    read_compressed,
    read_tar,
)
from megamedical.unpacking.zip_files import names_in_zip, read_zip

__all__ = ["GENEROUS", "MARKER", "Limits", "names_in", "unpack"]

_Kind = Literal["zip", "tar", "7z", "rar", "file"]

_ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_BUT_NO_ARCHIVE = (".npz", ".xlsx", ".docx", ".pptx")
_TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_FOREIGN: dict[bytes, _Kind] = {b"Rar!\x1a\x07": "rar", b"7z\xbc\xaf\x27\x1c": "7z"}
_READERS = {
    "zip": (read_zip, names_in_zip),
    "tar": (read_tar, names_in_tar),
    "7z": (read_seven_zip, names_in_seven_zip),
    "rar": (read_rar, names_in_rar),
}
# Readers of images decompress them by themselves, and manifests name them as they are packed.
_READ_PACKED = (".nii", ".ppm", ".pgm", ".img", ".hdr", ".mgh")

# What the standard library raises for archives that are cut off, garbled, or made to confuse it.
DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
)

_DEEPEST = 4  # archives in each other
_STATES = ("unpacking", "replaced", "wrapped")
_FETCH_AGAIN = "Delete it and fetch it again."


def unpack(
    archive: Path,
    folder: Path,
    *,
    digest: str | None,
    password: str | None = None,
    limits: Limits = GENEROUS,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """Unpack an archive into a folder of its own, which is there whole or not at all.

    Zip, tar, 7-Zip and RAR are told by their content; what is compressed as a single file is
    decompressed, unless readers of images do that, and any other file is put into the folder as it
    is. Of a zip in several files `archive` is the last, `a.zip` after `a.z01`, or the first,
    `a.zip.001`. Passwords come from the environment, `MEGAMEDICAL_PASSWORD`, or a terminal.

    A file `.unpacked.json` in the folder says which archive it holds, and how many files and bytes;
    for the same name, size and `digest` nothing is done again, unless something of it has gone.
    Where another process unpacks into the same folder, this one waits, and `tell` is told for whom.
    What systems leave behind (`__MACOSX`, `._*`, `.DS_Store`, `Thumbs.db`) is left out. Where an
    archive holds nothing but another, as repositories of data wrap what their owners gave them, the
    content of that one comes out. Of members with the same name the last one counts. A link becomes
    the file or the folder of files that it points to; one that points to neither is left out. A
    `password` is that of the archive, where its owners publish it.

    Raises:
        ArchiveError: the archive is damaged, encrypted without a password, needs a reader that is
            not installed, or holds what cannot be trusted; the disk is full; or the folder holds
            something else. The message names the archive, the member and the remedy, and no new
            folder is left.
    """
    marker = Marker(archive.name, archive.stat().st_size, digest)
    if marker.is_kept(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(
        folder.with_name(f".{folder.name}.lock"),
        what=f"the folder {folder}",
        doing=f"unpacking {archive.name}",
        tell=tell,
    ):
        if not marker.is_kept(folder):
            _replace(folder, archive, marker, password, limits)
    return folder


def _replace(
    folder: Path, archive: Path, marker: Marker, password: str | None, limits: Limits
) -> None:
    """Unpack beside a folder, and put the whole into its place; its lock must be held."""
    _sweep(folder)
    own = secrets.token_hex(8)
    new, old = (folder.with_name(f".{folder.name}.{own}.{state}") for state in _STATES[:2])
    try:
        with explain_full(folder.parent, marker.size, f"unpacking {archive.name}"):
            new.mkdir()
            with published(password):
                _fill(new, archive, limits)
                _unwrap(new, archive, limits)
            marker.write(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what is half done beside a folder, by this process or by one that died."""
    states = "|".join(_STATES)
    half = re.compile(rf"\.{re.escape(folder.name)}\.([0-9a-f]{{16}}\.)?({states})")
    for path in folder.parent.iterdir():
        if half.fullmatch(path.name):
            shutil.rmtree(path)


def names_in(archive: Path) -> list[str]:
    """The names of files inside an archive, which is not unpacked; none for any other file.

    Of a zip that holds nothing but a zip, those in that one.
    Of a tar, whose names stand between its files, no more is read than its first gigabyte.

    Raises:
        ArchiveError: the archive is damaged, or of a foreign kind.
    """
    kind = _kind(archive)
    if kind == "file":
        return []
    try:
        names = _READERS[kind][1](archive)
    except Refused as error:
        raise ArchiveError(f"{archive} {error}", error.remedy) from None
    except DAMAGE as error:
        raise ArchiveError(f"{archive} is damaged or cut off: {error}", _FETCH_AGAIN) from error
    return [name for name in (path.replace("\\", "/") for path in names) if not is_junk(name)]


def _fill(folder: Path, archive: Path, limits: Limits, named: Path | None = None) -> None:
    kind = _kind(archive)
    safe = SafeFolder(folder, limits)
    with _explained(named or archive, safe):
        if kind == "file":
            _take_file(archive, safe)
            return
        _READERS[kind][0](archive, safe)
        safe.resolve_links()


def _unwrap(folder: Path, outer: Path, limits: Limits) -> None:
    """Put in the place of an archive that is alone in a folder what it holds, and so on."""
    for _ in range(_DEEPEST):
        files = list(islice((path for path in folder.rglob("*") if path.is_file()), 2))
        if len(files) != 1 or _kind(files[0]) == "file":
            return
        scratch = folder.with_suffix(".wrapped")
        scratch.mkdir()
        inner = files[0].replace(scratch / files[0].name)
        shutil.rmtree(folder)
        folder.mkdir()
        _fill(folder, inner, limits, named=outer)
        shutil.rmtree(scratch)


def _take_file(archive: Path, safe: SafeFolder) -> None:
    """Take a file as it is, or what is compressed in it where no reader of images would do that."""
    packed = archive.suffix.lower() in (".gz", ".bz2", ".xz")
    if packed and Path(archive.stem).suffix.lower() not in _READ_PACKED and is_compressed(archive):
        read_compressed(archive, safe)
    else:
        link_or_copy(archive, safe.root / archive.name)


def _kind(archive: Path) -> _Kind:
    """What a file is, by its content; by its name where that promises an archive."""
    name = archive.name.lower()
    with archive.open("rb") as file:
        head = file.read(tarfile.BLOCKSIZE)
    if head.startswith(_ZIP_BEGINNINGS) and not name.endswith(_ZIP_BUT_NO_ARCHIVE):
        return "zip"
    if decompressed_head(archive)[257:262] == b"ustar":
        return "tar"
    if name.endswith((".zip", *_TAR_NAMES)) and _is_web_page(head):
        raise ArchiveError(
            f"{archive} is a web page, most likely that of a login",
            "Delete it, and fetch the archive itself in a browser.",
        )
    for beginning, foreign in _FOREIGN.items():
        if head.startswith(beginning):
            return foreign
    if name.endswith(".zip"):
        return "zip"
    return "tar" if name.endswith(_TAR_NAMES) else "file"


def _is_web_page(head: bytes) -> bool:
    return head.lstrip().lower().startswith((b"<!doctype html", b"<html"))


@contextmanager
def _explained(archive: Path, safe: SafeFolder) -> Iterator[None]:
    """Say what is wrong with an archive, and where in it."""
    try:
        yield
    except Refused as error:
        raise ArchiveError(f"{archive}{safe.place} {error}", error.remedy) from None
    except DAMAGE as error:
        if is_full(error):
            raise
        if isinstance(error, OSError) and error.errno:
            raise ArchiveError(
                f"{archive}{safe.place} could not be unpacked to {safe.root}: {error.strerror}",
                "Look at the disk and its permissions.",
            ) from error
        reason = str(error) or type(error).__name__
        raise ArchiveError(
            f"{archive}{safe.place} is damaged or cut off: {reason}", _FETCH_AGAIN
        ) from error
