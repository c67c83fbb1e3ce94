"""Files that cannot be processed: each is a row and a line, and every other subject is built."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from miniatures import build_miniatures, contents, hippocampus, stare, wbc, write_mirror
from miniatures.files import nifti, picture

TASK = "Task04_Hippocampus"
CELLS = "segmentation_WBC-master/Dataset 1"
CASES = [f"{number:03d}" for number in range(1, 16)]


def voxels(content: bytes):
    return np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(content)).dataobj)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def cropped(content: bytes) -> bytes:
    return nifti(voxels(content)[:-1])


def emptied(content: bytes) -> bytes:
    return nifti(np.zeros_like(voxels(content)))


def with_a_nan(content: bytes) -> bytes:
    scan = voxels(content).copy()
    scan[3, 4, 5] = np.nan
    return nifti(scan)


def picture_with_a_nan(content: bytes) -> bytes:
    pixels = np.random.default_rng(0).random((24, 24), np.float32)
    pixels[3, 4] = np.nan
    return picture(pixels, "tiff")


def constant(content: bytes) -> bytes:
    return nifti(np.full_like(voxels(content), 100))


def with_time(content: bytes) -> bytes:
    scan = voxels(content)
    return nifti(np.stack([scan, scan], axis=-1))


def askew(content: bytes) -> bytes:
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    return nifti(voxels(content), sform=sheared)


def fractional(content: bytes) -> bytes:
    return nifti(voxels(content) / np.float32(2))


def no_picture(content: bytes) -> bytes:
    return b"<html>Not found</html>"


def in_colour(content: bytes) -> bytes:
    return picture(np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8), "png")


@dataclass(frozen=True)
class Defect:
    """What is done to a file, or `None` to take it away, and the row that it must give."""

    archive: str
    path: str
    harm: object
    group: str
    subject: str
    stage: str
    reason: str
    file: str = ""

    @property
    def at_fault(self) -> str:
        return self.file or self.path


def of_case(case, harm, stage, reason, folder="imagesTr"):
    path = f"{TASK}/{folder}/hippocampus_{case}.nii.gz"
    return Defect(f"{TASK}.tar", path, harm, "msd/hippocampus", case, stage, reason)


DEFECTS = {
    "a truncated volume": of_case("001", truncated, "read", ""),
    "a truncated mask": of_case("002", truncated, "read", "", "labelsTr"),
    "a mask of another shape": of_case(
        "003", cropped, "decode", "the mask is 12x18x13, the image 12x18x14", "labelsTr"
    ),
    "an empty mask": of_case("004", emptied, "decode", "the mask is empty", "labelsTr"),
    "a constant image": of_case("006", constant, "standardise", "the image is constant"),
    "a volume with time": of_case("007", with_time, "read", "has 4 dimensions (14x18x12x2)"),
    "a sheared volume": of_case("008", askew, "read", "direction matrix is not orthonormal"),
    "labels that are no numbers of labels": of_case(
        "009", fractional, "decode", "holds 0.5, which is no label value", "labelsTr"
    ),
    "an image without a mask": Defect(
        f"{TASK}.tar",
        f"{TASK}/labelsTr/hippocampus_010.nii.gz",
        None,
        "msd/hippocampus",
        "hippocampus_010.nii.gz",
        "match",
        "an image without its mask",
        f"{TASK}/imagesTr/hippocampus_010.nii.gz",
    ),
    "a mask without an image": Defect(
        f"{TASK}.tar",
        f"{TASK}/imagesTr/hippocampus_011.nii.gz",
        None,
        "msd/hippocampus",
        "hippocampus_011.nii.gz",
        "match",
        "a mask without an image",
        f"{TASK}/labelsTr/hippocampus_011.nii.gz",
    ),
    "a file that is no picture": Defect(
        "segmentation_WBC-master.zip",
        f"{CELLS}/002.bmp",
        no_picture,
        "wbc/jtsc",
        "002",
        "read",
        "a web page",
    ),
    "a truncated picture": Defect(
        "segmentation_WBC-master.zip",
        f"{CELLS}/003.bmp",
        truncated,
        "wbc/jtsc",
        "003",
        "read",
        "truncated",
    ),
    "a picture with a NaN": Defect(
        "segmentation_WBC-master.zip",
        f"{CELLS}/005.bmp",
        picture_with_a_nan,
        "wbc/jtsc",
        "005",
        "standardise",
        "1 voxels are NaN or infinite",
    ),
    "a mask in colour": Defect(
        "segmentation_WBC-master.zip",
        f"{CELLS}/004.png",
        in_colour,
        "wbc/jtsc",
        "004",
        "decode",
        "is in colour",
    ),
    "a truncated picture in gzip": Defect(
        "labels-vk.tar", "im0044.vk.ppm.gz", truncated, "stare/vk", "im0044", "read", ""
    ),
}


@dataclass(frozen=True)
class Harmed:
    """A build of archives with every defect, as the command line ran it."""

    folder: Path
    result: Result

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.store / "manifests" / f"{name}.parquet")

    @property
    def lines(self) -> list[str]:
        return [line for line in self.result.output.splitlines() if line.startswith("✗")]


def datasets():
    return {"msd": hippocampus(CASES), "stare": stare(), "wbc": wbc()}


@pytest.fixture(scope="module")
def harmed(tmp_path_factory, megamedical) -> Harmed:
    folder = tmp_path_factory.mktemp("harmed")
    archives = datasets()
    files = {name: members for dataset in archives.values() for name, members in dataset.items()}
    for defect in DEFECTS.values():
        whole = files[defect.archive].pop(defect.path)
        if defect.harm is not None:
            files[defect.archive][defect.path] = defect.harm(whole)
    write_mirror(folder / "mirror", archives)
    result = megamedical(
        *("build", "msd/hippocampus", "stare", "wbc", "--resolution", 32),
        *("--workers", 0, "--offline"),
        *("--store", folder / "store", "--mirror", folder / "mirror"),
    )
    return Harmed(folder, result)


@pytest.mark.parametrize("name", DEFECTS)
def test_is_one_row_of_the_table(harmed, name):
    defect = DEFECTS[name]
    rows = harmed.table("failures")
    (row,) = rows[
        (rows["dataset"] + "/" + rows["group"] == defect.group)
        & (rows["subject"] == defect.subject)
    ].itertuples()
    assert row.stage == defect.stage
    assert row.file == defect.at_fault
    assert defect.reason in row.reason
    assert row.reason


@pytest.mark.parametrize("name", DEFECTS)
def test_is_one_line_of_the_summary(harmed, name):
    defect = DEFECTS[name]
    beginning = f"✗ {defect.group} {defect.subject}: {defect.stage}: {defect.at_fault}: "
    (line,) = (line for line in harmed.lines if line.startswith(beginning))
    assert defect.reason in line.removeprefix(beginning)
    assert line != beginning


def test_may_be_a_volume_with_a_nan(tmp_path):
    archives = hippocampus(["001", "003"])
    (members,) = archives.values()
    path = f"{TASK}/imagesTr/hippocampus_001.nii.gz"
    members[path] = with_a_nan(members[path])
    write_mirror(tmp_path / "mirror", {"msd": archives})
    report = build_miniatures("msd", store=tmp_path / "store", mirror=tmp_path / "mirror")
    (failure,) = report.failures
    assert (failure.subject, failure.stage, failure.file) == ("001", "standardise", path)
    assert "1 voxels are NaN or infinite" in failure.reason


def test_leaves_the_other_subjects_alone(harmed):
    failed = {(defect.group, defect.subject) for defect in DEFECTS.values()}
    assert len(harmed.table("failures")) == len(harmed.lines) == len(failed)
    built = harmed.table("subjects")
    built["path"] = built["dataset"] + "/" + built["group"]
    assert built.groupby("path")["subject"].apply(list).to_dict() == {
        "msd/hippocampus": ["005", "012", "013", "014", "015"],
        "stare/ah": ["im0001", "im0002", "im0044", "im0082"],
        "stare/vk": ["im0001", "im0002", "im0082"],
        "wbc/cv": ["001", "002", "003", "004"],
        "wbc/jtsc": ["001"],
    }


def test_gives_the_exit_code_of_an_incomplete_build(harmed):
    assert harmed.result.exit_code == 3


def test_says_no_path_of_this_machine(harmed):
    assert str(harmed.folder) not in " ".join(harmed.lines)


def test_stays_listed_while_it_is_bad_and_clears_when_it_is_mended(harmed, tmp_path):
    store, mirror = shutil.copytree(harmed.folder, tmp_path / "copy") / "store", tmp_path / "mended"
    write_mirror(mirror, datasets())
    names = ("msd", "stare", "wbc")
    raw = tmp_path / "copy" / "raw"

    again = build_miniatures(*names, store=store, raw=raw, mirror=harmed.folder / "mirror")
    assert len(again.failures) == len(DEFECTS)
    assert contents(store) == contents(harmed.store)

    assert build_miniatures(*names, store=store, raw=raw, mirror=mirror).is_complete
    build_miniatures(*names, store=tmp_path / "new", raw=tmp_path / "anew", mirror=mirror)
    assert contents(store) == contents(tmp_path / "new")


def test_may_be_every_subject_of_a_group(tmp_path):
    """A group without a good subject has its failures in the table once, however often built."""
    archives = wbc()
    (members,) = archives.values()
    whole = dict(members)
    for cell in range(1, 6):
        members[f"{CELLS}/{cell:03d}.bmp"] = b"no picture"
    write_mirror(tmp_path / "mirror", {"wbc": archives})
    for _ in range(2):
        report = build_miniatures("wbc", store=tmp_path / "store", mirror=tmp_path / "mirror")
        assert len(report.failures) == 5
        assert len(pd.read_parquet(tmp_path / "store" / "manifests" / "failures.parquet")) == 5

    write_mirror(tmp_path / "mirror", {"wbc": {"segmentation_WBC-master.zip": whole}})
    build_miniatures("wbc", store=tmp_path / "store", mirror=tmp_path / "mirror")
    assert pd.read_parquet(tmp_path / "store" / "manifests" / "failures.parquet").empty


def test_takes_a_group_out_of_the_store_that_was_good_before(tmp_path):
    """What is left is the store as it would be had the group never been good."""
    archives, mirror = wbc(), tmp_path / "mirror"
    write_mirror(mirror, {"wbc": archives})
    build_miniatures("wbc", store=tmp_path / "store", mirror=mirror)
    (members,) = archives.values()
    for cell in range(1, 6):
        members[f"{CELLS}/{cell:03d}.bmp"] = b"no picture"
    write_mirror(mirror, {"wbc": archives})
    for name in ("store", "new"):
        build_miniatures("wbc", store=tmp_path / name, mirror=mirror)
    assert contents(tmp_path / "store") == contents(tmp_path / "new")


def test_with_brackets_in_its_name_is_said_as_it_is(tmp_path, megamedical):
    """Rich would take `[bold]` for a tag of its own, and stumble over `[/red]`."""
    (members,) = wbc().values()
    root = "segmentation_WBC-[bold]"
    renamed = {path.replace("segmentation_WBC-master", root): c for path, c in members.items()}
    renamed[f"{root}/Dataset 1/001.bmp"] = b"no picture"
    write_mirror(tmp_path / "mirror", {"wbc": {"segmentation_WBC-master.zip": renamed}})
    store = tmp_path / "[" / "red]" / "store"
    result = megamedical(
        *("build", "wbc", "--resolution", 32, "--workers", 0, "--offline"),
        *("--store", store, "--mirror", tmp_path / "mirror"),
    )
    assert result.exit_code == 3
    assert f"wbc/jtsc 001: read: {root}/Dataset 1/001.bmp: is " in result.output
    assert f"Store: {store}  fingerprint" in result.output
