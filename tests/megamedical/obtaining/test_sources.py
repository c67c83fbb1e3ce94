"""Where archives come from, in which order, and what is believed about them."""

import hashlib
import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import ArchiveError, Unobtainable
from megamedical.obtaining import sources
from megamedical.obtaining.sources import Obtained, obtain

SCANS = b"PK\x03\x04 scans"
REPACKED = b"PK\x03\x04 the same scans, packed anew"


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"


@pytest.fixture
def mirror(tmp_path):
    return tmp_path / "mirror"


@pytest.fixture
def hashed(monkeypatch):
    """The files that are hashed, in order."""
    files = []

    def digest_of(path, algorithm):
        files.append((path, algorithm))
        return hashlib.new(algorithm, path.read_bytes(), usedforsecurity=False).hexdigest()

    monkeypatch.setattr(sources, "digest_of", digest_of)
    return files


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def dataset(*, access: str = "open", how_to_get: str = "", home: str | None = None):
    return DatasetManifest.model_validate(
        {
            "id": "acdc",
            "title": "Automated Cardiac Diagnosis Challenge",
            "home": home,
            "role": "heldout",
            "access": access,
            "how_to_get": how_to_get,
            "licence": {"name": "CC-BY-NC-SA-4.0"},
            "citation": {"title": "Deep Learning", "authors": "Bernard O", "year": 2018},
            "archives": [{"name": "ACDC.zip"}],
            "groups": {
                "all": {
                    "modality": "mri",
                    "dimension": 2,
                    "labels": {1: "left ventricle"},
                    "subjects": 1,
                    "image": "{patient}.png",
                    "mask": {"decode": "values", "file": "{patient}_gt.png"},
                    "subject": "{patient}",
                    "patient": "{patient}",
                }
            },
        }
    )


def archive(**facts: object) -> Archive:
    return Archive(name="ACDC.zip", **facts)


def put(path, content=SCANS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def list_sums(mirror, content=SCANS, name="acdc/ACDC.zip"):
    put(mirror / "SHA256SUMS", f"{sha256(content)}  {name}\n".encode())


# Where it is looked for


def test_mirror_is_used_in_place_and_first(raw, mirror):
    mirrored = put(mirror / "acdc" / "ACDC.zip")
    put(raw / "acdc" / "archives" / "ACDC.zip", REPACKED)
    found = obtain(dataset(), archive(sha256=sha256(SCANS)), raw=raw, mirror=mirror)
    assert found == Obtained(mirrored, sha256(SCANS))
    assert [path.name for path in mirrored.parent.iterdir()] == ["ACDC.zip"]


def test_raw_folder_comes_next(raw, mirror):
    kept = put(raw / "acdc" / "archives" / "ACDC.zip")
    for where in (mirror, None):
        assert obtain(dataset(), archive(), raw=raw, mirror=where, offline=True).path == kept


def test_network_comes_last_and_fills_the_raw_folder(raw, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    put(tmp_path / "site" / "ACDC.zip")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    told = []
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        wanted = archive(
            urls=(f"http://127.0.0.1:{server.server_address[1]}/ACDC.zip",), sha256=sha256(SCANS)
        )
        found = obtain(
            dataset(), wanted, raw=raw, mirror=mirror, report=lambda *now: told.append(now)
        )
        server.shutdown()
        thread.join()
    assert found == Obtained(raw / "acdc" / "archives" / "ACDC.zip", sha256(SCANS))
    assert found.path.read_bytes() == SCANS
    assert told == [(len(SCANS), len(SCANS))]
    assert obtain(dataset(), wanted, raw=raw, mirror=mirror, offline=True) == found


@pytest.mark.parametrize("digest", [{"sha256": sha256(SCANS)}, {"md5": md5(SCANS)}, {}])
def test_what_was_verified_while_downloading_is_not_hashed_again(raw, hashed, monkeypatch, digest):
    def download(urls, target, *, expected, size, **_):
        assert size == len(SCANS)
        assert (expected.value if expected else None) == next(iter(digest.values()), None)
        put(target)

    monkeypatch.setattr(sources, "fetch", download)
    wanted = archive(urls=("https://host/ACDC.zip",), size=len(SCANS), **digest)
    assert obtain(dataset(), wanted, raw=raw, mirror=None).sha256 == sha256(SCANS)
    assert [algorithm for _, algorithm in hashed] == ([] if "sha256" in digest else ["sha256"])
    obtain(dataset(), wanted, raw=raw, mirror=None)
    assert len(hashed) <= 1


# What is believed


@pytest.mark.parametrize("digest", [{"sha256": sha256(SCANS)}, {"md5": md5(SCANS)}])
@pytest.mark.parametrize("place", ["raw", "mirror"])
def test_wrong_checksum_says_what_was_found_and_who_expects_what(raw, mirror, digest, place):
    path = {"raw": raw / "acdc" / "archives", "mirror": mirror / "acdc"}[place] / "ACDC.zip"
    put(path, REPACKED)
    with pytest.raises(ArchiveError) as wrong:
        obtain(dataset(), archive(**digest), raw=raw, mirror=mirror)
    ((algorithm, expected),) = digest.items()
    found = hashlib.new(algorithm, REPACKED, usedforsecurity=False).hexdigest()
    for word in (str(path), found[:12], expected[:12], "the manifest of acdc"):
        assert word in wrong.value.problem
    assert found[:13] not in wrong.value.problem
    assert "Delete it" in wrong.value.remedy
    assert "--no-checksum" in wrong.value.remedy
    assert path.read_bytes() == REPACKED


def test_sums_of_the_mirror_override_the_manifest(raw, mirror):
    put(mirror / "acdc" / "ACDC.zip", REPACKED)
    list_sums(mirror, REPACKED)
    wanted = archive(sha256=sha256(SCANS), size=len(SCANS))
    assert obtain(dataset(), wanted, raw=raw, mirror=mirror).sha256 == sha256(REPACKED)
    list_sums(mirror, SCANS)
    with pytest.raises(ArchiveError, match=r"according to .*SHA256SUMS"):
        obtain(dataset(), wanted, raw=raw, mirror=mirror)


def test_sums_that_do_not_list_the_file_leave_it_to_the_manifest(raw, mirror):
    put(mirror / "acdc" / "ACDC.zip", REPACKED)
    list_sums(mirror, REPACKED, name="amos/ACDC.zip")
    with pytest.raises(ArchiveError, match="the manifest of acdc"):
        obtain(dataset(), archive(sha256=sha256(SCANS)), raw=raw, mirror=mirror)


def test_file_without_any_checksum_is_taken_and_hashed(raw):
    put(raw / "acdc" / "archives" / "ACDC.zip", REPACKED)
    assert obtain(dataset(), archive(), raw=raw, mirror=None).sha256 == sha256(REPACKED)


def test_check_can_be_skipped_and_the_hash_is_told_all_the_same(raw, mirror):
    put(mirror / "acdc" / "ACDC.zip", REPACKED)
    put(mirror / "SHA256SUMS", b"not a list of sums")
    wanted = archive(sha256=sha256(SCANS), size=len(SCANS))
    found = obtain(dataset(), wanted, raw=raw, mirror=mirror, checksum=False)
    assert found.sha256 == sha256(REPACKED)
    (mirror / "SHA256SUMS").unlink()
    with pytest.raises(ArchiveError):
        obtain(dataset(), wanted, raw=raw, mirror=mirror)


def test_incomplete_copy_is_told_by_its_length(raw, hashed):
    put(raw / "acdc" / "archives" / "ACDC.zip", SCANS[:5])
    with pytest.raises(ArchiveError, match=f"5 bytes long, expected {len(SCANS)}"):
        obtain(dataset(), archive(size=len(SCANS)), raw=raw, mirror=None)
    assert hashed == []


# What is remembered


@pytest.mark.parametrize("digest", [{"sha256": sha256(SCANS)}, {"md5": md5(SCANS)}, {}])
def test_file_is_hashed_once(raw, mirror, hashed, digest):
    put(mirror / "acdc" / "ACDC.zip")
    for _ in range(3):
        obtain(dataset(), archive(**digest), raw=raw, mirror=mirror)
    assert len(hashed) == len({*digest, "sha256"})
    assert (raw / "acdc" / "archives" / ".ACDC.zip.verified.json").is_file()


def test_changed_file_is_hashed_anew(raw, hashed):
    path = put(raw / "acdc" / "archives" / "ACDC.zip")
    wanted = archive(sha256=sha256(SCANS))
    obtain(dataset(), wanted, raw=raw, mirror=None)
    path.write_bytes(SCANS[::-1])
    os.utime(path, ns=(0, 0))
    with pytest.raises(ArchiveError):
        obtain(dataset(), wanted, raw=raw, mirror=None)
    put(path, REPACKED)
    with pytest.raises(ArchiveError):
        obtain(dataset(), wanted, raw=raw, mirror=None)
    assert len(hashed) == 3


def test_hash_of_the_mirrors_file_says_nothing_of_another(raw, mirror, hashed):
    for path, content in ((mirror / "acdc", SCANS), (raw / "acdc" / "archives", SCANS[::-1])):
        os.utime(put(path / "ACDC.zip", content), ns=(0, 0))
    assert obtain(dataset(), archive(), raw=raw, mirror=mirror).sha256 == sha256(SCANS)
    assert obtain(dataset(), archive(), raw=raw, mirror=None).sha256 == sha256(SCANS[::-1])


def test_memory_is_of_the_hash_and_not_of_the_verdict(raw):
    put(raw / "acdc" / "archives" / "ACDC.zip")
    obtain(dataset(), archive(sha256=sha256(SCANS)), raw=raw, mirror=None)
    with pytest.raises(ArchiveError):
        obtain(dataset(), archive(sha256=sha256(REPACKED)), raw=raw, mirror=None)


@pytest.mark.parametrize("record", ["", "[]", "null", "{}", '{"size": 1}', "\x00"])
def test_garbled_memory_is_not_believed(raw, hashed, record):
    path = put(raw / "acdc" / "archives" / "ACDC.zip")
    path.with_name(".ACDC.zip.verified.json").write_text(record)
    assert obtain(dataset(), archive(), raw=raw, mirror=None).sha256 == sha256(SCANS)
    assert len(hashed) == 1


# What cannot be had


def test_gated_dataset_says_how_to_get_it(raw, mirror):
    steps = "Register at https://home, accept the terms, and download ACDC.zip."
    with pytest.raises(Unobtainable, match="access: registration") as missing:
        obtain(dataset(access="registration", how_to_get=steps), archive(), raw=raw, mirror=mirror)
    remedy = missing.value.remedy
    assert remedy.startswith(steps)
    assert f"{raw / 'acdc' / 'archives'}/ or {mirror / 'acdc'}/" in remedy


def test_offline_downloads_nothing(raw, monkeypatch):
    monkeypatch.setattr(sources, "fetch", None)
    wanted = archive(urls=("https://host/ACDC.zip?token=secret",))
    with pytest.raises(Unobtainable, match="offline") as missing:
        obtain(dataset(), wanted, raw=raw, mirror=None, offline=True)
    assert "https://host/ACDC.zip" in missing.value.remedy
    assert "secret" not in str(missing.value)


@pytest.mark.parametrize("home", [None, "https://home"])
def test_open_dataset_without_an_address_names_its_home(raw, home):
    with pytest.raises(Unobtainable, match="no address") as missing:
        obtain(dataset(home=home), archive(), raw=raw, mirror=None)
    assert (home or "Put ACDC.zip into") in missing.value.remedy


def test_failed_download_says_where_to_put_the_file(raw, mirror):
    wanted = archive(urls=("sftp://host/ACDC.zip",))
    with pytest.raises(Unobtainable, match="no such addresses") as missing:
        obtain(dataset(), wanted, raw=raw, mirror=mirror)
    assert f"{mirror / 'acdc'}/" in missing.value.remedy


# A folder in the place of an archive


@pytest.fixture
def folder(raw):
    folder = raw / "acdc" / "archives" / "ACDC.zip"
    put(folder / "p1.png", b"a scan")
    put(folder / "p1_gt.png", b"its mask")
    return folder


def test_folder_is_known_by_the_files_that_are_read_from_it(raw, mirror, folder):
    found = obtain(dataset(), archive(), raw=raw, mirror=mirror)
    assert found.path == folder
    put(folder / "notes.txt")
    copied = shutil.copytree(folder, mirror / "acdc" / "ACDC.zip")
    assert obtain(dataset(), archive(), raw=raw, mirror=mirror) == Obtained(copied, found.sha256)
    put(copied / "p1.png", b"a scar")
    assert obtain(dataset(), archive(), raw=raw, mirror=mirror).sha256 != found.sha256


def test_folder_is_read_again_only_when_it_changes(raw, folder, monkeypatch):
    found = obtain(dataset(), archive(), raw=raw, mirror=None)
    with monkeypatch.context() as patch:
        patch.setattr("megamedical.files.folders.sha256_of", None)
        assert obtain(dataset(), archive(), raw=raw, mirror=None) == found
    os.utime(folder / "p1.png", (1, 1))
    assert obtain(dataset(), archive(), raw=raw, mirror=None) == found
    put(folder / "p2.png", b"a scan")
    assert obtain(dataset(), archive(), raw=raw, mirror=None) != found


def test_folder_is_refused_where_a_checksum_is_asked_for(raw, folder):
    wanted = archive(sha256=sha256(SCANS))
    with pytest.raises(ArchiveError, match="--no-checksum") as refused:
        obtain(dataset(), wanted, raw=raw, mirror=None)
    assert str(folder) in refused.value.problem
    assert obtain(dataset(), wanted, raw=raw, mirror=None, checksum=False).path == folder


def test_folder_of_something_else_is_no_archive(raw, folder):
    (folder / "p1.png").rename(folder / "cat.jpg")
    (folder / "p1_gt.png").unlink()
    with pytest.raises(ArchiveError, match="without any file that acdc is read from"):
        obtain(dataset(), archive(), raw=raw, mirror=None)
