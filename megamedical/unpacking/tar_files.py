"""Tar archives, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Literal, Self

from megamedical.files.disk import require_room
from megamedical.unpacking.safe_folder import Names, Refused, SafeFolder, refuse_bomb

_CHUNK = 1024 * 1024
_LISTED = 1024**3
_MAGIC, _MAGIC_AT = b"ustar", 257  # where a header has it
_APART = (
    "If you trust it, unpack it by hand (tar --ignore-zeros), repack the result as a zip under the "
    "same name, and use --no-checksum."
)
_LONGEST_NAME_HEADER = 8 * 1024
_LONGEST_HEADER = 64 * 1024  # of extended facts, and of all that hold for every member
_TAR_HEADERS = {
    tarfile.GNUTYPE_LONGNAME: _LONGEST_NAME_HEADER,
    tarfile.GNUTYPE_LONGLINK: _LONGEST_NAME_HEADER,
    tarfile.XHDTYPE: _LONGEST_HEADER,
    tarfile.XGLTYPE: _LONGEST_HEADER,
    tarfile.SOLARIS_XHDTYPE: _LONGEST_HEADER,
}


def names_in_tar(archive: Path) -> list[str]:
    """The names of the files in the first gigabyte."""
    names = Names()
    with tarfile.open(archive, _mode(archive), tarinfo=_Member) as content:
        for member in _members(content):
            if member.isfile():
                names.add(member.name.removeprefix("./"))
            if member.offset_data + member.size > _LISTED:
                break
    return names.all


def _mode(archive: Path) -> Literal["r:", "r:gz", "r:bz2", "r:xz"]:
    """How `tarfile` is to open a file, by the compression that its first bytes tell."""
    with archive.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return "r:gz"
    if head.startswith(b"BZh"):
        return "r:bz2"
    return "r:xz" if head.startswith(b"\xfd7zXZ\x00") else "r:"


def decompressed_head(archive: Path) -> bytes:
    """The first block of what a file holds once it is decompressed, nothing if it cannot be."""
    try:
        with _decompressed(archive) as content:
            return content.read(tarfile.BLOCKSIZE)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return b""


def is_compressed(file: Path) -> bool:
    """Whether a file is compressed as a whole."""
    return _mode(file) != "r:"


def read_compressed(file: Path, folder: SafeFolder) -> None:
    """Decompress a single file, `a.csv.gz` to `a.csv`."""
    packed, unpacked = file.stat().st_size, 0
    target = folder.reserve_file(folder.enter(file.stem) or file.name)
    with _decompressed(file) as content, target.open("wb") as output:
        while chunk := content.read(_CHUNK):
            unpacked += len(chunk)
            refuse_bomb(folder.limits, unpacked, packed)
            output.write(chunk)


def _decompressed(archive: Path) -> BufferedIOBase:
    openers: dict[str, Callable[[Path], BufferedIOBase]] = {
        "r:": lambda path: path.open("rb"),
        "r:gz": gzip.GzipFile,
        "r:bz2": bz2.BZ2File,
        "r:xz": lzma.LZMAFile,
    }
    return openers[_mode(archive)](archive)


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
        if not 0 <= member.size <= _TAR_HEADERS.get(member.type, member.size):
            raise tarfile.ReadError(f"a header gives a length of {member.size} bytes")
        return member


def read_tar(archive: Path, folder: SafeFolder) -> None:
    """Unpack a tar."""
    packed = archive.stat().st_size
    require_room(folder.root, packed, f"unpacking {archive.name}")
    unpacked = 0
    with tarfile.open(archive, _mode(archive), tarinfo=_Member) as content:
        for member in _members(content):
            path = folder.enter(member.name)
            # A length may also come from an extended header; below zero it would lead in circles.
            if member.size < 0:
                raise tarfile.ReadError(f"its length is {member.size} bytes")
            unpacked += member.size
            refuse_bomb(folder.limits, unpacked, packed)
            if path is not None:
                _add_tar_member(content, member, path, folder)
        # The checksum of what is compressed as a whole stands at its very end.
        while content.fileobj and (rest := content.fileobj.read(_CHUNK)):
            unpacked += len(rest)
            refuse_bomb(folder.limits, unpacked, packed)
            _refuse_another(rest)


def _refuse_another(rest: bytes) -> None:
    """Make sure that blocks behind the end of a tar begin no other one, which would be lost.

    Raises:
        Refused: one does.
    """
    place = rest.find(_MAGIC)
    while place >= 0:
        if place % tarfile.BLOCKSIZE == _MAGIC_AT:
            raise Refused("is several tars, one after the other", _APART)
        place = rest.find(_MAGIC, place + 1)


def _add_tar_member(
    content: tarfile.TarFile, member: tarfile.TarInfo, path: str, folder: SafeFolder
) -> None:
    if member.isdir():
        folder.add_folder(path)
    elif member.issym():
        folder.add_link(path, member.linkname, start=path.rpartition("/")[0])
    elif member.islnk():
        folder.add_link(path, member.linkname, start="", hard=True)
    elif member.isreg() and (file := content.extractfile(member)):
        _refuse_odd_holes(member)
        require_room(folder.root, member.size, f"unpacking {path}")
        folder.add_file(path, file, member.size)
    else:
        raise Refused("is neither a plain file, nor a folder, nor a link")


def _members(content: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """One member after the other, none of which is kept.

    Raises:
        tarfile.ReadError: what is said of all members together is longer than anybody's.
    """
    while (member := content.next()) is not None:
        content.members = []  # type: ignore[attr-defined]
        said = sum(len(key) + len(value) for key, value in content.pax_headers.items())
        if said > _LONGEST_HEADER:
            raise tarfile.ReadError(f"headers of {said} characters hold for all members")
        yield member


def _refuse_odd_holes(member: tarfile.TarInfo) -> None:
    """Make sure that the pieces of a sparse file, between which are holes, follow each other."""
    pieces = [piece for piece in getattr(member, "sparse", None) or () if piece[1]]
    ends = [0, *(start + length for start, length in pieces)]
    if (
        any(length < 0 or start < end for (start, length), end in zip(pieces, ends, strict=False))
        or ends[-1] > member.size
    ):
        raise tarfile.ReadError("the pieces of a sparse file overlap, or lie behind its end")
