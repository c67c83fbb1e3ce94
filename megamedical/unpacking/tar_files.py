"""Tar archives, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import Literal, Self

from megamedical.files.disk import require_room
from megamedical.unpacking.safe_folder import Refused, Tree, refuse_bomb

_CHUNK = 1024 * 1024
_LISTED = 1024**3
_LONGEST_HEADER = 1024 * 1024
_TAR_HEADERS = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}


def names_in_tar(archive: Path) -> list[str]:
    """The names of the files in the first gigabyte."""
    names = []
    with tarfile.open(archive, _mode(archive), tarinfo=_Member) as content:
        for member in content:
            if member.isfile():
                names.append(member.name.removeprefix("./"))
            if member.offset_data + member.size > _LISTED:
                break
    return names


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


def read_compressed(file: Path, tree: Tree) -> None:
    """Decompress a single file, `a.csv.gz` to `a.csv`."""
    packed, unpacked = file.stat().st_size, 0
    target = tree.reserve_file(tree.enter(file.stem) or file.name)
    with _decompressed(file) as content, target.open("wb") as output:
        while chunk := content.read(_CHUNK):
            unpacked += len(chunk)
            refuse_bomb(tree.limits, unpacked, packed)
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
        if member.size < 0 or (member.type in _TAR_HEADERS and member.size > _LONGEST_HEADER):
            raise tarfile.ReadError(f"a header gives a length of {member.size} bytes")
        return member


def read_tar(archive: Path, tree: Tree) -> None:
    """Unpack a tar."""
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
            refuse_bomb(tree.limits, unpacked, packed)
            if path is not None:
                _add_tar_member(content, member, path, tree)
        # The checksum of what is compressed as a whole stands at its very end.
        while content.fileobj and (rest := content.fileobj.read(_CHUNK)):
            unpacked += len(rest)
            refuse_bomb(tree.limits, unpacked, packed)


def _add_tar_member(
    content: tarfile.TarFile, member: tarfile.TarInfo, path: str, tree: Tree
) -> None:
    if member.isdir():
        tree.add_folder(path)
    elif member.issym():
        tree.add_link(path, member.linkname, start=path.rpartition("/")[0])
    elif member.islnk():
        tree.add_link(path, member.linkname, start="", hard=True)
    elif member.isreg() and not member.issparse() and (file := content.extractfile(member)):
        tree.add_file(path, file, member.size)
    else:
        raise Refused("is neither a plain file, nor a folder, nor a link")
