"""Files matched to subjects: who is complete, and what is said of everything that is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megamedical.catalogue.group import FileGroup
from megamedical.files.folders import list_files
from megamedical.subjects.matching import Failure, find_subjects

FACTS = {
    "modality": "mri",
    "dimension": 2,
    "labels": {1: "liver"},
    "subjects": 1,
    "image": "{patient}/{frame:[0-9]+}.png",
    "mask": {"decode": "values", "file": "{patient}/{frame}_gt.png"},
    "subject": "{patient}-{frame}",
    "patient": "{patient}",
}
PHASE = {"file": "{patient}/Info.cfg", "keys": ["ED", "ES"], "equals": "{frame}"}


def group(**facts) -> FileGroup:
    return FileGroup.model_validate({**FACTS, **facts})


def tree(*names: str) -> dict[str, Path]:
    """Files that nobody reads, each where its name says."""
    return {name: Path("raw") / name for name in names}


def find(files, **facts):
    return find_subjects("hearts", "all", group(**facts), files)


def told(failures) -> dict[str, str]:
    assert {(f.dataset, f.group, f.stage) for f in failures} <= {("hearts", "all", "match")}
    assert len({f.file for f in failures}) == len(failures), "each file is told of once"
    return {f.file: f.reason for f in failures}


def test_a_subject_is_an_image_with_its_mask():
    (subject,), failures = find(tree("p1/01.png", "p1/01_gt.png", "p1/notes.txt", "README"))
    assert not failures
    assert subject.name == "p1-01"
    assert subject.patient == "p1"
    assert subject.fields == {"patient": "p1", "frame": "01"}
    assert subject.image == "p1/01.png"
    assert subject.files == tree("p1/01.png", "p1/01_gt.png")


def test_a_mask_may_be_a_file_per_label():
    facts = {
        "labels": {1: "liver", 2: "spleen"},
        "mask": {"decode": "files", "files": {"liver": "{patient}/l.png", "spleen": "s/{patient}"}},
        "image": "{patient}/image.png",
        "subject": "{patient}",
    }
    (subject,), failures = find(tree("p1/image.png", "s/p1", "p1/l.png"), **facts)
    assert not failures
    assert list(subject.files) == ["p1/image.png", "p1/l.png", "s/p1"]
    subjects, failures = find(tree("p1/image.png", "p1/l.png"), **facts)
    assert not subjects
    assert told(failures) == {"p1/image.png": "an image without its mask s/p1"}


@given(order=st.permutations(["p2/1", "p10/1", "p1/2", "p1/10"]))
def test_subjects_come_in_the_order_of_their_names(order):
    names = [name for stem in order for name in (f"{stem}.png", f"{stem}_gt.png")]
    subjects, _ = find(tree(*names))
    assert [subject.name for subject in subjects] == ["p1-10", "p1-2", "p10-1", "p2-1"]


def test_an_image_without_its_mask():
    subjects, failures = find(tree("p1/01.png", "p1/02.png", "p1/02_gt.png"))
    assert [subject.name for subject in subjects] == ["p1-02"]
    assert told(failures) == {"p1/01.png": "an image without its mask p1/01_gt.png"}
    assert failures[0].subject == "01.png"


def test_a_mask_without_an_image():
    subjects, failures = find(tree("p1/01_gt.png", "p1/02.png", "p1/02_gt.png"))
    assert [subject.name for subject in subjects] == ["p1-02"]
    assert told(failures) == {"p1/01_gt.png": "a mask without an image"}


def test_two_images_that_would_be_one_subject():
    files = tree("p1/1.png", "p1/1_gt.png", "p1/2.png", "p1/2_gt.png", "p2/1.png", "p2/1_gt.png")
    subjects, failures = find(files, subject="{patient}")
    assert [subject.name for subject in subjects] == ["p2"]
    assert told(failures) == dict.fromkeys(
        ["p1/1.png", "p1/2.png"], "another image has this subject's name"
    )
    assert {failure.subject for failure in failures} == {"p1"}


def test_nothing_matches():
    subjects, failures = find(tree("README", "p1.nii"))
    assert not subjects
    assert failures == [
        Failure("hearts", "all", "", "match", FACTS["image"], "none of 2 files fits the pattern")
    ]


@pytest.mark.parametrize("files", [["p1/1.png", "p1/1_gt.png"], ["p1/1.png"]])
def test_what_is_excluded_is_no_failure_whatever_it_lacks(files):
    exclude = [{"subjects": ["p1-1", "p9-9"], "reason": "the mask is another patient's"}]
    subjects, failures = find(tree(*files, "p2/1.png", "p2/1_gt.png"), exclude=exclude)
    assert [subject.name for subject in subjects] == ["p2-1"]
    assert not failures


def test_an_excluded_twin_leaves_the_other():
    exclude = [{"subjects": ["p1"], "reason": "scanned twice"}]
    files = tree("p1/1.png", "p1/1_gt.png", "p1/2.png", "p1/2_gt.png", "p2/1.png", "p2/1_gt.png")
    subjects, failures = find(files, subject="{patient}", exclude=exclude)
    assert [subject.name for subject in subjects] == ["p2"]
    assert not failures


# Fields that are looked up


def hearts(folder: Path, info: str | None, *frames: str) -> dict[str, Path]:
    """One patient's frames, each with its mask, and an Info.cfg."""
    files = tree(*(f"p1/{frame}{end}.png" for frame in frames for end in ("", "_gt")))
    if info is not None:
        (folder / "Info.cfg").write_text(info)
        files["p1/Info.cfg"] = folder / "Info.cfg"
    return files


@pytest.mark.parametrize(
    "info", ["ED: 1\nES: 12\n", "ES:12\r\nGroup: DCM\r\nED:  01 ", "x\nED:1\nES: 12"]
)
def test_a_field_is_looked_up(tmp_path, info):
    files = hearts(tmp_path, info, "01", "12")
    subjects, failures = find(files, fields={"phase": PHASE}, subject="{patient}-{phase}")
    assert not failures
    assert [(subject.name, subject.image) for subject in subjects] == [
        ("p1-ED", "p1/01.png"),
        ("p1-ES", "p1/12.png"),
    ]
    assert subjects[0].fields == {"patient": "p1", "frame": "01", "phase": "ED"}


def test_a_lookup_may_use_the_one_before(tmp_path):
    (tmp_path / "ED.txt").write_text("basal: p1")
    files = hearts(tmp_path, "ED: 1", "1") | {"ED.txt": tmp_path / "ED.txt"}
    level = {"file": "{phase}.txt", "keys": ["apical", "basal"], "equals": "{patient}"}
    (subject,), failures = find(files, fields={"phase": PHASE, "level": level}, subject="{level}")
    assert not failures
    assert subject.name == "basal"


def test_a_frame_that_is_neither_phase(tmp_path):
    files = hearts(tmp_path, "ED: 1\nES: 12\nNbFrame: 5", "01", "05")
    subjects, failures = find(files, fields={"phase": PHASE}, subject="{patient}-{phase}")
    assert [subject.name for subject in subjects] == ["p1-ED"]
    assert told(failures) == {"p1/Info.cfg": "none of ED, ES is 05"}
    assert failures[0].subject == "05.png"


def test_a_lookup_without_its_file(tmp_path):
    subjects, failures = find(hearts(tmp_path, None, "01"), fields={"phase": PHASE})
    assert not subjects
    assert told(failures) == {"p1/Info.cfg": "this file is missing"}


def test_a_lookup_may_be_in_the_name_of_the_mask(tmp_path):
    (tmp_path / "Info.cfg").write_text("ED: 1")
    files = tree("p1/1.png", "p1/ED.png") | {"p1/Info.cfg": tmp_path / "Info.cfg"}
    mask = {"decode": "values", "file": "{patient}/{phase}.png"}
    (subject,), failures = find(files, fields={"phase": PHASE}, mask=mask)
    assert list(subject.files) == ["p1/1.png", "p1/ED.png"]
    assert not failures


# What was unpacked


def test_files_are_listed_by_their_path_in_each_folder(tmp_path):
    for name in ("a/x/1.png", "a/2.png", "b/x/3.png", "c/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_files([tmp_path / "a", tmp_path / "b"]) == {
        "2.png": tmp_path / "a" / "2.png",
        "x/1.png": tmp_path / "a" / "x" / "1.png",
        "x/3.png": tmp_path / "b" / "x" / "3.png",
    }
    assert list_files([]) == list_files([tmp_path / "nowhere"]) == {}


def test_hidden_files_are_not_listed(tmp_path):
    (tmp_path / "p1").mkdir()
    for name in (".unpacked.json", "p1/._01.png", "p1/.DS_Store", "p1/01.png"):
        (tmp_path / name).touch()
    assert [*list_files([tmp_path])] == ["p1/01.png"]


def test_links_to_folders_are_not_followed(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "1.png").touch()
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside")
    assert list_files([tmp_path / "inside"]) == {}
