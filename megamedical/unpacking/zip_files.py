"""Zip archives."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO

from megamedical.files.disk import require_room
from megamedical.unpacking.password import ask_password, wrong_password
from megamedical.unpacking.safe_folder import (
    GENEROUS,
    LONGEST_LINK,
    Limits,
    Names,
    Refused,
    SafeFolder,
    is_junk,
    refuse_bomb,
    shown,
)
from megamedical.unpacking.split_files import open_parts, parts_of, refuse_missing
from megamedical.unpacking.zip_directory import refuse_large_directory

_AES = 99
_ENCRYPTED = 0x1
_LOCAL_HEADER = b"PK\x03\x04"
_APART = (
    "It may be two, one after the other, or changed by a program that left the old files in it. If "
    "you trust it, repack what belongs to it as a zip under the same name, and use --no-checksum."
)
_WRAPPED = 2 * 1024**3  # bytes of a zip in a zip that are decompressed for its names
_ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, _AES}


def names_in_zip(archive: Path) -> list[str]:
    """The names of all files; of a zip that holds nothing but a zip, those in that one."""
    with open_parts(parts_of(archive)) as file, _listed(file) as content:
        files = _files(content)
        real = [member for member in files if not is_junk(member.filename)]
        if len(real) == 1 and _may_wrap(real[0]):
            with content.open(real[0]) as wrapped, _listed(wrapped) as inner:
                files = _files(inner)
    names = Names()
    for member in files:
        names.add(member.filename)
    return names.all


def _listed(file: IO[bytes]) -> zipfile.ZipFile:
    refuse_large_directory(file, GENEROUS)
    return zipfile.ZipFile(file)


def _files(content: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [member for member in content.infolist() if not member.is_dir()]


def _may_wrap(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a zip whose names can be read without much work."""
    is_zip = member.filename.lower().endswith(".zip") and not member.flag_bits & _ENCRYPTED
    # The names stand at the end, before which all is decompressed.
    return is_zip and (member.compress_type == zipfile.ZIP_STORED or member.file_size < _WRAPPED)


def read_zip(archive: Path, folder: SafeFolder) -> None:
    """Unpack a zip, in one file or in several, encrypted or not."""
    parts = parts_of(archive)
    if archive.suffix.lower() == ".zip":
        refuse_missing(archive, len(parts))
    with open_parts(parts) as file, _opened(file, archive, folder.limits) as content:
        members = content.infolist()
        if parts[-1] == archive:
            _count_from_the_first(content, members, parts)
        _refuse_overlaps(members)
        _refuse_unlisted(file, members)
        need = sum(member.file_size for member in members)
        refuse_bomb(folder.limits, need, need)
        require_room(folder.root, need, f"unpacking {archive.name}")
        for member in members:
            path = folder.enter(member.orig_filename)
            if path is not None:
                _add_zip_member(content, member, path, folder)


def _opened(file: IO[bytes], archive: Path, limits: Limits) -> zipfile.ZipFile:
    """A zip with its password, where it has one."""
    refuse_large_directory(file, limits)
    content = zipfile.ZipFile(file)
    if any(member.compress_type == _AES for member in content.infolist()):
        try:
            import pyzipper
        except ImportError:
            raise Refused(
                "is encrypted by AES, which pyzipper reads", "pip install 'megamedical[archives]'"
            ) from None
        content = pyzipper.AESZipFile(file)
    if any(member.flag_bits & _ENCRYPTED for member in content.infolist()):
        content.setpassword(ask_password(archive.name).encode())
    return content


def _count_from_the_first(
    content: zipfile.ZipFile, members: list[zipfile.ZipInfo], parts: list[Path]
) -> None:
    """Give the places of members in one of several files as places in all of them together."""
    starts = [0, *accumulate(part.stat().st_size for part in parts)]
    last = starts[bisect_right(starts, content.start_dir) - 1]
    if len(parts) > 1:
        for member in members:
            member.header_offset += starts[member.volume] - last
            if hasattr(member, "_end_offset"):  # of Python, told from the places that were wrong
                member._end_offset = None


def _refuse_overlaps(members: list[zipfile.ZipInfo]) -> None:
    """Members that share bytes are how a small zip becomes petabytes."""
    ordered = sorted(members, key=lambda member: member.header_offset)
    for member, after in pairwise(ordered):
        if member.header_offset + member.compress_size > after.header_offset:
            raise Refused(
                f"holds {shown(member.filename)} and {shown(after.filename)} in the same bytes"
            )


def _refuse_unlisted(file: IO[bytes], members: list[zipfile.ZipInfo]) -> None:
    """Of two zips one after the other the table of contents at the end lists the second alone."""
    file.seek(0)
    begins = file.read(len(_LOCAL_HEADER)) == _LOCAL_HEADER
    if begins and all(member.header_offset for member in members):
        raise Refused("begins with files that its table of contents does not list", _APART)


def _add_zip_member(
    content: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, folder: SafeFolder
) -> None:
    # The upper half is a Unix mode only where a Unix has written it.
    kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == 3 else 0
    if kind == stat.S_IFDIR or member.orig_filename.endswith(("/", "\\")):
        folder.add_folder(path)
        return
    if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
        raise Refused("is neither a file, nor a folder, nor a link")
    if member.compress_type not in _ZIP_METHODS:
        raise Refused(f"is packed by method {member.compress_type}, which cannot be read")
    refuse_bomb(folder.limits, member.file_size, member.compress_size)
    with _password_checked(member), content.open(member) as file:
        if kind == stat.S_IFLNK:
            target = file.read(LONGEST_LINK).decode("utf-8", "surrogateescape")
            folder.add_link(path, target, start=path.rpartition("/")[0])
        else:
            folder.add_file(path, file, member.file_size)


@contextmanager
def _password_checked(member: zipfile.ZipInfo) -> Iterator[None]:
    """Blame the password first, where what is encrypted cannot be read."""
    try:
        yield
    except (RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError):
        if member.flag_bits & _ENCRYPTED:
            raise wrong_password() from None
        raise
