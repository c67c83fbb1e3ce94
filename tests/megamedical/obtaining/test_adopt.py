"""`megamedical adopt`: what a user fetched by hand is recognised and put where a build looks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from miniatures import acdc, build_miniatures, contents, pack, stare

from megamedical import catalog
from megamedical.catalogue.datasets import Catalog
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.obtaining import adopt as adopting
from megamedical.obtaining.adopt import Adoption, adopt
from megamedical.obtaining.archive_content import obtain_unpacked
from megamedical.obtaining.sources import obtain

HEARTS = pack("hearts.zip", {"scans/p1.png": b"a scan", "scans/p1_mask.png": b"a mask"})
EYES = pack("eyes.tar", {"left/e1.tif": b"an eye", "left/e1.gif": b"its vessels"})


def dataset(name: str, archives: list[dict], image: str, mask: str, **facts) -> DatasetManifest:
    group = {
        "modality": "mri",
        "dimension": 2,
        "labels": {1: "it"},
        "subjects": 1,
        "image": image,
        "mask": {"decode": "values", "file": mask},
        "subject": "{subject}",
        "patient": "{subject}",
    }
    return DatasetManifest.model_validate(
        {
            "id": name,
            "title": name,
            "home": None,
            "role": "train",
            "access": "registration",
            "how_to_get": f"Register for {name}.",
            "licence": {"name": "CC0"},
            "citation": {"title": name, "authors": "A", "year": 2020},
            "archives": archives,
            "groups": {"all": group},
        }
        | facts
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def cards(**facts) -> dict[str, DatasetManifest]:
    """Two datasets of one archive each, and two that are packed by users in the same layout."""
    brain = ("{subject}/mri/orig.mgz", "{subject}/mri/aseg.mgz")
    hearts = {"name": "hearts.zip", **facts}
    return {
        "hearts": dataset(
            "hearts",
            [hearts, {"name": "more hearts.zip", "urls": ["https://h"]}],
            "scans/{subject:p[0-9]}.png",
            "scans/{subject}_mask.png",
        ),
        "eyes": dataset(
            "eyes",
            [{"name": "eyes.tar"}],
            "{side:left|right}/{subject}.tif",
            "{side}/{subject}.gif",
        ),
        "old": dataset("old", [{"name": "old.tar"}], *brain),
        "young": dataset("young", [{"name": "young.tar"}], *brain),
    }


@pytest.fixture
def raw(tmp_path) -> Path:
    return tmp_path / "raw"


@pytest.fixture
def downloads(tmp_path) -> Path:
    (tmp_path / "Downloads").mkdir()
    return tmp_path / "Downloads"


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(raw: Path, *paths: Path, manifests=None, **options) -> Adoption:
    return adopt(paths, raw=raw, manifests=Catalog(manifests or cards()), **options)


def refusal(raw: Path, *paths: Path, **options) -> adopting.NotAdopted:
    """The one reason why nothing is taken."""
    adoption = run(raw, *paths, **options)
    assert not adoption.adopted
    (refused,) = adoption.refused
    assert refused.remedy
    return refused


# What is recognised


def test_by_checksum_whatever_it_is_called(raw, downloads):
    file = write(downloads, "download", HEARTS)
    for digest in (
        {"sha256": sha256(HEARTS)},
        {"md5": hashlib.md5(HEARTS, usedforsecurity=False).hexdigest()},
    ):
        (found,) = run(raw, file, manifests=cards(**digest)).adopted
        assert (found.dataset, found.archive, found.how) == ("hearts", "hearts.zip", "checksum")
        assert found.place == raw / "hearts" / "archives" / "hearts.zip"
        assert found.place.read_bytes() == HEARTS


@pytest.mark.parametrize("is_wrapped", [True, False])
@pytest.mark.parametrize("name", ["DentalPanoramicXrays.zip", "hxt48yk462-1.zip", "download.zip"])
@pytest.mark.parametrize("version", ["hxt48yk462-1.zip", "DentalPanoramicXrays.zip"])
def test_versions_of_one_name_are_told_apart(raw, downloads, version, name, is_wrapped):
    """PanDental's two are DentalPanoramicXrays.zip both, in a zip that Mendeley makes."""
    if version == "DentalPanoramicXrays.zip" and name == "hxt48yk462-1.zip":
        return  # says that it is the first version, and has its pictures
    folders = ["Images"]
    if version == "DentalPanoramicXrays.zip":
        folders += ["Segmentation1", "Segmentation2"]
    members = {f"{folder}/{n}.png": b"pixels" for folder in folders for n in range(1, 9)}
    content = pack("DentalPanoramicXrays.zip", members)
    if is_wrapped:
        content = pack("outer.zip", {"DentalPanoramicXrays.zip": content})
    adoption = run(raw, write(downloads, name, content), manifests=dict(catalog()))
    (found,) = adoption.adopted
    assert (found.dataset, found.archive) == ("pandental", version)


@pytest.mark.parametrize(
    "name",
    [
        "hearts.zip",
        "HEARTS.ZIP",
        "hearts (1).zip",
        "hearts(12).zip",
        "hearts - Copy.zip",
        "hearts-20240102T030405Z-001.zip",
        "hearts.tar.gz",
    ],
)
def test_by_name_as_browsers_change_it(raw, downloads, name):
    (found,) = run(raw, write(downloads, name, HEARTS)).adopted
    assert (found.archive, found.how) == ("hearts.zip", "name")


@pytest.mark.parametrize("name", ["more_hearts.zip", "more%20hearts.zip", "More+Hearts (2).zip"])
def test_spaces_are_spelt_in_many_ways(raw, downloads, name):
    (found,) = run(raw, write(downloads, name, HEARTS)).adopted
    assert found.place.name == "more hearts.zip"


def test_by_the_names_of_the_files_in_it(raw, downloads):
    for packed in ("a.tar", "a.zip"):
        content = pack(packed, {"left/e1.tif": b"an eye", "left/e1.gif": b"its vessels"})
        (found,) = run(raw, write(downloads, packed, content)).adopted
        assert (found.dataset, found.archive, found.how) == ("eyes", "eyes.tar", "content")
        found.place.unlink()


def test_every_miniature_is_known_by_its_content(raw, mirror, tmp_path):
    """Real names of real datasets; but three archives of STARE hold files of one kind."""
    known = []
    for archive in sorted(mirror.glob("*/*")):
        nameless = tmp_path / archive.parent.name / "nameless"
        nameless.parent.mkdir(exist_ok=True)
        shutil.copyfile(archive, nameless)
        known += run(raw, nameless, manifests=catalog(), checksum=False).adopted
    assert len(known) == 5
    assert all(found.dataset == found.file.parent.name for found in known)


def test_parts_of_a_split_zip_go_with_it(raw, downloads):
    (found,) = run(raw, write(downloads, "Hearts (1).z01", b"the first part")).adopted
    assert found.place.name == "hearts.z01"


def test_folder_is_searched_and_what_is_strange_left_alone(raw, downloads):
    write(downloads, "hearts (1).zip", HEARTS)
    write(downloads, "2024/eyes.tar", EYES)
    write(downloads, "taxes.zip", pack("taxes.zip", {"2019.pdf": b"money"}))
    write(downloads, "cat.jpg", b"a cat")
    write(downloads, ".hidden/hearts.zip", HEARTS)
    adoption = run(raw, downloads)
    assert sorted(found.dataset for found in adoption.adopted) == ["eyes", "hearts"]
    assert [path.name for path in adoption.unknown] == ["taxes.zip"]
    assert not adoption.refused


# What is not taken


def test_name_alone_does_not_make_an_archive(raw, downloads):
    file = write(downloads, "hearts.zip", pack("hearts.zip", {"love.mp3": b"a song"}))
    assert "none of the 1 files in it" in refusal(raw, file).reason


def test_datasets_of_one_layout_are_told_apart_by_the_user(raw, downloads):
    brains = {"s1/mri/orig.mgz": b"", "s1/mri/aseg.mgz": b""}
    file = write(downloads, "brains.tar", pack("brains.tar", brains))
    refused = refusal(raw, file)
    assert "old.tar of old or young.tar of young" in refused.reason
    assert "--dataset" in refused.remedy
    (found,) = run(raw, file, only=["young"]).adopted
    assert found.dataset == "young"


def test_archives_of_one_dataset_are_told_apart_by_their_name(raw, downloads):
    refused = refusal(raw, write(downloads, "a.zip", HEARTS))
    assert "Rename it" in refused.remedy


@pytest.mark.parametrize(
    ("facts", "reason"),
    [({"sha256": "0" * 64}, "sha256 is"), ({"size": 7}, f"{len(HEARTS)} bytes long, expected 7")],
)
def test_other_version_is_refused_unless_it_is_trusted(raw, downloads, facts, reason):
    file = write(downloads, "hearts.zip", HEARTS)
    refused = refusal(raw, file, manifests=cards(**facts))
    assert reason in refused.reason
    assert "--no-checksum" in refused.remedy
    assert not raw.exists()
    (found,) = run(raw, file, manifests=cards(**facts), checksum=False).adopted
    assert found.place.read_bytes() == HEARTS


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("hearts.zip.crdownload", HEARTS[:9], "unfinished"),
        ("hearts.zip", HEARTS[:-9], "damaged"),
        ("hearts.zip", b"<!DOCTYPE html><html>Log in", "web page"),
    ],
)
def test_what_is_no_archive_is_said(raw, downloads, name, content, reason):
    assert reason in refusal(raw, write(downloads, name, content)).reason
    assert not raw.exists()


def test_missing_file_is_said(raw, downloads):
    assert "not there" in refusal(raw, downloads / "gone.zip").reason


def test_one_that_is_refused_does_not_stop_the_others(raw, downloads):
    files = [write(downloads, "a", b"?"), write(downloads, "hearts.zip", HEARTS)]
    adoption = run(raw, *files)
    assert [refused.file for refused in adoption.refused] == files[:1]
    assert [found.file for found in adoption.adopted] == files[1:]


def test_folder_of_something_else(raw, downloads):
    write(downloads, "cat.jpg", b"a cat")
    assert "no archive" in refusal(raw, downloads).reason


# Folders in the place of archives


def write_eyes(folder: Path, eye: bytes = b"an eye") -> None:
    write(folder, "left/e1.tif", eye)
    write(folder, "left/e1.gif", b"its vessels")


def read_from(raw: Path, card: DatasetManifest) -> dict[str, bytes]:
    """What a build reads in the place of the archive of a dataset."""
    archive = obtain_unpacked((card, card.archives[0]), raw=raw, mirror=None, offline=True)
    return {name: path.read_bytes() for name, path in archive.files().items()}


@pytest.mark.parametrize("given", ["my eyes", "my eyes/left"])
@pytest.mark.parametrize("copy", [False, True])
def test_unpacked_folder_is_read_as_the_archive_would_be(raw, downloads, given, copy):
    write_eyes(downloads / "my eyes")
    (found,) = run(raw, downloads / given, copy=copy).adopted
    assert (found.dataset, found.archive, found.how) == ("eyes", "eyes.tar", "content")
    files = {"left/e1.tif": b"an eye", "left/e1.gif": b"its vessels"}
    assert read_from(raw, cards()["eyes"]) == files
    write(downloads, "my eyes/left/e1.gif", b"better vessels")
    files["left/e1.gif"] = b"its vessels" if copy else b"better vessels"
    assert read_from(raw, cards()["eyes"]) == files


def test_store_of_a_folder_holds_what_that_of_its_archive_does(downloads, mirror, tmp_path):
    build_miniatures("acdc", store=tmp_path / "packed" / "store", mirror=mirror)
    (members,) = acdc().values()
    for name, content in members.items():
        write(downloads / "ACDC", name, content)
    run(tmp_path / "raw", downloads / "ACDC", manifests=catalog(), checksum=False)
    report = build_miniatures("acdc", store=tmp_path / "store", mirror=None, checksum=False)
    assert not report.missing
    packed, unpacked = (contents(tmp_path / name / "acdc") for name in ("packed/store", "store"))
    assert unpacked == packed
    assert any(name.endswith("c/0/0/0") for name in unpacked)


def test_folders_of_several_archives_are_told_apart_by_their_names(raw, downloads):
    write(downloads, "More Hearts/scans/p1.png", b"a scan")
    (found,) = run(raw, downloads / "More Hearts").adopted
    assert (found.archive, found.how) == ("more hearts.zip", "name")


def test_folder_that_cannot_be_read_does_not_stop_the_others(raw, downloads, monkeypatch):
    def scandir(path: Path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    scan = os.scandir
    write_eyes(downloads / "mine")
    (downloads / "hers" / "locked").mkdir(parents=True)
    monkeypatch.setattr(os, "scandir", scandir)
    adoption = run(raw, downloads / "hers", downloads / "mine")
    assert [found.file.name for found in adoption.adopted] == ["mine"]
    (refused,) = adoption.refused
    assert refused.reason == f"{downloads / 'hers' / 'locked'} cannot be read: Permission denied"


def test_images_alone_are_not_taken_for_a_dataset(raw, downloads):
    write(downloads, "holiday/left/e1.tif", b"a red eye")
    for known in (cards(), {"eyes": cards()["eyes"]}):
        refused = refusal(raw, downloads / "holiday", manifests=known)
        assert "no files that a dataset is read from" in refused.reason


def test_subjects_dir_is_taken_whatever_else_it_holds(raw, downloads):
    """Links to where the subjects are, a link back, and hundreds of files of which two are read."""
    for name in ("orig.mgz", "aseg.mgz", *(f"{n}.stats" for n in range(200))):
        write(downloads, f"disk/s1/mri/{name}", b"")
    folder = downloads / "SUBJECTS_DIR"
    folder.mkdir()
    (folder / "s1").symlink_to(downloads / "disk" / "s1")
    (folder / "again").symlink_to(folder)
    (found,) = run(raw, folder, only=["young"]).adopted
    assert found.place.samefile(folder)
    assert {"s1/mri/orig.mgz", "s1/mri/aseg.mgz"} < read_from(raw, cards()["young"]).keys()
    assert len(read_from(raw, cards()["young"])) == 202


def test_folder_has_no_checksum(raw, downloads):
    write(downloads, "hearts/scans/p1.png", b"a scan")
    folder, known = downloads / "hearts", cards(sha256=sha256(HEARTS))
    refused = refusal(raw, folder, manifests=known)
    assert "checksum" in refused.reason
    assert "--no-checksum" in refused.remedy
    assert not raw.exists()
    assert run(raw, folder, manifests=known, checksum=False).adopted


def test_folder_twice_is_once_and_no_other_takes_its_place(raw, downloads):
    for name in ("mine", "yours"):
        write_eyes(downloads / name, name.encode())
    for copy in (False, True):
        first, second = (run(raw, downloads / "mine", copy=copy).adopted[0] for _ in range(2))
        assert (first.was_there, second.was_there) == (False, True)
        assert "differs" in refusal(raw, downloads / "yours").reason
        shutil.rmtree(raw) if copy else first.place.unlink()


def test_interrupted_copy_of_a_folder_leaves_nothing(raw, downloads, monkeypatch):
    def copytree(_: Path, target: Path):
        Path(target).mkdir()
        raise KeyboardInterrupt

    write_eyes(downloads / "mine")
    monkeypatch.setattr(shutil, "copytree", copytree)
    with pytest.raises(KeyboardInterrupt):
        run(raw, downloads / "mine", copy=True)
    assert not list((raw / "eyes" / "archives").iterdir())


def test_strange_archives_beside_the_files_do_not_hide_them(raw, downloads):
    write_eyes(downloads / "mine")
    write(downloads, "mine/code.zip", pack("code.zip", {"main.py": b""}))
    adoption = run(raw, downloads / "mine")
    assert [found.dataset for found in adoption.adopted] == ["eyes"]
    assert [path.name for path in adoption.unknown] == ["code.zip"]


# Where it goes


def test_links_where_it_can_and_copies_where_it_is_told(raw, downloads):
    file = write(downloads, "hearts.zip", HEARTS)
    (linked,) = run(raw, file).adopted
    assert linked.place.samefile(file)
    linked.place.unlink()
    (copied,) = run(raw, file, copy=True).adopted
    assert not copied.place.samefile(file)
    assert copied.place.read_bytes() == HEARTS


def test_copies_where_it_cannot_link(raw, downloads, monkeypatch):
    def link(*_: object, **__: object):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    (found,) = run(raw, write(downloads, "hearts.zip", HEARTS)).adopted
    assert found.place.read_bytes() == HEARTS


def test_interrupted_copy_leaves_nothing(raw, downloads, monkeypatch):
    def copyfile(_: Path, target: Path):
        Path(target).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    with pytest.raises(KeyboardInterrupt):
        run(raw, write(downloads, "hearts.zip", HEARTS), copy=True)
    assert not list((raw / "hearts" / "archives").iterdir())


def test_twice_is_once(raw, downloads):
    file = write(downloads, "hearts.zip", HEARTS)
    assert not run(raw, file).adopted[0].was_there
    assert run(raw, file).adopted[0].was_there
    again = write(downloads, "hearts (1).zip", HEARTS)
    assert run(raw, again).adopted[0].was_there


def test_nothing_is_ever_overwritten(raw, downloads):
    place = write(raw, "hearts/archives/hearts.zip", b"mine, and precious")
    refused = refusal(raw, write(downloads, "hearts.zip", HEARTS))
    assert "differs" in refused.reason
    assert place.read_bytes() == b"mine, and precious"


def test_a_build_finds_it_and_does_not_hash_it_again(raw, downloads, monkeypatch):
    known = cards(sha256=sha256(HEARTS))
    run(raw, write(downloads, "hearts.zip", HEARTS), manifests=known)
    monkeypatch.setattr("megamedical.obtaining.sources.digest_of", None)
    hearts = known["hearts"]
    found = obtain(hearts, hearts.archives[0], raw=raw, mirror=None, offline=True)
    assert found.sha256 == sha256(HEARTS)


# What is missing


def test_what_is_still_missing_is_said(raw, downloads):
    (hearts,) = run(raw, write(downloads, "hearts.zip", HEARTS)).datasets
    assert (hearts.here, hearts.to_download) == (("hearts.zip",), ("more hearts.zip",))
    (eyes,) = run(raw, write(downloads, "eyes.tar", EYES)).datasets
    assert eyes.state == "ready"


def test_the_command_says_what_it_did(megamedical, raw, downloads):
    (name, content), *_ = ((n, pack(n, m)) for n, m in stare().items())
    file = write(downloads, name, content)
    result = megamedical("adopt", file, "--raw", raw, "--no-checksum")
    assert result.exit_code == 0
    assert f"{name}: stare, recognised by its name" in result.output
    assert "stare: still missing" in result.output
    assert "`megamedical download stare`" in result.output


def test_the_command_fails_where_a_file_is_refused(megamedical, raw, downloads):
    (content,) = (pack(name, members) for name, members in acdc().items())
    result = megamedical("adopt", write(downloads, "ACDC.zip", content), "--raw", raw, "--json")
    assert result.exit_code == 3
    (refused,) = json.loads(result.output)["refused"]
    assert "sha256" in refused["reason"]
