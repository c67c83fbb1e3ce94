"""Files matched to subjects: who is complete, and what is said of everything that is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from megamedical.catalogue.group import FileGroup
from megamedical.files.folders import list_files
from megamedical.subjects.matching import find_subjects
from megamedical.subjects.subject import Failure

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


# Slices

STACK = {
    "dimension": 3,
    "planes": ["axial"],
    "image": "{patient}/i{slice:[0-9]+}.png",
    "mask": {"decode": "values", "file": "{patient}/m{slice}.png"},
    "slices": "slice",
    "subject": "{patient}",
}
IN_ORDER = {"decode": "values", "file": "{patient}/m{truth}.png", "union": "truth"}


def stack(images, masks) -> dict[str, Path]:
    return tree(*(f"p/i{n}.png" for n in images), *(f"p/m{n}.png" for n in masks))


def pairs(subject) -> list[tuple[str, list[str]]]:
    """The number of each slice, and those of its masks."""
    ((_, masks),) = subject.masks.items()
    assert len(masks) == len(subject.images)
    return [
        (image[3:-4], [mask[3:-4] for mask in of_slice])
        for image, of_slice in zip(subject.images, masks, strict=True)
    ]


@given(numbers=st.sets(st.integers(0, 300), min_size=1), data=st.data())
def test_each_mask_belongs_to_the_slice_of_its_number_however_it_is_written(numbers, data):
    padded = [f"{number:0{data.draw(st.integers(1, 4))}}" for number in numbers]
    files = stack(data.draw(st.permutations([*numbers])), data.draw(st.permutations(padded)))
    (subject,), failures = find(files, **STACK)
    assert not failures
    assert [(int(n), [int(m) for m in of]) for n, of in pairs(subject)] == [
        (number, [number]) for number in sorted(numbers)
    ]


@given(images=st.sets(st.integers(0, 9), min_size=1), masks=st.sets(st.integers(0, 9), min_size=1))
def test_slices_are_paired_whole_or_not_at_all(images, masks):
    subjects, failures = find(stack(images, masks), **STACK)
    assert bool(subjects) == (images == masks)
    assert len(failures) == (images != masks)
    for failure in failures:
        for kind, left in (("image", images - masks), ("mask", masks - images)):
            names = [f"{kind[0]}{number}.png" for number in sorted(left)]
            assert all(name in failure.reason for name in names[:3])


def test_what_is_left_over_of_slices_is_named():
    subjects, (failure,) = find(stack([1, 2, 3, 4], [2, 3, 4, 5]), **STACK)
    assert not subjects
    assert (failure.subject, failure.file) == ("i1.png", "p/i1.png")
    assert failure.reason == "an image without its mask: i1.png; a mask without an image: m5.png"


def test_slices_of_one_number_are_refused():
    for files, reason in (
        (stack(["1", "01"], ["1"]), "two slices have one number: i01.png, i1.png"),
        (stack(["1"], ["1", "01"]), "is the mask of one slice with p/m1.png"),
    ):
        subjects, (failure,) = find(files, **STACK)
        assert not subjects
        assert failure.reason == reason


def test_masks_without_the_number_of_a_slice_go_by_their_order_and_are_as_many():
    (subject,), failures = find(stack([7, 8, 10], [0, 1, 2]), **{**STACK, "mask": IN_ORDER})
    assert not failures
    assert pairs(subject) == [("7", ["0"]), ("8", ["1"]), ("10", ["2"])]
    subjects, (failure,) = find(stack([7, 8, 10], [0, 1]), **{**STACK, "mask": IN_ORDER})
    assert not subjects
    assert failure.reason == "has 3 slices, its mask 2"


FREE = {**STACK, "image": "{patient}_{slice}.png", "subject": "{patient}"}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["p_1", "p_2", "p_1_1", "p_1_2"], "numbered in different ways, as p_1.png and p_1_1.png"),
        (["p_-1", "p_0", "p_1"], "numbered in different ways, as p_0.png and p_-1.png"),
        (["p_0.25", "p_0.5"], "whether .25 comes before .5 or behind it"),
    ],
)
def test_slices_that_may_be_counted_in_two_ways_are_refused(names, told):
    facts = {**FREE, "mask": {"decode": "values", "file": "m/{patient}_{slice}.png"}}
    files = tree(*(f"{name}.png" for name in names), *(f"m/{name}.png" for name in names))
    subjects, (failure, *_) = find(files, **facts)
    assert not subjects
    assert told in failure.reason


@pytest.mark.parametrize("names", [["p_08", "p_9", "p_10"], ["p_1.1", "p_1.2"], ["p_a1b", "p_a2b"]])
def test_slices_of_one_way_of_counting_are_in_their_order(names):
    facts = {**FREE, "mask": {"decode": "values", "file": "m/{patient}_{slice}.png"}}
    files = tree(*(f"{name}.png" for name in names), *(f"m/{name}.png" for name in names))
    (subject,), failures = find(files, **facts)
    assert not failures
    assert subject.images == [f"{name}.png" for name in names]


OBJECTS = {
    "image": "i/{patient}.png",
    "mask": {"decode": "values", "file": "m/{patient}_{object}.png", "union": "object"},
    "subject": "{patient}",
}


def test_the_mask_of_one_image_or_of_another_is_of_neither():
    """`a_1_2` is the second object of `a_1`, or one of `a`."""
    files = tree("i/a.png", "i/a_1.png", "i/b.png", "m/a_1.png", "m/a_1_2.png", "m/b_1.png")
    subjects, failures = find(files, **OBJECTS)
    assert [subject.name for subject in subjects] == ["b"]
    assert [failure.subject for failure in failures] == ["a.png", "a_1.png"]
    assert all("is the mask of one image or of another" in failure.reason for failure in failures)
    told_apart = {**OBJECTS["mask"], "file": "m/{patient}_{object:[0-9]+}.png"}
    subjects, failures = find(files, **{**OBJECTS, "mask": told_apart})
    assert not failures
    assert {s.name: [*s.all_masks()] for s in subjects} == {
        "a": ["m/a_1.png"], "a_1": ["m/a_1_2.png"], "b": ["m/b_1.png"]
    }  # fmt: skip


def test_a_mask_is_of_the_image_that_is_there():
    (subject,), failures = find(tree("i/a_1.png", "m/a_1_1.png", "m/a_1_2.png"), **OBJECTS)
    assert not failures
    assert [*subject.all_masks()] == ["m/a_1_1.png", "m/a_1_2.png"]


def test_several_masks_of_one_slice_belong_to_it():
    mask = {**STACK["mask"], "file": "{patient}/m{slice}_{lesion}.png", "union": "lesion"}
    (subject,), failures = find(stack([1, 2], ["1_a", "2_a", "2_b"]), **{**STACK, "mask": mask})
    assert not failures
    assert pairs(subject) == [("1", ["1_a"]), ("2", ["2_a", "2_b"])]


def test_a_label_that_may_lack_its_file_may_lack_it_in_some_slices():
    mask = {"decode": "files", "files": {"liver": "{patient}/m{slice}.png"}}
    some = {**mask, "may_lack": ["liver"]}
    (subject,), failures = find(stack([1, 2], [2]), **{**STACK, "mask": some})
    assert not failures
    assert pairs(subject) == [("1", []), ("2", ["2"])]
    assert find(stack([1, 2], [2]), **{**STACK, "mask": mask})[1]
    assert find(stack([1, 2], [2, 3]), **{**STACK, "mask": some})[1]


# Frames


@pytest.mark.parametrize(("count", "is_whole"), [(3, True), (2, False), (4, False), (1, False)])
def test_a_mask_has_as_many_frames_as_its_image(tmp_path, count, is_whole):
    files = {"a/i.npy": tmp_path / "i.npy", "a/m.npy": tmp_path / "m.npy"}
    np.save(files["a/i.npy"], np.zeros((3, 4, 4), np.uint8))
    np.save(files["a/m.npy"], np.zeros((count, 4, 4), np.uint8))
    facts = {
        "image": "{patient}/i.npy",
        "mask": {"decode": "values", "file": "{patient}/m.npy"},
        "frames": "frame",
    }
    subjects, failures = find(files, **facts)
    assert len(subjects) == (3 if is_whole else 0)
    assert told(failures) == (
        {} if is_whole else {"a/m.npy": f"shows {count} frames, its image a/i.npy has 3"}
    )


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


def test_a_field_that_is_said_twice_is_refused(tmp_path):
    files = hearts(tmp_path, "ED: 1\nES: 12\nED: 12\n", "01")
    subjects, failures = find(files, fields={"phase": PHASE}, subject="{patient}-{phase}")
    assert not subjects
    assert failures[0].reason == "says ED twice: 1 and 12"


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


CELL = {"file": "info.csv", "row": {"External code": "{patient}"}, "column": "ED"}


def table(tmp_path, text, *frames: str) -> dict[str, Path]:
    (tmp_path / "info.csv").write_text(text, encoding="utf-8")
    return hearts(tmp_path, None, *frames) | {"info.csv": tmp_path / "info.csv"}


def test_a_field_stands_in_a_table_by_the_names_of_its_columns(tmp_path):
    files = table(tmp_path, "\ufeffED,External code\n7,p10\nHF-7,p1\n", "01")
    facts = {"fields": {"study": {**CELL, "digits": 2}}, "subject": "{patient}-{study}"}
    (subject,), failures = find(files, **facts)
    assert not failures
    assert subject.name == "p1-HF-07"


@pytest.mark.parametrize(
    ("text", "file", "reason"),
    [
        ("ED,Code\n0,p1\n", "info.csv", "has no column External code; its columns: ED, Code"),
        ("", "info.csv", "has no column External code; its columns: none"),
        ("ED,External code,ED\n0,p1,1\n", "info.csv", "has two columns ED: which is meant?"),
        ("ED,External code\n0,p2\n", "info.csv", "no row has p1 in External code"),
        ("ED,External code\n0,p1\n1,p1\n", "info.csv", "2 rows have p1 in External code"),
        ("ED,External code\n,p1\n", "info.csv", "says nothing in ED where it has p1 in Externa"),
    ],
)
def test_a_table_that_does_not_say_it(tmp_path, text, file, reason):
    subjects, failures = find(table(tmp_path, text, "01"), fields={"study": CELL})
    assert not subjects
    assert [failure.file for failure in failures] == [file]
    assert failures[0].reason.startswith(reason)


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
