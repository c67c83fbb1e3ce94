"""Archives unpacked: whole or not at all, and never a byte outside their folder.

An archive from the internet may be damaged or made to harm. What comes out of one here is regular
files and folders only, under names that mean the same on every system.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from itertools import pairwise
from pathlib import Path
from typing import IO, Literal, Self

from megamedical.disk import explain_full, in_words, is_full, require_room
from megamedical.errors import ArchiveError

MARKER = ".unpacked.json"

_CHUNK = 1024 * 1024
_LONGEST_PART = 255
_LONGEST_LINK = 4096
_LONGEST_HEADER = 1024 * 1024
_TAR_HEADERS = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_BUT_NO_ARCHIVE = (".npz", ".xlsx", ".docx", ".pptx")
_TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_FOREIGN = {b"Rar!\x1a\x07": "RAR", b"7z\xbc\xaf\x27\x1c": "7-Zip"}
_JUNK = {".DS_Store", "Thumbs.db", "Icon\r"}

# What the standard library raises for archives that are cut off, garbled, or made to confuse it.
_DAMAGE = (
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

_Kind = Literal["file", "folder", "link"]

_FETCH_AGAIN = "Delete it and fetch it again."
_REPACK = (
    "If you trust it, unpack it by hand, repack the result as a zip under the same name, and use "
    "--no-checksum."
)
_BOMB = "Medical images are not like that. If you trust it, unpack it with larger `Limits`."


@dataclass(frozen=True)
class Limits:
    """How much may come out of an archive before it is taken for a bomb.

    `total` is in bytes, `entries` counts files and folders. A file larger than `ratio_from` bytes
    may not be more than `ratio` times what it takes in the archive; smaller ones may be as empty as
    masks often are.
    """

    total: int = 4 * 1024**4
    entries: int = 10_000_000
    ratio: int = 2_000
    ratio_from: int = 1024**3


GENEROUS = Limits()


def unpack(archive: Path, folder: Path, *, digest: str | None, limits: Limits = GENEROUS) -> Path:
    """Unpack an archive into a folder of its own, which is there whole or not at all.

    Zip and tar, compressed or not, are told by their content; any other file is put into the folder
    as it is. A file `.unpacked.json` in the folder says which archive it holds; for the same name,
    size and `digest` nothing is done again. What systems leave behind (`__MACOSX`, `._*`,
    `.DS_Store`, `Thumbs.db`) is left out, and a link becomes the file that it points to.

    Raises:
        ArchiveError: the archive is damaged, encrypted, of a foreign kind, or holds what cannot be
            trusted; the disk is full; or the folder holds something else. The message names the
            archive, the member and the remedy, and no new folder is left.
    """
    size = archive.stat().st_size
    record = {"archive": archive.name, "size": size, "digest": digest}
    before = _record(folder)
    if before == record:
        return folder
    _refuse_foreign(folder, before, archive)
    new, old = (folder.with_name(f".{folder.name}.{state}") for state in ("unpacking", "replaced"))
    for leftover in (new, old):
        _remove(leftover)
    try:
        with explain_full(folder.parent, size, f"unpacking {archive.name}"):
            new.mkdir(parents=True)
            _fill(new, archive, limits)
            (new / MARKER).write_text(json.dumps(record), encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    finally:
        _remove(new)
        _remove(old)
    return folder


def _record(folder: Path) -> object:
    """What the marker of a folder says, or None."""
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _refuse_foreign(folder: Path, record: object, archive: Path) -> None:
    """Never replace what another archive, or somebody else, has put there."""
    ours = isinstance(record, dict) and record.get("archive") == archive.name
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise ArchiveError(
            f"{folder} holds something else, {archive.name} is not unpacked over it",
            "Move it away or delete it.",
        )


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _fill(folder: Path, archive: Path, limits: Limits) -> None:
    kind = _kind(archive)
    if kind == "file":
        _link_or_copy(archive, folder / archive.name)
        return
    tree = _Tree(folder, limits)
    read = _read_zip if kind == "zip" else _read_tar
    with _explained(archive, tree):
        read(archive, tree)
        tree.resolve_links()


def _kind(archive: Path) -> Literal["zip", "tar", "file"]:
    """What a file is, by its content; by its name where that promises an archive."""
    name = archive.name.lower()
    with archive.open("rb") as file:
        head = file.read(tarfile.BLOCKSIZE)
    if head.startswith(_ZIP_BEGINNINGS) and not name.endswith(_ZIP_BUT_NO_ARCHIVE):
        return "zip"
    if _decompressed_head(archive)[257:262] == b"ustar":
        return "tar"
    if name.endswith((".zip", *_TAR_NAMES)) and _is_web_page(head):
        raise ArchiveError(
            f"{archive} is a web page, most likely that of a login",
            "Delete it, and fetch the archive itself in a browser.",
        )
    for beginning, foreign in _FOREIGN.items():
        if head.startswith(beginning):
            raise ArchiveError(f"{archive} is a {foreign} archive, which cannot be read", _REPACK)
    if name.endswith(".zip"):
        return "zip"
    return "tar" if name.endswith(_TAR_NAMES) else "file"


def _is_web_page(head: bytes) -> bool:
    return head.lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _mode(archive: Path) -> Literal["r:", "r:gz", "r:bz2", "r:xz"]:
    """How `tarfile` is to open a file, by the compression that its first bytes tell."""
    with archive.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return "r:gz"
    if head.startswith(b"BZh"):
        return "r:bz2"
    return "r:xz" if head.startswith(b"\xfd7zXZ\x00") else "r:"


def _decompressed_head(archive: Path) -> bytes:
    """The first block of what a file holds once it is decompressed, nothing if it cannot be."""
    openers: dict[str, Callable[[Path], BufferedIOBase]] = {
        "r:": lambda path: path.open("rb"),
        "r:gz": gzip.GzipFile,
        "r:bz2": bz2.BZ2File,
        "r:xz": lzma.LZMAFile,
    }
    try:
        with openers[_mode(archive)](archive) as content:
            return content.read(tarfile.BLOCKSIZE)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return b""


def _link_or_copy(source: Path, target: Path) -> None:
    """Put a file somewhere else too, without using the space twice where the disk allows it."""
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        require_room(target.parent, source.stat().st_size, f"copying {source.name}")
        shutil.copyfile(source, target)


class _Refused(Exception):
    """A member of an archive that is not unpacked, and what a user can do about it."""

    def __init__(self, reason: str, remedy: str = _REPACK) -> None:
        super().__init__(reason)
        self.remedy = remedy


@contextmanager
def _explained(archive: Path, tree: _Tree) -> Iterator[None]:
    """Say what is wrong with an archive, and where in it."""
    try:
        yield
    except _Refused as error:
        raise ArchiveError(f"{archive}{tree.place} {error}", error.remedy) from None
    except _DAMAGE as error:
        if is_full(error):
            raise
        if isinstance(error, OSError) and error.errno:
            raise ArchiveError(
                f"{archive}{tree.place} could not be unpacked to {tree.root}: {error.strerror}",
                "Look at the disk and its permissions, and let one run at a time unpack it.",
            ) from error
        reason = str(error) or type(error).__name__
        raise ArchiveError(
            f"{archive}{tree.place} is damaged or cut off: {reason}", _FETCH_AGAIN
        ) from error


class _Tree:
    """The folder an archive is unpacked into: no name is taken twice, and none leads outside."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root = root
        self.limits = limits
        self._member = ""
        # What a name is taken by, under what systems that ignore case see of it.
        self._taken: dict[str, tuple[str, _Kind]] = {}
        self._links: dict[str, str] = {}
        self._take(MARKER, "file")

    @property
    def place(self) -> str:
        """Where in the archive the reading is, as a part of a sentence."""
        return f", member {self._member!r}," if self._member else ""

    def enter(self, name: str) -> str | None:
        """The path of the next member below the folder, or None if it is junk.

        Raises:
            _Refused: its name leads elsewhere, or cannot be written on every system.
        """
        self._member = name
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if any(part in _JUNK or part == "__MACOSX" or part.startswith("._") for part in parts):
            return None
        _refuse_outside(name)
        if ".." in parts:
            raise _Refused("has `..` in its name")
        for part in parts:
            _refuse_unwritable(part)
        return "/".join(parts)

    def add_folder(self, path: str) -> None:
        """Make a folder, if it is not there."""
        if path:
            self._take(path, "folder")
            (self.root / path).mkdir(parents=True, exist_ok=True)

    def add_file(self, path: str, content: IO[bytes], size: int) -> None:
        """Write a file, which must be as long as the archive says."""
        self._take(path, "file")
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
            if file.tell() != size:
                raise EOFError(f"{file.tell()} of {size} bytes")

    def add_link(self, path: str, target: str, *, start: str) -> None:
        """Note a link, whose target is given from the folder `start` of the archive."""
        _refuse_outside(target)
        parts = start.split("/") if start else []
        for part in target.replace("\\", "/").split("/"):
            if part == ".." and not parts:
                raise _Refused(f"links to {target!r}, outside the archive")
            if part == "..":
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        self._take(path, "link")
        self._links[path] = "/".join(parts)

    def resolve_links(self) -> None:
        """Put in the place of each link the file that it points to, in the end."""
        for path in self._links:
            self._member = path
            source = self.root / self._end_of(path)
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(source, self.root / path)

    def _end_of(self, path: str) -> str:
        passed = set()
        while path in self._links:
            passed.add(path)
            path = self._links[path]
            if path in passed:
                raise _Refused("links to itself")
        if self._taken.get(_spelling(path)) != (path, "file"):
            raise _Refused(f"links to {path!r}, which is not a file of the archive")
        return path

    def _take(self, path: str, kind: _Kind) -> None:
        """Take a path for one thing only, and the folders above it."""
        if not path:
            raise _Refused("has no name")
        while path:
            spelling = _spelling(path)
            if spelling in self._taken:
                other, taken_as = self._taken[spelling]
                if kind == taken_as == "folder":
                    return
                raise _Refused(f"has the name of {other!r}, which is there already")
            self._taken[spelling] = (path, kind)
            if len(self._taken) > self.limits.entries:
                raise _Refused(f"is one too many: {self.limits.entries} are possible", _BOMB)
            path, kind = path.rpartition("/")[0], "folder"


def _spelling(path: str) -> str:
    """What is left of a path where neither case nor the composition of accents counts."""
    return unicodedata.normalize("NFC", path).casefold()


def _refuse_outside(name: str) -> None:
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name):
        raise _Refused(f"has an absolute path, {name!r}")


def _refuse_unwritable(part: str) -> None:
    if any(ord(character) < 32 for character in part):
        raise _Refused("has control characters in its name")
    try:
        length = len(os.fsencode(part))
    except UnicodeEncodeError:
        raise _Refused("has a name that is no text") from None
    if length > _LONGEST_PART:
        raise _Refused(f"has a name of {length} bytes, {_LONGEST_PART} are possible")


def _refuse_bomb(limits: Limits, size: int, packed: int) -> None:
    """Refuse content that is larger than anybody's data."""
    if size > limits.total:
        raise _Refused(f"is {in_words(size)} large, more than {in_words(limits.total)}", _BOMB)
    if size > limits.ratio_from and size > limits.ratio * packed:
        raise _Refused(f"unpacks {in_words(packed)} to {in_words(size)}", _BOMB)


def _read_zip(archive: Path, tree: _Tree) -> None:
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        _refuse_overlaps(members)
        need = sum(member.file_size for member in members)
        _refuse_bomb(tree.limits, need, need)
        require_room(tree.root, need, f"unpacking {archive.name}")
        for member in members:
            path = tree.enter(member.orig_filename)
            if path is not None:
                _add_zip_member(content, member, path, tree)


def _refuse_overlaps(members: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes are how a small zip becomes petabytes."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    for member, after in pairwise(ordered):
        if member.header_offset + member.compress_size > after.header_offset:
            raise _Refused(f"holds {member.filename!r} and {after.filename!r} in the same bytes")


def _add_zip_member(
    content: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, tree: _Tree
) -> None:
    # The upper half is a Unix mode only where a Unix has written it.
    kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == 3 else 0
    if kind == stat.S_IFDIR or member.orig_filename.endswith(("/", "\\")):
        tree.add_folder(path)
        return
    if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
        raise _Refused("is neither a file, nor a folder, nor a link")
    if member.flag_bits & 0x1:
        raise _Refused("is encrypted", "Ask its owners for the password, and unpack. " + _REPACK)
    if member.compress_type not in _ZIP_METHODS:
        raise _Refused(f"is packed by method {member.compress_type}, which cannot be read")
    _refuse_bomb(tree.limits, member.file_size, member.compress_size)
    with content.open(member) as file:
        if kind == stat.S_IFLNK:
            target = file.read(_LONGEST_LINK).decode("utf-8", "surrogateescape")
            tree.add_link(path, target, start=path.rpartition("/")[0])
        else:
            tree.add_file(path, file, member.file_size)


class _Member(tarfile.TarInfo):
    """A member of a tar, whose header is taken seriously."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header; what is none is an error, not the end of the archive."""
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            # A block of zeros is how a tar ends.
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise
            raise tarfile.ReadError(str(error)) from error
        if member.size < 0 or (member.type in _TAR_HEADERS and member.size > _LONGEST_HEADER):
            raise tarfile.ReadError(f"a header gives a length of {member.size} bytes")
        return member


def _read_tar(archive: Path, tree: _Tree) -> None:
    packed = archive.stat().st_size
    require_room(tree.root, packed, f"unpacking {archive.name}")
    unpacked = 0
    with tarfile.open(archive, _mode(archive), tarinfo=_Member) as content:
        for member in content:
            path = tree.enter(member.name)
            # A length may also come from an extended header; below zero it would lead in circles.
            if member.size < 0:
                raise tarfile.ReadError(f"its length is {member.size} bytes")
            unpacked += member.size
            _refuse_bomb(tree.limits, unpacked, packed)
            if path is not None:
                _add_tar_member(content, member, path, tree)
        # The checksum of what is compressed as a whole stands at its very end.
        while content.fileobj and (rest := content.fileobj.read(_CHUNK)):
            unpacked += len(rest)
            _refuse_bomb(tree.limits, unpacked, packed)


def _add_tar_member(
    content: tarfile.TarFile, member: tarfile.TarInfo, path: str, tree: _Tree
) -> None:
    if member.isdir():
        tree.add_folder(path)
    elif member.issym():
        tree.add_link(path, member.linkname, start=path.rpartition("/")[0])
    elif member.islnk():
        tree.add_link(path, member.linkname, start="")
    elif member.isreg() and not member.issparse() and (file := content.extractfile(member)):
        tree.add_file(path, file, member.size)
    else:
        raise _Refused("is neither a plain file, nor a folder, nor a link")
