"""`megamedical new`: the manifest it writes from a folder fits that folder at once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from miniatures.files import nifti, picture

from megamedical.authoring.check import check, folder_trees
from megamedical.authoring.draft import Answers, draft
from megamedical.authoring.layout import find_layouts
from megamedical.catalogue.manifest_file import read_manifest
from megamedical.commands import authoring

NUMBERS = ("01", "02", "10")
LABELS = np.zeros((12, 16), np.uint8)
LABELS[2:5, 3:9], LABELS[6:9, 2:5] = 1, 2
IMAGE = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)


def content(path: str, values: np.ndarray) -> bytes:
    """An array as a file of the kind that a path says."""
    if path.endswith(".nii.gz"):
        return nifti(np.stack([values] * 3, axis=-1))
    return picture(values, "jpeg" if path.endswith("jpg") else path.rpartition(".")[2])


def write(folder, path: str, values: np.ndarray) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content(path, values))


def proposed(folder, dataset="mine", **answers):
    """The manifest that is drafted from a folder, as a user would read it."""
    target = folder.parent / f"{dataset}.yaml"
    target.write_text(draft(Answers(dataset, **answers), folder).text, encoding="utf-8")
    return read_manifest(target)


# Layout: images, masks, and the image, mask and patient of the manifest
USUAL = {
    "two folders": (
        ["images/{}.png"],
        ["masks/{}.png"],
        ("images/{case:[0-9]+}.png", "masks/{case}.png", "{case}"),
    ),
    "an ending": (
        ["a{}x.png"],
        ["a{}x_mask.png"],
        ("a{case:[0-9]+}x.png", "a{case}x_mask.png", "{case}"),
    ),
    "a folder a case": (
        ["case{}/image.nii.gz"],
        ["case{}/seg.nii.gz"],
        ("case{case:[0-9]+}/image.nii.gz", "case{case}/seg.nii.gz", "{case}"),
    ),
    "nnU-Net": (
        ["imagesTr/liver_{}_0000.nii.gz"],
        ["labelsTr/liver_{}.nii.gz"],
        ("imagesTr/liver_{case:[0-9]+}_0000.nii.gz", "labelsTr/liver_{case}.nii.gz", "{case}"),
    ),
    "decathlon": (
        ["imagesTr/{}.nii.gz"],
        ["labelsTr/{}.nii.gz"],
        ("imagesTr/{case:[0-9]+}.nii.gz", "labelsTr/{case}.nii.gz", "{case}"),
    ),
    "formats": (
        ["Dataset 1/{}.bmp"],
        ["Dataset 1/{}.png"],
        ("Dataset 1/{case:[0-9]+}.bmp", "Dataset 1/{case}.png", "{case}"),
    ),
    "a telling folder around all": (
        ["segmentation_v1/a/{}.bmp"],
        ["segmentation_v1/a/{}.png"],
        ("segmentation_v1/a/{case:[0-9]+}.bmp", "segmentation_v1/a/{case}.png", "{case}"),
    ),
    "frames of a patient": (
        ["patient{0}/patient{0}_frame01.nii.gz", "patient{0}/patient{0}_frame{0}9.nii.gz"],
        ["patient{0}/patient{0}_frame01_gt.nii.gz", "patient{0}/patient{0}_frame{0}9_gt.nii.gz"],
        (
            "patient{patient:[0-9]+}/patient{patient}_frame{frame:[0-9]+}.nii.gz",
            "patient{patient}/patient{patient}_frame{frame}_gt.nii.gz",
            "{patient}",
        ),
    ),
    "very few folders": (
        [f"Dataset {part}/x{{}}{n}.bmp" for part in (1, 2) for n in range(4)],
        [f"Dataset {part}/x{{}}{n}.png" for part in (1, 2) for n in range(4)],
        (
            "Dataset {part:[0-9]+}/x{case:[0-9]+}.bmp",
            "Dataset {part}/x{case}.png",
            "{case}",
        ),
    ),
    "parts": (
        ["train/images/{}.jpg", "val/images/1{}.jpg"],
        ["train/labels/{}.png", "val/labels/1{}.png"],
        ("{part}/images/{case:[0-9]+}.jpg", "{part}/labels/{case}.png", "{case}"),
    ),
}


@pytest.mark.parametrize(("images", "masks", "expected"), USUAL.values(), ids=USUAL)
def test_a_usual_layout_is_proposed_and_fits(tmp_path, images, masks, expected):
    folder = tmp_path / "files"
    for number in NUMBERS:
        for image, mask in zip(images, masks, strict=True):
            write(folder, image.format(number), IMAGE)
            write(folder, mask.format(number), LABELS)
    (folder / "README.txt").write_text("Thank you.")
    manifest = proposed(folder)
    (group,) = manifest.groups.values()
    assert (group.image, group.mask.file, group.patient) == expected
    assert group.dimension == (3 if images[0].endswith(".nii.gz") else 2)
    assert group.mask.decode == "values"
    assert group.labels == {1: "label 1", 2: "label 2"}
    found = check(manifest, folder_trees(folder))
    assert found.is_well
    assert found.groups[0].subjects == len(NUMBERS) * len(images)
    assert [each.what for each in found.unmatched] == ["README.txt"]


def test_names_without_numbers_are_told_from_their_masks(tmp_path):
    folder = tmp_path / "files"
    for name in ("alice", "bob"):
        write(folder, f"{name}.png", IMAGE)
        write(folder, f"{name}_mask.png", LABELS)
    manifest = proposed(folder)
    assert check(manifest, folder_trees(folder)).is_well
    assert manifest.groups["all"].subjects == 2


def test_a_file_for_each_label_gives_its_name(tmp_path):
    folder = tmp_path / "files"
    for number in NUMBERS:
        write(folder, f"s{number}/ct.nii.gz", IMAGE)
        write(folder, f"s{number}/segmentations/liver.nii.gz", (LABELS == 1) * np.uint8(1))
        if number != "10":
            write(folder, f"s{number}/segmentations/left_lung.nii.gz", (LABELS == 2) * np.uint8(1))
    manifest = proposed(folder, modality="ct")
    group = manifest.groups["all"]
    assert group.mask.decode == "files"
    assert group.mask.files == {
        "left lung": "s{case}/segmentations/left_lung.nii.gz",
        "liver": "s{case}/segmentations/liver.nii.gz",
    }
    assert group.mask.may_lack == ("left lung",)
    assert group.intensity.window == (-500, 1000)
    assert check(manifest, folder_trees(folder)).is_well


def test_a_file_for_each_object_makes_one_mask(tmp_path):
    folder = tmp_path / "files"
    for number in NUMBERS:
        write(folder, f"images/{number}.png", IMAGE)
        for value in (1, 2):
            write(folder, f"masks/{number}_{value}.png", (value == LABELS) * np.uint8(255))
    manifest = proposed(folder)
    assert manifest.groups["all"].mask.union == "object"
    found = check(manifest, folder_trees(folder))
    assert found.is_well
    assert found.groups[0].labels[0].pixels == 3 * np.count_nonzero(LABELS)


def test_scans_of_several_kinds_are_groups_of_the_same_patients(tmp_path):
    folder = tmp_path / "files"
    for number in NUMBERS:
        for kind in ("t1", "flair"):
            write(folder, f"B_{number}/B_{number}_{kind}.nii.gz", IMAGE)
        write(folder, f"B_{number}/B_{number}_seg.nii.gz", LABELS)
    manifest = proposed(folder)
    assert list(manifest.groups) == ["flair", "t1"]
    assert manifest.shares_patients
    assert check(manifest, folder_trees(folder)).is_well


@pytest.mark.parametrize(
    ("mask", "decode", "above", "labels"),
    [
        ((LABELS > 0) * np.uint8(255), "threshold", 127, [1]),
        ((LABELS > 0) * np.uint8(1), "values", 0, [1]),
        (LABELS * np.uint8(85), "values", 0, [85, 170]),
        (IMAGE, "threshold", 95, [1]),
        (np.stack([LABELS * np.uint8(90), *[LABELS * 0] * 2], axis=-1), "threshold", 0, [1]),
    ],
    ids=["black and white", "one value", "two values", "shades", "colour"],
)
def test_the_masks_say_how_they_are_decoded(tmp_path, mask, decode, above, labels):
    folder = tmp_path / "files"
    for number in NUMBERS:
        write(folder, f"images/{number}.png", IMAGE)
        write(folder, f"masks/{number}.png", mask)
    manifest = proposed(folder)
    group = manifest.groups["all"]
    assert (group.mask.decode, group.mask.above, list(group.labels)) == (decode, above, labels)
    assert check(manifest, folder_trees(folder)).is_well


@pytest.mark.parametrize(
    "said",
    [
        {"0": "background", "1": "Anterior", "2": "Posterior"},
        {"background": 0, "Anterior": 1, "Posterior": 2},
    ],
    ids=["decathlon", "nnU-Net 2"],
)
def test_dataset_json_names_the_labels_those_of_no_sample_too(tmp_path, said):
    folder = tmp_path / "files"
    for number in NUMBERS:
        write(folder, f"imagesTr/h_{number}.nii.gz", IMAGE)
        write(folder, f"labelsTr/h_{number}.nii.gz", (LABELS == 1) * np.uint8(1))
    (folder / "dataset.json").write_text(json.dumps({"labels": said}))
    (folder / "labelsTr" / "dataset.json").write_text(json.dumps({"labels": {"1": "another"}}))
    assert proposed(folder).groups["all"].labels == {1: "Anterior", 2: "Posterior"}


@pytest.mark.parametrize(
    "said",
    ["", "[]", '{"labels": ["liver"]}', '{"labels": {"whole tumour": [1, 2]}}', "\xff", "{}"],
)
def test_dataset_json_of_another_kind_names_none(tmp_path, said):
    folder = tmp_path / "files"
    for number in NUMBERS:
        write(folder, f"images/{number}.png", IMAGE)
        write(folder, f"masks/{number}.png", LABELS)
    (folder / "dataset.json").write_text(said, encoding="latin-1")
    assert proposed(folder).groups["all"].labels == {1: "label 1", 2: "label 2"}


def test_paths_that_no_pattern_can_hold_are_left_alone():
    assert find_layouts(["images/{a}.png", "masks/{a}.png"]) == []


# The command


def test_answers_become_facts_and_what_is_open_is_marked(megamedical, tmp_path):
    told = megamedical(
        *("new", "my-ct", "--out", tmp_path, "--title", "Livers: a set", "--modality", "ct"),
        *("--home", "https://example.org", "--licence", "CC-BY-4.0", "--doi", "10.1000/182"),
        *("--authors", "Bähr A, Roe B", "--year", 2019, "--archive", "livers.tar"),
        *("--url", "https://example.org/livers.tar"),
    )
    assert told.exit_code == 0
    manifest = read_manifest(tmp_path / "my-ct.yaml")
    assert manifest.title == "Livers: a set"
    assert (manifest.access, manifest.licence.name) == ("open", "CC-BY-4.0")
    assert (manifest.citation.authors, manifest.citation.year) == ("Bähr A, Roe B", 2019)
    assert manifest.citation.doi == "10.1000/182"
    assert manifest.archives[0].urls == ("https://example.org/livers.tar",)
    assert manifest.groups["all"].dimension == 3
    text = (tmp_path / "my-ct.yaml").read_text(encoding="utf-8")
    marked = [line.split(":")[0].strip() for line in text.splitlines() if "# ?" in line]
    assert marked == ["title", "subjects", "image", "1", "patient", "evidence"]


def test_nothing_is_overwritten(megamedical, tmp_path):
    (tmp_path / "mine.yaml").write_text("mine: own\n")
    told = megamedical("new", "mine", "--out", tmp_path)
    assert told.exit_code == 1
    assert "is there already" in told.stderr
    assert (tmp_path / "mine.yaml").read_text() == "mine: own\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Mine",), "id: "),
        (("../mine",), "id: "),
        (("mine", "--modality", "camera"), "must begin with one of mri, ct"),
        (("mine", "--doi", "https://doi.org/10.1/2"), "doi: "),
        (("mine", "--files", "nowhere"), "nowhere is not a folder"),
    ],
)
def test_what_no_manifest_can_hold_is_refused(megamedical, tmp_path, arguments, said):
    told = megamedical("new", *arguments, "--out", tmp_path)
    assert told.exit_code == 1
    assert said in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_pairs_gives_an_example_to_mend(megamedical, tmp_path):
    folder = tmp_path / "files"
    write(folder, "a.png", IMAGE)
    told = megamedical("new", "mine", "--files", folder, "--out", tmp_path)
    assert told.exit_code == 3
    assert "could be paired" in told.output
    assert read_manifest(tmp_path / "mine.yaml").groups["all"].image == "images/{case}.png"


def test_on_a_terminal_it_asks(megamedical, tmp_path, monkeypatch):
    answers = {"Title": "Eyes", "Licence (SPDX name)": "CC0-1.0"}
    asked = []

    def prompt(question, **options):
        asked.append(question)
        return answers.get(question, "")

    monkeypatch.setattr(authoring, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(authoring.typer, "prompt", prompt)
    assert megamedical("new", "mine", "--out", tmp_path, "--modality", "fundus").exit_code == 0
    manifest = read_manifest(tmp_path / "mine.yaml")
    assert (manifest.title, manifest.licence.name) == ("Eyes", "CC0-1.0")
    assert manifest.home is None
    assert asked[0] == "Title"
    assert not any("Modality" in question for question in asked)
