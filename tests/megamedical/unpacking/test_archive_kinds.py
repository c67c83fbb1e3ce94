"""Archives of other kinds: encrypted, in several files, 7-Zip, RAR, or one file compressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import struct
import sys
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from megamedical.errors import ArchiveError
from megamedical.unpacking import safe_folder
from megamedical.unpacking.archives import MARKER, Limits, names_in, unpack

py7zr = pytest.importorskip("py7zr")
pyzipper = pytest.importorskip("pyzipper")
rarfile = pytest.importorskip("rarfile")

SCAN = bytes(i * i % 251 for i in range(5_000))
TREE = {"ACDC/p1/p1.nii.gz": SCAN, "ACDC/p2/p2.nii.gz": SCAN[::-1], "ACDC/empty.txt": b""}


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "raw" / "ACDC.zip"


@pytest.fixture(autouse=True)
def no_password(monkeypatch):
    monkeypatch.delenv("MEGAMEDICAL_PASSWORD", raising=False)


@pytest.fixture
def password(monkeypatch):
    monkeypatch.setenv("MEGAMEDICAL_PASSWORD", "sesame")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


def refuse(archive: Path, folder: Path, reason: str, **options) -> ArchiveError:
    with pytest.raises(ArchiveError, match=reason) as refused:
        unpack(archive, folder, digest=None, **options)
    assert refused.value.remedy
    assert not folder.exists()
    assert {path.name for path in folder.parent.iterdir()} <= {f".{folder.name}.lock"}
    return refused.value


def zipped() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in TREE.items():
            archive.writestr(name, data)
    return content.getvalue()


# Encrypted


@pytest.fixture
def encrypted(tmp_path) -> Path:
    with pyzipper.AESZipFile(
        tmp_path / "a.zip", "w", compression=zipfile.ZIP_DEFLATED, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setpassword(b"sesame")
        for name, data in TREE.items():
            archive.writestr(name, data)
    return tmp_path / "a.zip"


def test_zip_encrypted_by_aes(encrypted, folder, password):
    unpack(encrypted, folder, digest=None)
    assert files_of(folder) == TREE


def test_a_published_password_opens_it_and_no_other_archive(encrypted, folder):
    unpack(encrypted, folder, digest=None, password="sesame")  # noqa: S106
    assert files_of(folder) == TREE
    shutil.rmtree(folder.parent)
    refuse(encrypted, folder, "is encrypted")


def test_names_are_told_without_the_password(encrypted):
    assert names_in(encrypted) == list(TREE)


def test_without_a_password_it_is_said_where_to_put_it(encrypted, folder):
    assert "MEGAMEDICAL_PASSWORD" in refuse(encrypted, folder, "is encrypted").remedy


def test_wrong_password_is_told_and_not_shown(encrypted, folder, monkeypatch):
    monkeypatch.setenv("MEGAMEDICAL_PASSWORD", "open-hidden")
    error = refuse(encrypted, folder, "the password is wrong")
    assert "hidden" not in str(error)


def test_without_its_reader_it_is_said_how_to_get_it(encrypted, folder, password, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyzipper", None)
    assert "pip install" in refuse(encrypted, folder, "pyzipper").remedy


# In several files


def spanned(folder: Path, *cuts: int) -> Path:
    """A zip cut at some places, its places given in each file, as APPNOTE 4.4 has it."""
    content = bytearray(b"PK\x07\x08" + zipped())
    starts = [0, *cuts, len(content)]
    end = content.rindex(b"PK\x05\x06")
    directory = content.index(b"PK\x01\x02")

    def disk_of(place: int) -> int:
        return max(number for number, start in enumerate(starts) if start <= place)

    entry = directory
    while content[entry : entry + 4] == b"PK\x01\x02":
        (place,) = struct.unpack_from("<I", content, entry + 42)
        disk = disk_of(place + 4)
        struct.pack_into("<H", content, entry + 34, disk)
        struct.pack_into("<I", content, entry + 42, place + 4 - starts[disk])
        entry += 46 + sum(struct.unpack_from("<HHH", content, entry + 28))
    disk = disk_of(directory)
    struct.pack_into("<HH", content, end + 4, len(cuts), disk)
    struct.pack_into("<I", content, end + 16, directory - starts[disk])
    for number, (start, stop) in enumerate(pairwise(starts), start=1):
        name = "a.zip" if number == len(starts) - 1 else f"a.z{number:02}"
        (folder / name).write_bytes(content[start:stop])
    return folder / "a.zip"


@pytest.mark.parametrize("cuts", [(60,), (37, 90, 5_000), (10, 20, 30), (4_500,)])
def test_zip_in_several_files(tmp_path, folder, cuts):
    archive = spanned(tmp_path, *(cut for cut in cuts if cut < len(zipped()) - 30))
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE
    assert names_in(archive) == list(TREE)


def test_part_of_another_archive_is_none_of_this(tmp_path, folder):
    (tmp_path / "a.zip").write_bytes(zipped())
    (tmp_path / "a.z01").write_bytes(b"of an earlier version")
    unpack(tmp_path / "a.zip", folder, digest=None)
    assert files_of(folder) == TREE


def test_missing_part_is_named(tmp_path, folder):
    archive = spanned(tmp_path, 40, 80)
    (tmp_path / "a.z02").unlink()
    assert "a.z01" in refuse(archive, folder, "the last of 3 parts, and 1 others").remedy


@pytest.mark.parametrize("cuts", [(60,), (37, 90, 180)])
def test_numbered_parts(tmp_path, folder, cuts):
    content = zipped()
    for number, (start, stop) in enumerate(
        zip((0, *cuts), (*cuts, len(content)), strict=True), start=1
    ):
        (tmp_path / f"a.zip.{number:03}").write_bytes(content[start:stop])
    unpack(tmp_path / "a.zip.001", folder, digest=None)
    assert files_of(folder) == TREE
    (tmp_path / f"a.zip.{len(cuts) + 1:03}").unlink()
    shutil.rmtree(folder)
    refuse(tmp_path / "a.zip.001", folder, "damaged or cut off")


# 7-Zip


def seven_zip(path: Path, members=TREE, password=None) -> Path:
    with py7zr.SevenZipFile(path, "w", password=password) as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return path


@pytest.mark.parametrize("name", ["a.7z", "a.zip"])
def test_seven_zip(tmp_path, folder, name):
    archive = seven_zip(tmp_path / name)
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE
    assert names_in(archive) == list(TREE)


def test_seven_zip_of_folders_and_links(tmp_path, folder):
    source = tmp_path / "source"
    (source / "data" / "empty").mkdir(parents=True)
    (source / "data" / "p1").write_bytes(SCAN)
    (source / "data" / ".DS_Store").write_bytes(b"junk")
    (source / "one").symlink_to("data/p1")
    (source / "all").symlink_to("data")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writeall(source, "s")
    unpack(tmp_path / "a.7z", folder, digest=None)
    assert files_of(folder) == {"s/data/p1": SCAN, "s/one": SCAN, "s/all/p1": SCAN}
    assert (folder / "s" / "data" / "empty").is_dir()
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_encrypted_seven_zip(tmp_path, folder, monkeypatch):
    archive = seven_zip(tmp_path / "a.7z", password="sesame")  # noqa: S106
    refuse(archive, folder, "is encrypted")
    monkeypatch.setenv("MEGAMEDICAL_PASSWORD", "wrong")
    refuse(archive, folder, "the password is wrong")
    monkeypatch.setenv("MEGAMEDICAL_PASSWORD", "sesame")
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE


def test_damaged_seven_zip(tmp_path, folder):
    whole = seven_zip(tmp_path / "a.7z").read_bytes()
    for place in (10, 40, 200, len(whole) // 2, len(whole) - 20):
        content = bytearray(whole)
        content[place] ^= 1
        (tmp_path / "a.7z").write_bytes(content)
        refuse(tmp_path / "a.7z", folder, "damaged or cut off")
    (tmp_path / "a.7z").write_bytes(whole[:-9])
    refuse(tmp_path / "a.7z", folder, "damaged or cut off")


def test_hostile_seven_zip(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(safe_folder, "tells_case_apart", lambda _: False)
    for members in ({"fine": SCAN, "a": b"", "A": b""}, {MARKER: b"{}"}):
        refuse(seven_zip(tmp_path / "a.7z", members), folder, "there already")
    archive = seven_zip(tmp_path / "a.7z")
    refuse(archive, folder, "large, more than", limits=Limits(total=8_000))


def test_without_py7zr_it_is_said_how_to_get_it(tmp_path, folder, monkeypatch):
    archive = seven_zip(tmp_path / "a.7z")
    monkeypatch.setitem(sys.modules, "py7zr", None)
    assert "pip install" in refuse(archive, folder, "7-Zip").remedy
    assert names_in(archive) == []


# RAR


def vint(value: int) -> bytes:
    """A number as RAR 5.0 has it: seven bits a byte, the lowest first."""
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + vint(high) if high else bytes([low])


def rar(path: Path, members: dict[str, bytes], method: int = 0) -> Path:
    """A RAR 5.0 archive of stored files, after RARLAB's technote."""

    def block(kind: int, flags: int, fields: bytes, data: bytes = b"") -> bytes:
        body = vint(kind) + vint(flags) + (vint(len(data)) if flags & 2 else b"") + fields
        header = vint(len(body)) + body
        return struct.pack("<I", zlib.crc32(header)) + header + data

    content = b"Rar!\x1a\x07\x01\x00" + block(1, 0, vint(0))
    for name, data in members.items():
        said = vint(4) + vint(len(data)) + vint(0o100644) + struct.pack("<I", zlib.crc32(data))
        coded = vint(method << 7) + vint(1) + vint(len(name)) + name.encode()
        content += block(2, 2, said + coded, data)
    path.write_bytes(content + block(5, 0, vint(0)))
    return path


def test_rar(tmp_path, folder):
    archive = rar(tmp_path / "a.rar", TREE)
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE
    assert names_in(archive) == list(TREE)


def test_rar_that_needs_a_tool_says_which(tmp_path, folder, monkeypatch):
    def none_found(*_: object, **__: object):
        raise rarfile.RarCannotExec("Cannot find working tool")

    monkeypatch.setattr(rarfile, "tool_setup", none_found)
    error = refuse(rar(tmp_path / "a.rar", TREE, method=3), folder, "a tool is needed")
    assert "unrar" in error.remedy


def test_without_rarfile_it_is_said_how_to_get_it(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "rarfile", None)
    assert "pip install" in refuse(rar(tmp_path / "a.rar", TREE), folder, "rarfile").remedy


def test_hostile_and_damaged_rars(tmp_path, folder):
    refuse(rar(tmp_path / "a.rar", {"../evil": SCAN}), folder, r"has `\.\.` in its name")
    archive = rar(tmp_path / "a.rar", TREE)
    content = bytearray(archive.read_bytes())
    content[content.index(SCAN) + 9] ^= 1
    archive.write_bytes(content)
    refuse(archive, folder, "damaged or cut off")


def test_endless_names_in_other_kinds(tmp_path, folder):
    name = "a/" * 5_000 + "p1"
    for archive in (
        rar(tmp_path / "a.rar", {name: b""}),
        seven_zip(tmp_path / "a.7z", {name: b""}),
    ):
        assert len(refuse(archive, folder, "has a name of 10002 characters").problem) < 1_000
        with pytest.raises(ArchiveError, match="has a name of 10002 characters"):
            names_in(archive)


# One file, compressed


@pytest.mark.parametrize(
    ("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_single_file_is_decompressed(tmp_path, folder, suffix, compress):
    archive = tmp_path / f"table.csv.{suffix}"
    archive.write_bytes(compress(SCAN))
    unpack(archive, folder, digest=None)
    assert files_of(folder) == {"table.csv": SCAN}
    archive.write_bytes(compress(SCAN)[:-9])
    shutil.rmtree(folder)
    refuse(archive, folder, "damaged or cut off")
    archive.write_bytes(compress(bytes(20_000)))
    refuse(archive, folder, "large, more than", limits=Limits(total=10_000))
