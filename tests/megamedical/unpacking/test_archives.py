"""Archives unpacked: whole or not at all, and nothing outside the folder, whatever they hold."""

import errno
import gzip
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from megamedical.errors import ArchiveError
from megamedical.unpacking import archives, safe_folder
from megamedical.unpacking.archives import GENEROUS, MARKER, Limits, names_in, unpack

SCAN = bytes(i * i % 251 for i in range(5_000))
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "raw" / "acdc" / "ACDC.zip"


def make_zip(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], method=8) -> Path:
    with zipfile.ZipFile(path, "w", method) as content:
        for name, data in members:
            content.writestr(name, data)
    return path


def zip_member(name: str, *, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("x")
    member.filename = name
    member.create_system = 3
    member.external_attr = mode << 16
    return member


def tar_member(name: str, data: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for fact, value in facts.items():
        setattr(member, fact, value)
    return member, data


def make_tar(
    path: Path, *members: tuple[tarfile.TarInfo, bytes], mode="w", form=tarfile.PAX_FORMAT
):
    with tarfile.open(path, mode, format=form) as content:
        for member, data in members:
            content.addfile(member, io.BytesIO(data))
    return path


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return tar_member(name, type=tarfile.SYMTYPE, linkname=target)


def hardlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return tar_member(name, type=tarfile.LNKTYPE, linkname=target)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if not path.is_dir() and path.name != MARKER
    }


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def assert_untouched(archive: Path, folder: Path) -> None:
    """Nothing is left of an attempt: neither the folder, nor anything beside or above it."""
    assert not folder.exists()
    assert set(beside(folder)) <= {f".{folder.name}.lock"}
    assert {path.name for path in archive.parent.iterdir()} <= {archive.name, "raw"}


def refuse(
    archive: Path, folder: Path, reason: str | None, limits: Limits = GENEROUS
) -> ArchiveError:
    with pytest.raises(ArchiveError, match=reason) as refused:
        unpack(archive, folder, digest=None, limits=limits)
    assert str(archive) in refused.value.problem
    assert refused.value.remedy
    assert_untouched(archive, folder)
    return refused.value


# What goes well


TREE = {"ACDC/p1/p1.nii.gz": SCAN, "ACDC/p2/p2.nii.gz": SCAN[::-1], "ACDC/empty.txt": b""}


@pytest.mark.parametrize("name", ["ACDC.zip", "ACDC.download"])
@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip(tmp_path, folder, name, method):
    archive = make_zip(tmp_path / name, *TREE.items(), method=method)
    assert unpack(archive, folder, digest="abc") == folder
    assert files_of(folder) == TREE


@pytest.mark.parametrize("name", ["ACDC.tar", "ACDC.zip", "ACDC"])
@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar(tmp_path, folder, name, compression, form):
    members = [tar_member(f"./{path}", data) for path, data in TREE.items()]
    archive = make_tar(tmp_path / name, *members, mode=f"w:{compression}", form=form)
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE


@pytest.mark.parametrize("outer", ["hxt48yk462-1.zip", "wrapped.tar"])
@pytest.mark.parametrize("inner", ["Xrays.zip", "deep/Xrays.tar.gz"])
def test_an_archive_that_is_all_another_holds_is_opened_too(tmp_path, folder, outer, inner):
    make = make_zip if inner.endswith(".zip") else make_tar
    if make is make_zip:
        packed = make_zip(tmp_path / "inner", *TREE.items()).read_bytes()
    else:
        members = [tar_member(path, data) for path, data in TREE.items()]
        packed = make_tar(tmp_path / "inner", *members, mode="w:gz").read_bytes()
    junk = ("__MACOSX/._Xrays.zip", b"junk")
    if outer.endswith(".zip"):
        archive = make_zip(tmp_path / outer, (inner, packed), junk)
    else:
        archive = make_tar(tmp_path / outer, tar_member(inner, packed), tar_member(*junk))
    unpack(archive, folder, digest="abc")
    assert files_of(folder) == TREE
    assert beside(folder) == [f".{folder.name}.lock", folder.name]
    if outer.endswith(".zip") and inner.endswith(".zip"):
        assert set(names_in(archive)) == set(TREE)


def test_archives_that_are_all_another_holds_are_opened_in_turn(tmp_path, folder):
    packed = make_zip(tmp_path / "a", *TREE.items()).read_bytes()
    packed = make_tar(tmp_path / "b", tar_member("a.zip", packed)).read_bytes()
    archive = make_zip(tmp_path / "c.zip", ("b.tar", packed))
    unpack(archive, folder, digest="abc")
    assert files_of(folder) == TREE


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_of_two_tars_one_after_the_other_no_file_is_lost_silently(tmp_path, folder, mode):
    one, other = (
        make_tar(tmp_path / name, tar_member(name, SCAN), mode=mode).read_bytes() for name in "ab"
    )
    (tmp_path / "both.tar").write_bytes(one + other)
    with pytest.raises(ArchiveError, match="is several tars, one after the other") as refused:
        unpack(tmp_path / "both.tar", folder, digest="abc")
    assert "tar --ignore-zeros" in refused.value.remedy
    assert not folder.exists()


def test_of_two_zips_one_after_the_other_no_file_is_lost_silently(tmp_path, folder):
    one, other = (make_zip(tmp_path / name, (name, SCAN)).read_bytes() for name in "ab")
    (tmp_path / "both.zip").write_bytes(one + other)
    with pytest.raises(ArchiveError, match="begins with files that its table of contents"):
        unpack(tmp_path / "both.zip", folder, digest="abc")
    assert not folder.exists()
    (tmp_path / "own.zip").write_bytes(b"MZ a program that unpacks itself" + other)
    unpack(tmp_path / "own.zip", folder, digest="abc")
    assert files_of(folder) == {"b": SCAN}


def test_an_archive_beside_other_files_stays_packed(tmp_path, folder):
    packed = make_zip(tmp_path / "inner", *TREE.items()).read_bytes()
    archive = make_zip(tmp_path / "both.zip", ("inner.zip", packed), ("readme.txt", b"read me"))
    unpack(archive, folder, digest="abc")
    assert files_of(folder) == {"inner.zip": packed, "readme.txt": b"read me"}
    assert names_in(archive) == ["inner.zip", "readme.txt"]


def test_a_damaged_archive_in_another_leaves_nothing(tmp_path, folder):
    packed = make_zip(tmp_path / "inner", *TREE.items()).read_bytes()
    (tmp_path / "inner").unlink()
    archive = make_zip(tmp_path / "outer.zip", ("inner.zip", packed[:-30]))
    with pytest.raises(ArchiveError, match=r"outer\.zip"):
        unpack(archive, folder, digest="abc")
    assert_untouched(archive, folder)
    with pytest.raises(ArchiveError, match=r"outer\.zip"):
        names_in(archive)


def test_old_tar_without_magic_is_known_by_its_name(tmp_path, folder):
    archive = make_tar(tmp_path / "labels.tar", tar_member("a.ppm", SCAN))
    block = bytearray(archive.read_bytes())
    block[257:265] = bytes(8)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:512])
    archive.write_bytes(block)
    unpack(archive, folder, digest=None)
    assert files_of(folder) == {"a.ppm": SCAN}


@pytest.mark.parametrize("long", ["p" * 200, "/".join(["folder"] * 60)])
def test_long_names(tmp_path, folder, long):
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        unpack(make_tar(tmp_path / "a.tar", tar_member(long, SCAN), form=form), folder, digest=None)
        assert files_of(folder) == {long: SCAN}
        shutil.rmtree(folder)


def test_junk_is_left_out(tmp_path, folder):
    junk = [".DS_Store", "a/Thumbs.db", "__MACOSX/a/._p1.nii", "a/._p1.nii", "a/Icon\r"]
    archive = make_zip(tmp_path / "a.zip", ("a/p1.nii", SCAN), *((name, b"junk") for name in junk))
    unpack(archive, folder, digest=None)
    assert files_of(folder) == {"a/p1.nii": SCAN}


def test_empty_folders_stay(tmp_path, folder):
    for archive in (
        make_zip(tmp_path / "a.zip", ("empty/", b""), ("b\\", b""), ("a/p1", SCAN)),
        make_tar(
            tmp_path / "a.tar", tar_member("empty", type=tarfile.DIRTYPE), tar_member("b/c/p1")
        ),
    ):
        unpack(archive, folder / archive.name, digest=None)
        assert (folder / archive.name / "empty").is_dir()
        assert (folder / archive.name / "b").is_dir()


def test_backslashes_separate_folders(tmp_path, folder):
    unpack(make_zip(tmp_path / "a.zip", (zip_member("a\\p1\\p1.nii"), SCAN)), folder, digest=None)
    assert files_of(folder) == {"a/p1/p1.nii": SCAN}


def test_modes_are_sane(tmp_path, folder):
    archive = make_tar(
        tmp_path / "a.tar",
        tar_member("a/setuid", SCAN, mode=0o6000),
        tar_member("b", type=tarfile.DIRTYPE, mode=0),
    )
    unpack(archive, folder, digest=None)
    for path in folder.rglob("*"):
        mode = path.stat().st_mode
        assert mode & stat.S_IRUSR and mode & stat.S_IWUSR
        assert not mode & (stat.S_ISUID | stat.S_ISGID)
    assert not (folder / "a" / "setuid").stat().st_mode & 0o111


def test_very_compressible_masks_are_no_bomb(tmp_path, folder):
    mask = bytes(20_000_000)
    for archive in (
        make_zip(tmp_path / "a.zip", ("mask.nii", mask), method=zipfile.ZIP_LZMA),
        make_tar(tmp_path / "a.tar.xz", tar_member("mask.nii", mask), mode="w:xz"),
    ):
        assert archive.stat().st_size * 2000 < len(mask)
        unpack(archive, folder / archive.name, digest=None)
        assert (folder / archive.name / "mask.nii").stat().st_size == len(mask)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("scan.h5", b"\x89HDF\r\n\x1a\n" + SCAN),
        ("table.csv", b"a,b\n"),
        ("empty.csv", b""),
        ("volume.raw", bytes(2048)),
        ("scan.nii.gz", gzip.compress(SCAN, mtime=0)),
        ("table.gz", b"a,b\n"),
        ("broken.nii.gz", gzip.compress(SCAN, mtime=0)[:20]),
    ],
)
def test_other_files_are_taken_as_they_are(tmp_path, folder, name, data):
    archive = tmp_path / name
    archive.write_bytes(data)
    unpack(archive, folder, digest=None)
    assert files_of(folder) == {name: data}


def test_numpy_arrays_are_no_archives(tmp_path, folder):
    archive = make_zip(tmp_path / "scans.npz", ("x.npy", SCAN))
    unpack(archive, folder, digest=None)
    assert list(files_of(folder)) == ["scans.npz"]


def test_file_is_copied_where_it_cannot_be_linked(tmp_path, folder, monkeypatch):
    def link(*_: object, **__: object):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    archive = tmp_path / "scan.h5"
    archive.write_bytes(SCAN)
    unpack(archive, folder, digest=None)
    assert files_of(folder) == {"scan.h5": SCAN}
    assert (folder / "scan.h5").stat().st_nlink == 1


# Whole or not at all


def test_second_call_does_nothing(tmp_path, folder, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    unpack(archive, folder, digest="abc")
    monkeypatch.setattr(archives, "_fill", None)
    assert unpack(archive, folder, digest="abc") == folder
    said = json.loads((folder / MARKER).read_text())
    assert len(said.pop("checksum")) == 64
    assert said == {
        "archive": "a.zip",
        "size": archive.stat().st_size,
        "digest": "abc",
        "files": 3,
        "bytes": 2 * len(SCAN),
    }


def test_other_version_replaces_the_folder(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", ("old", SCAN))
    unpack(archive, folder, digest="abc")
    make_zip(archive, ("new", SCAN))
    unpack(archive, folder, digest="def")
    assert list(files_of(folder)) == ["new"]
    assert beside(folder) == [f".{folder.name}.lock", folder.name]


def test_damaged_version_leaves_the_old_one(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", ("old", SCAN))
    unpack(archive, folder, digest="abc")
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(ArchiveError):
        unpack(archive, folder, digest="def")
    assert files_of(folder) == {"old": SCAN}


def test_leftovers_of_a_killed_run_are_redone(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    for state in ("unpacking", "replaced", f"{'0' * 16}.unpacking"):
        half = folder.with_name(f".{folder.name}.{state}")
        half.mkdir(parents=True)
        (half / "half").write_bytes(b"half")
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE
    assert beside(folder) == [f".{folder.name}.lock", folder.name]


def test_killed_run_leaves_nothing(tmp_path, folder, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())

    def interrupt(*_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, folder, digest=None)
    assert_untouched(archive, folder)


@pytest.mark.parametrize(
    "content",
    [
        {"thesis.txt": "mine"},
        {MARKER: '{"archive": "another.zip"}'},
    ],
)
def test_what_is_not_ours_is_never_replaced(tmp_path, folder, content):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    folder.mkdir(parents=True)
    for name, text in content.items():
        (folder / name).write_text(text)
    with pytest.raises(ArchiveError, match="something else"):
        unpack(archive, folder, digest=None)
    assert {path.name: path.read_text() for path in folder.iterdir()} == content


@pytest.mark.parametrize(
    "said", ["", "{}", "[]", "{", '{"archive": 5', "\0\0", '"a" * 9', "[" * 10**5]
)
def test_a_marker_that_says_nothing_is_made_again_with_its_folder(tmp_path, folder, said):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    unpack(archive, folder, digest=None)
    (folder / MARKER).write_text(said)
    (folder / "ACDC/empty.txt").unlink()
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE


def test_a_marker_from_before_files_were_counted_is_not_believed(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    unpack(archive, folder, digest=None)
    said = json.loads((folder / MARKER).read_text())
    (folder / MARKER).write_text(json.dumps({k: said[k] for k in ("archive", "size", "digest")}))
    (folder / "ACDC/p1/p1.nii.gz").unlink()
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(SCAN[:-1])])
def test_what_has_gone_from_the_folder_is_unpacked_again(tmp_path, folder, damage):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    unpack(archive, folder, digest=None)
    damage(folder / "ACDC/p1/p1.nii.gz")
    unpack(archive, folder, digest=None)
    assert files_of(folder) == TREE


def test_what_was_put_into_the_folder_is_named_and_kept(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    unpack(archive, folder, digest=None)
    (folder / "ACDC/mine.nii.gz").write_bytes(b"mine")
    with pytest.raises(ArchiveError, match="holds 4 files, but 3 were unpacked"):
        unpack(archive, folder, digest=None)
    assert (folder / "ACDC/mine.nii.gz").read_bytes() == b"mine"
    (folder / "ACDC/mine.nii.gz").rename(folder / "ACDC/.DS_Store")
    unpack(archive, folder, digest=None)


def test_empty_folder_may_be_there(tmp_path, folder):
    folder.mkdir(parents=True)
    unpack(make_zip(tmp_path / "a.zip", *TREE.items()), folder, digest=None)
    assert files_of(folder) == TREE


# Names that lead elsewhere


OUTSIDE = [
    "/etc/evil",
    "//evil",
    "../evil",
    "a/../../evil",
    "a/../b",
    "..",
    "C:evil",
    "c:\\evil",
    "\\evil",
    "..\\evil",
    "a\\..\\..\\evil",
]
UNWRITABLE = ["a\nb", "p" * 256, "é" * 128, MARKER, MARKER.upper()]


@pytest.mark.parametrize("name", [*OUTSIDE, *UNWRITABLE, "nul\0byte"])
def test_hostile_name_in_a_zip(tmp_path, folder, name):
    archive = make_zip(tmp_path / "a.zip", ("fine", SCAN), (zip_member(name), SCAN))
    error = refuse(archive, folder, None)
    assert repr(name) in error.problem


@pytest.mark.parametrize("name", [*OUTSIDE, *UNWRITABLE])
def test_hostile_name_in_a_tar(tmp_path, folder, name):
    archive = make_tar(tmp_path / "a.tar", tar_member("fine", SCAN), tar_member(name, SCAN))
    error = refuse(archive, folder, None)
    assert repr(name) in error.problem


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a/p1.nii", "A/P1.nii"),
        ("a/\u00e9.nii", "a/e\u0301.nii"),
        ("a", "a/p1.nii"),
        ("a/p1.nii", "a"),
        ("A", "a/p1.nii"),
    ],
)
def test_name_is_taken_once(tmp_path, folder, first, second, monkeypatch):
    """On every system, as on one that does not tell capitals from small letters."""
    monkeypatch.setattr(safe_folder, "tells_case_apart", lambda _: False)
    archive = make_zip(tmp_path / "a.zip", (first, SCAN), (second, b"other"))
    error = refuse(archive, folder, "there already")
    assert repr(first) in error.problem or repr(first.partition("/")[0]) in error.problem
    archive.unlink()
    refuse(
        make_tar(tmp_path / "a.tar", tar_member(first, SCAN), tar_member(second, SCAN)),
        folder,
        "there already",
    )


@pytest.mark.parametrize("second", ["a/p1.nii", "a//./p1.nii"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_members_with_the_same_name_the_last_counts(tmp_path, folder, second):
    """As `tar -r` makes them, and `tar` and `unzip -o` take them."""
    zipped = make_zip(tmp_path / "a.zip", ("a/p1.nii", SCAN), (second, b"last"))
    tarred = make_tar(
        tmp_path / "a.tar",
        tar_member("a/p1.nii", SCAN),
        hardlink("a/hard", "a/p1.nii"),
        tar_member(second, b"last"),
        hardlink("a/hard", "a/p1.nii"),
    )
    unpack(zipped, folder / "zip", digest=None)
    assert files_of(folder / "zip") == {"a/p1.nii": b"last"}
    unpack(tarred, folder / "tar", digest=None)
    assert files_of(folder / "tar") == {"a/p1.nii": b"last", "a/hard": b"last"}


def test_names_that_differ_in_case_are_two_where_the_disk_says_so(tmp_path, folder):
    if not safe_folder.tells_case_apart(tmp_path):
        pytest.skip("this disk does not")
    members = {
        "a/README.txt": SCAN,
        "a/readme.TXT": b"",
        "A/p1": b"1",
        "a/\u00e9": b"",
        "a/e\u0301": b"",
    }
    unpack(make_zip(tmp_path / "a.zip", *members.items()), folder, digest=None)
    assert files_of(folder) == members


def test_where_only_capitals_differ_the_remedy_works(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(safe_folder, "tells_case_apart", lambda _: False)
    archive = make_zip(tmp_path / "a.zip", ("README", SCAN), ("readme", b"other"))
    assert "tells capitals from small letters" in refuse(archive, folder, "there already").remedy


def test_member_without_a_name(tmp_path, folder):
    refuse(make_tar(tmp_path / "a.tar", tar_member("./.", SCAN)), folder, "no name")


# Links and devices


def test_links_within_become_files(tmp_path, folder):
    archive = make_tar(
        tmp_path / "a.tar",
        symlink("early", "a/../a/p1"),
        tar_member("a/p1", SCAN),
        symlink("a/up", "../a/p1"),
        symlink("a/b/chain", "../up"),
        hardlink("hard", "./a/p1"),
    )
    unpack(archive, folder, digest=None)
    assert files_of(folder) == dict.fromkeys(["early", "a/p1", "a/up", "a/b/chain", "hard"], SCAN)
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_link_in_a_zip_becomes_a_file(tmp_path, folder):
    link = zip_member("b/link", mode=stat.S_IFLNK | 0o777)
    unpack(make_zip(tmp_path / "a.zip", (link, b"../a/p1"), ("a/p1", SCAN)), folder, digest=None)
    assert files_of(folder) == {"a/p1": SCAN, "b/link": SCAN}
    assert not (folder / "b/link").is_symlink()


def test_modes_of_other_systems_are_no_modes(tmp_path, folder):
    member = zip_member("p1", mode=stat.S_IFLNK | 0o777)
    member.create_system = 0
    unpack(make_zip(tmp_path / "a.zip", (member, b"../x")), folder, digest=None)
    assert files_of(folder) == {"p1": b"../x"}


OUTSIDE_LINKS = ["/etc/passwd", "../../secret", "a/../../../secret", "C:\\x", "..\\..\\x", "\\x"]


@pytest.mark.parametrize("target", [*OUTSIDE_LINKS, "gone", "", ".", "link", "../a", "other"])
def test_link_that_leads_nowhere_or_outside_is_left_out(tmp_path, folder, target):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "secret").write_bytes(b"mine")
    tar = make_tar(
        tmp_path / "a.tar",
        tar_member("p1", SCAN),
        tar_member("a/p2", SCAN),
        symlink("a/link", target),
        symlink("a/other", "link"),
    )
    link = zip_member("a/link", mode=stat.S_IFLNK | 0o777)
    members = [("p1", SCAN), ("a/p2", SCAN), (link, target.encode())]
    for archive in (tar, make_zip(tmp_path / "a.zip", *members)):
        unpack(archive, folder / archive.name, digest=None)
        assert files_of(folder / archive.name) == {"p1": SCAN, "a/p2": SCAN}


@pytest.mark.parametrize("target", [*OUTSIDE_LINKS, "gone", "", ".", "folder", "a/link"])
def test_second_name_of_nothing_is_refused(tmp_path, folder, target):
    members = [tar_member("folder", type=tarfile.DIRTYPE), hardlink("a/link", target)]
    reason = "outside the archive|an absolute path|not a file of the archive"
    refuse(make_tar(tmp_path / "a.tar", *members), folder, reason)


def test_link_to_a_folder_becomes_its_files(tmp_path, folder):
    """As in the zip that GitHub makes of a repository with links; they may come in any order."""
    link = zip_member("repo/LR", mode=stat.S_IFLNK | 0o777)
    again = zip_member("repo/again", mode=stat.S_IFLNK | 0o777)
    one = zip_member("repo/one", mode=stat.S_IFLNK | 0o777)
    archive = make_zip(
        tmp_path / "a.zip",
        (link, b"data/in_vivo"),
        (again, b"LR"),
        (one, b"again/deep/p2"),
        ("repo/data/in_vivo/p1", SCAN),
        ("repo/data/in_vivo/deep/p2", SCAN[::-1]),
        ("repo/data/in_vivo_other/p3", b""),
    )
    unpack(archive, folder, digest=None)
    assert files_of(folder) == {
        "repo/one": SCAN[::-1],
        "repo/data/in_vivo_other/p3": b"",
        **{
            f"repo/{name}/{file}": data
            for name in ("LR", "again", "data/in_vivo")
            for file, data in (("p1", SCAN), ("deep/p2", SCAN[::-1]))
        },
    }
    assert not any(path.is_symlink() for path in folder.rglob("*"))


def test_links_to_folders_do_not_multiply(tmp_path, folder):
    """Ten folders, each with three links to the next, would be 59,049 files."""
    members = [
        symlink(f"{level}/{number}", f"../{level + 1}") for level in range(10) for number in "abc"
    ]
    archive = make_tar(tmp_path / "a.tar", *members, tar_member("10/p1", SCAN))
    unpack(archive, folder, digest=None)
    assert set(files_of(folder)) == {"10/p1", "9/a/p1", "9/b/p1", "9/c/p1"}
    shutil.rmtree(folder)
    refuse(archive, folder, "one too many", limits=Limits(entries=44))


@pytest.mark.parametrize("make", [symlink, hardlink])
def test_nothing_is_written_through_a_link(tmp_path, folder, make):
    outside = tmp_path / "raw" / "outside"
    outside.parent.mkdir()
    outside.write_bytes(b"mine")
    for members in (
        [make("x", "../../raw/outside"), tar_member("x", b"evil")],
        [make("x", "fine"), tar_member("fine", SCAN), tar_member("x", b"evil")],
        [make("d", "."), tar_member("d/evil", b"evil")],
        [make("d", "."), tar_member("D/evil", b"evil")],
    ):
        with pytest.raises(ArchiveError):
            unpack(make_tar(tmp_path / "a.tar", *members), folder, digest=None)
        assert not folder.exists()
    assert outside.read_bytes() == b"mine"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices_pipes_and_the_like(tmp_path, folder, kind):
    refuse(make_tar(tmp_path / "a.tar", tar_member("dev", type=kind)), folder, "neither a")


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_in_a_zip(tmp_path, folder, kind):
    archive = make_zip(tmp_path / "a.zip", (zip_member("dev", mode=kind | 0o666), b""))
    refuse(archive, folder, "neither a")


# Damage


def test_crc_error_names_the_member(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", *TREE.items(), method=zipfile.ZIP_STORED)
    content = bytearray(archive.read_bytes())
    content[content.index(SCAN[::-1]) + 9] ^= 1
    archive.write_bytes(content)
    error = refuse(archive, folder, "damaged or cut off: Bad CRC-32")
    assert "ACDC/p2/p2.nii.gz" in error.problem
    assert error.remedy == "Delete it and fetch it again."


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
def test_truncated_tar_is_never_taken_for_whole(tmp_path, folder, compression):
    archive = tmp_path / f"a.tar{compression and '.'}{compression}"
    members = [tar_member(f"p{number}", SCAN[number:]) for number in range(3)]
    whole = make_tar(archive, *members, mode=f"w:{compression}").read_bytes()
    # Three members of a header and ten blocks each, then a block of zeros.
    needed = len(whole) if compression else (3 * 11 + 1) * tarfile.BLOCKSIZE
    for cut in {*range(0, needed, needed // 60), *range(0, needed, 512), needed - 1}:
        archive.write_bytes(whole[:cut])
        refuse(archive, folder, "damaged or cut off")


def test_tar_that_ends_between_two_members_is_not_whole(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tar", tar_member("p1", SCAN[:512]), tar_member("p2", SCAN))
    archive.write_bytes(archive.read_bytes()[:1024])
    assert "'p1'" in refuse(archive, folder, "damaged or cut off").problem


def test_garbled_header_is_not_the_end(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tar", tar_member("p1", SCAN[:512]), tar_member("p2", SCAN))
    content = bytearray(archive.read_bytes())
    content[1024] ^= 1
    archive.write_bytes(content)
    refuse(archive, folder, "bad checksum")


def test_flipped_bit_behind_the_last_member_is_seen(tmp_path, folder):
    archive = make_tar(tmp_path / "a.tar.gz", tar_member("p1", SCAN), mode="w:gz")
    content = bytearray(archive.read_bytes())
    content[-6] ^= 1
    archive.write_bytes(content)
    refuse(archive, folder, "CRC")


def test_truncated_zip(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", *TREE.items())
    whole = archive.read_bytes()
    for cut in (0, 3, 4, len(whole) // 2, len(whole) - 1):
        archive.write_bytes(whole[:cut])
        refuse(archive, folder, "damaged or cut off")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
@pytest.mark.parametrize("page", [b"\n <!DOCTYPE html><html>", b"<html><body>"])
def test_web_page_is_told(tmp_path, folder, name, page):
    (tmp_path / name).write_bytes(page)
    refuse(tmp_path / name, folder, "is a web page")


def test_encrypted_zip(tmp_path, folder, monkeypatch):
    monkeypatch.delenv("MEGAMEDICAL_PASSWORD", raising=False)
    archive = make_zip(tmp_path / "a.zip", ("p1", SCAN))
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert "MEGAMEDICAL_PASSWORD" in refuse(archive, folder, "is encrypted").remedy


def test_unknown_compression(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", ("p1", SCAN))
    content = bytearray(archive.read_bytes())
    for place in (8, content.index(b"PK\x01\x02") + 10):
        struct.pack_into("<H", content, place, 9)
    archive.write_bytes(content)
    assert "repack" in refuse(archive, folder, "method 9").remedy


@pytest.mark.parametrize("length", [100, len(SCAN) - 1, len(SCAN) + 1, 6_000])
def test_zip_that_lies_about_a_length(tmp_path, folder, length):
    archive = make_zip(tmp_path / "a.zip", ("p1", SCAN))
    content = bytearray(archive.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, length)
    archive.write_bytes(content)
    refuse(archive, folder, "damaged")


@pytest.mark.parametrize("name", ["p1", "._p1"])
@pytest.mark.parametrize("fact", [{"size": -1024}, {"pax_headers": {"size": "-1024"}}])
def test_lengths_below_zero(tmp_path, folder, name, fact):
    member, _ = tar_member(name, **fact)
    archive = tmp_path / "a.tar"
    archive.write_bytes(
        member.tobuf(tarfile.GNU_FORMAT if "size" in fact else tarfile.PAX_FORMAT) + bytes(1024)
    )
    refuse(archive, folder, "-1024 bytes")


def test_endless_extended_header(tmp_path, folder):
    member, _ = tar_member("x", type=tarfile.XHDTYPE, size=10**9)
    archive = tmp_path / "a.tar"
    archive.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    refuse(archive, folder, "length of 1000000000 bytes")


# Bombs


def test_too_many_bytes(tmp_path, folder):
    limits = Limits(total=8_000)
    refuse(make_zip(tmp_path / "a.zip", *TREE.items()), folder, r"10\.0 kB large", limits=limits)
    (tmp_path / "a.zip").unlink()
    members = [tar_member(path, data) for path, data in TREE.items()]
    archive = make_tar(tmp_path / "a.tar", *members)
    error = refuse(archive, folder, r"10\.0 kB large", limits=limits)
    assert "Limits" in error.remedy


def test_too_many_entries(tmp_path, folder):
    limits = Limits(entries=6)
    for number, fits in ((4, True), (6, False)):
        archive = make_zip(tmp_path / "a.zip", *((f"a/{i}", b"") for i in range(number)))
        if fits:
            unpack(archive, folder, digest=None, limits=limits)
            shutil.rmtree(folder)
        else:
            refuse(archive, folder, "one too many: 6", limits=limits)


def test_too_good_a_compression(tmp_path, folder):
    limits = Limits(ratio=100, ratio_from=1_000_000)
    zeros = bytes(2_000_000)
    refuse(make_zip(tmp_path / "a.zip", ("0", zeros)), folder, r"to 2\.0 MB", limits=limits)
    (tmp_path / "a.zip").unlink()
    half = zeros[:1_000_000]
    archive = make_tar(
        tmp_path / "a.tar.gz", tar_member("0", half), tar_member("1", half), mode="w:gz"
    )
    refuse(archive, folder, r"to 2\.0 MB", limits=limits)


def test_endless_zeros_behind_the_end(tmp_path, folder):
    archive = tmp_path / "a.tar.gz"
    make_tar(archive, tar_member("p1", SCAN), mode="w:gz")
    archive.write_bytes(archive.read_bytes() + gzip.compress(bytes(20_000_000)))
    refuse(archive, folder, "large, more than", limits=Limits(total=10_000_000))


def test_sparse_file_of_holes(tmp_path, folder):
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**15)}
    archive = make_tar(
        tmp_path / "a.tar", tar_member("p1", b"0\n".ljust(512, b"\0"), pax_headers=pax)
    )
    refuse(archive, folder, "large, more than")


HOLES = bytes(200_000) + SCAN + bytes(300_000) + SCAN[::-1]


@pytest.mark.parametrize("options", [["-S"], ["-S", "--format=gnu"], ["-S", "--format=pax"]])
def test_sparse_tar(tmp_path, folder, options):
    if shutil.which("tar") is None:
        pytest.skip("there is no tar here")
    with (tmp_path / "p1").open("wb") as file:
        for start in (200_000, 505_000):
            file.seek(start)
            file.write(HOLES[start : start + len(SCAN)])
    subprocess.run(["tar", "-C", tmp_path, *options, "-cf", tmp_path / "a.tar", "p1"], check=True)
    unpack(tmp_path / "a.tar", folder, digest=None)
    assert files_of(folder) == {"p1": HOLES}


@pytest.mark.parametrize("pieces", ["2\n0\n9\n5\n9\n", "1\n-5\n9\n", "1\n5\n-9\n", "1\n95\n9\n"])
def test_sparse_file_whose_pieces_cannot_be(tmp_path, folder, pieces):
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "100"}
    data = pieces.encode().ljust(512, b"\0") + bytes(18)
    archive = make_tar(tmp_path / "a.tar", tar_member("p1", data, pax_headers=pax))
    refuse(archive, folder, "damaged")


# Endless names


def test_endless_name_in_a_tar(tmp_path, folder):
    """As 994 bytes of `tar.gz` that once took 12 GB: a name of 450,000 folders."""
    for length in (1_500, 900_000):
        long, _ = tar_member("x", type=tarfile.GNUTYPE_LONGNAME, size=length)
        name = b"a/" * (length // 2)
        content = long.tobuf(tarfile.GNU_FORMAT) + name + bytes(-length % 512)
        content += tar_member("x")[0].tobuf() + bytes(1024)
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(content))
        error = refuse(tmp_path / "a.tar.gz", folder, "1500 characters|length of 900000 bytes")
        assert len(error.problem) < 1_000


@pytest.mark.parametrize("depth", [101, 5_000])
def test_too_deep_or_too_long_a_name(tmp_path, folder, depth):
    name = "a/" * depth + "p1"
    for make in (
        lambda: make_zip(tmp_path / "a.zip", (name, b"")),
        lambda: make_tar(tmp_path / "a.tar", tar_member(name), form=tarfile.PAX_FORMAT),
    ):
        archive = make()
        error = refuse(archive, folder, "folders, 100 are possible|has a name of|lists 'a/")
        assert len(error.problem) < 1_000
        with pytest.raises(ArchiveError) if depth > 101 else nullcontext():
            names_in(archive)
        archive.unlink()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_endless_facts_of_a_tar(tmp_path, folder, kind):
    fact = b"70000 comment=".ljust(69_999, b"x") + b"\n"
    header, _ = tar_member("x", type=kind, size=len(fact))
    content = header.tobuf(tarfile.GNU_FORMAT) + fact + bytes(-len(fact) % 512)
    (tmp_path / "a.tar").write_bytes(content + tar_member("x")[0].tobuf() + bytes(1024))
    refuse(tmp_path / "a.tar", folder, "length of 70000 bytes")


def test_many_facts_for_all_members_of_a_tar(tmp_path, folder):
    content = b""
    for number in range(9):
        fact = f"10000 comment{number}=".encode().ljust(9_999, b"x") + b"\n"
        header, _ = tar_member("x", type=tarfile.XGLTYPE, size=len(fact))
        content += header.tobuf(tarfile.GNU_FORMAT) + fact + bytes(-len(fact) % 512)
    (tmp_path / "a.tar").write_bytes(content + tar_member("x")[0].tobuf() + bytes(1024))
    refuse(tmp_path / "a.tar", folder, "hold for all members")


def test_a_zip_that_lists_too_many_is_refused_before_it_is_read(tmp_path, folder, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", *((str(number), b"") for number in range(50)))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    refuse(archive, folder, "lists too many files: 40", limits=Limits(entries=40))


@pytest.mark.parametrize("fact", ["extra", "comment"])
def test_endless_notes_in_a_zip(tmp_path, folder, fact):
    member = zip_member("p1")
    setattr(member, fact, b"\x99\x99\xfc\xff".ljust(65_536 - 4, b"x")[:65_500])
    if fact == "extra":
        member.extra = struct.pack("<HH", 0x9999, 60_000) + bytes(60_000)
    refuse(make_zip(tmp_path / "a.zip", (member, SCAN)), folder, "bytes of names and notes")


def test_names_are_bounded_all_together(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", *((f"{number:0200}", b"") for number in range(50)))
    refuse(archive, folder, "all names take", limits=Limits(names=5_000))


def test_members_that_share_their_bytes(tmp_path, folder):
    archive = make_zip(tmp_path / "a.zip", ("p1", SCAN), ("p2", SCAN))
    content = bytearray(archive.read_bytes())
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    struct.pack_into("<I", content, second + 42, 0)
    archive.write_bytes(content)
    refuse(archive, folder, "in the same bytes")


# Full disks


def test_full_disk_is_seen_before_anything_is_written(tmp_path, folder, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=9_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    archive = make_zip(tmp_path / "ACDC.zip", *TREE.items())
    with pytest.raises(
        ArchiveError, match=r"10\.0 kB or more are needed, 9\.0 kB are free"
    ) as full:
        unpack(archive, folder, digest=None)
    assert "unpacking ACDC.zip" in full.value.problem
    assert_untouched(archive, folder)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_disk_that_fills_up(tmp_path, folder, monkeypatch, code):
    def copy(*_: object):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(shutil, "copyfileobj", copy)
    archive = make_zip(tmp_path / "ACDC.zip", *TREE.items())
    with pytest.raises(ArchiveError, match="No space left in") as full:
        unpack(archive, folder, digest=None)
    assert str(folder.parent) in full.value.problem
    assert "larger disk" in full.value.remedy
    assert_untouched(archive, folder)


def test_other_trouble_with_the_disk_is_not_blamed_on_the_archive(tmp_path, folder, monkeypatch):
    def copy(*_: object):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "copyfileobj", copy)
    archive = make_zip(tmp_path / "ACDC.zip", *TREE.items())
    error = refuse(archive, folder, "Input/output error")
    assert "damaged" not in error.problem


# Whatever an archive holds


names = st.lists(
    st.sampled_from(
        ["a", "A", "b", "..", ".", "", "/", "\\", "C:", "\0", "é", "\udce9", "\n", MARKER]
    ),
    min_size=1,
    max_size=6,
).map("/".join) | st.text(max_size=12)
kinds = st.sampled_from(
    [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
)


def world(base: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder, links not followed, but for the lock."""
    return {
        str(path.relative_to(base)): path.read_bytes() if path.is_file() else None
        for path in base.rglob("*")
        if path.name != ".folder.lock"
    }


def assert_nothing_escapes(archive: Path, base: Path) -> None:
    """Unpack below a fresh folder: what is beside it stays, what is in it is files and folders."""
    place = base / "deep" / "er"
    place.mkdir(parents=True)
    (base / "deep" / "mine").write_bytes(b"mine")
    before = world(base)
    folder = place / "folder"
    try:
        unpack(archive, folder, digest=None)
    except ArchiveError as error:
        assert str(error).isprintable() or "\n" in str(error)
        assert error.remedy
        assert world(base) == before
    else:
        inside = f"deep{os.sep}er{os.sep}folder"
        outside = {path: data for path, data in world(base).items() if not path.startswith(inside)}
        assert outside == before
        for path in folder.rglob("*"):
            assert not path.is_symlink()
            assert path.is_file() or path.is_dir()
    finally:
        shutil.rmtree(base)


@MANY
@given(members=st.lists(st.tuples(names, kinds, names), max_size=5))
@example(members=[("a", tarfile.SYMTYPE, "."), ("a/../b", tarfile.SYMTYPE, "a/../..")])
def test_no_tar_escapes(tmp_path, members):
    archive = tmp_path / "a.tar"
    try:
        make_tar(archive, *(tar_member(n, b"", type=k, linkname=link) for n, k, link in members))
    except (ValueError, UnicodeError):
        return
    assert_nothing_escapes(archive, tmp_path / "base")


@MANY
@given(
    members=st.lists(
        st.tuples(names, st.sampled_from([stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, 0]), names),
        max_size=5,
    )
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_zip_escapes(tmp_path, members):
    archive = tmp_path / "a.zip"
    try:
        make_zip(
            archive,
            *((zip_member(n, mode=k), link.encode("utf-8", "replace")) for n, k, link in members),
        )
    except (ValueError, UnicodeError):
        return
    assert_nothing_escapes(archive, tmp_path / "base")


def sample(tmp_path: Path, kind: str) -> bytes:
    archive = tmp_path / "sample"
    if kind == "zip":
        make_zip(archive, *TREE.items())
    else:
        members = [tar_member(path, data) for path, data in TREE.items()]
        make_tar(archive, *members, symlink("link", "ACDC/empty.txt"), mode=f"w:{kind}")
    return archive.read_bytes()


@MANY
@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2", "xz"])
@given(data=st.data())
def test_no_damage_surprises(tmp_path, kind, data):
    """Flipped bytes give an error with a remedy, or a tree; never another exception."""
    content = bytearray(sample(tmp_path, kind))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    archive = tmp_path / f"a.{'zip' if kind == 'zip' else 'tar'}"
    archive.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    assert_nothing_escapes(archive, tmp_path / "base")


def test_tar_of_another_tool(tmp_path, folder):
    for path, data in TREE.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    archive = tmp_path / "a.tar.gz"
    if shutil.which("tar") is None:
        pytest.skip("there is no tar here")
    subprocess.run(["tar", "-C", tmp_path, "-czf", archive, "./ACDC"], check=True)
    assert files_of(unpack(archive, folder, digest=None)) == TREE
