"""`megamedical check`: what it finds of a manifest's files, and what it says does not match."""

from __future__ import annotations

import json
from textwrap import dedent

import numpy as np
import pytest
from miniatures.archives import write_mirror
from miniatures.files import nifti, picture

from megamedical.authoring.check import archive_trees, check, condensed, folder_trees
from megamedical.catalogue.manifest_file import read_manifest

MANIFEST = """
    id: cells
    title: Cells
    home: null
    role: extra
    access: manual
    how_to_get: Ask Anna.
    licence: {name: CC0-1.0}
    citation: {title: Cells, authors: Roe A, year: 2020}
    archives: [{name: cells.zip}]
    groups:
      all:
        modality: microscopy
        dimension: 2
        subjects: 4
        image: "images/{patient}-{cell}.png"
        mask: {decode: values, file: "masks/{patient}-{cell}.png"}
        labels: {1: cytoplasm, 2: nucleus}
        subject: "{patient}-{cell}"
        patient: "{patient}"
"""
VALUES = '{decode: values, file: "masks/{patient}-{cell}.png"}'
LABELS = "{1: cytoplasm, 2: nucleus}"
MASK = np.zeros((10, 12), np.uint8)
MASK[2:7, 2:10], MASK[3:5, 4:7] = 1, 2
NUCLEUS = 6  # pixels
CYTOPLASM = 40 - NUCLEUS
IMAGE = np.arange(120, dtype=np.uint8).reshape(10, 12)
NAMES = ("a-1", "a-2", "b-1", "c-1")
MEMBERS = {
    f"{kind}/{name}.png": picture(pixels, "png")
    for name in NAMES
    for kind, pixels in (("images", IMAGE), ("masks", MASK))
}


@pytest.fixture
def files(tmp_path):
    """A folder with four cells of three patients, which fits the manifest."""
    folder = tmp_path / "files"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for name in NAMES:
        put(folder / f"images/{name}.png", IMAGE)
        put(folder / f"masks/{name}.png", MASK)
    return folder


@pytest.fixture
def manifest(tmp_path):
    """Writes the manifest, with one thing changed, and gives its path."""

    def write(old: str = "", new: str = ""):
        assert old in MANIFEST
        path = tmp_path / "cells.yaml"
        path.write_text(dedent(MANIFEST.replace(old, new, 1)), encoding="utf-8")
        return path

    return write


def put(path, pixels):
    path.write_bytes(picture(pixels, "png"))


def found_in(files, path, **options):
    found = check(read_manifest(path), folder_trees(files), **options)
    (group,) = found.groups
    return found, group


def test_what_fits_is_counted(files, manifest):
    found, group = found_in(files, manifest())
    assert found.is_well
    assert found.files == 8
    assert (group.subjects, group.stated, group.patients, group.sampled) == (4, 4, 3, 4)
    assert str(group.shape) == "10 x 12"
    assert group.kinds == ("uint8",)
    assert [(each.name, each.value, each.pixels, each.masks) for each in group.labels] == [
        ("cytoplasm", 1, 4 * CYTOPLASM, 4),
        ("nucleus", 2, 4 * NUCLEUS, 4),
    ]
    assert group.failures == group.problems == group.remarks == ()
    assert found.unmatched == ()


def test_another_number_of_subjects_is_a_problem(files, manifest):
    found, group = found_in(files, manifest("subjects: 4", "subjects: 5"))
    assert not found.is_well
    assert "4 subjects, the manifest says 5" in group.problems[0]
    assert "write `subjects: 4`" in group.problems[0]


def test_images_and_masks_without_partner_are_counted(files, manifest):
    (files / "masks/a-1.png").unlink()
    (files / "images/b-1.png").unlink()
    (files / "images/c-1.png").unlink()
    found, group = found_in(files, manifest("subjects: 4", "subjects: 1"))
    assert not found.is_well
    assert (group.images_without_mask, group.masks_without_image) == (1, 2)
    assert {failure.file for failure in group.failures} == {
        "images/a-1.png",
        "masks/b-1.png",
        "masks/c-1.png",
    }


def test_a_value_without_a_name_is_a_problem(files, manifest):
    found, group = found_in(files, manifest(LABELS, "{1: cytoplasm}"))
    assert not found.is_well
    assert group.labels[-1].name == ""
    assert group.labels[-1].pixels == 4 * NUCLEUS
    assert "Value 2 has no name in `labels:`" in group.problems[0]


def test_a_stray_value_is_a_remark(files, manifest):
    stray = MASK.copy()
    stray[0, 0] = 77
    put(files / "masks/a-1.png", stray)
    found, group = found_in(files, manifest())
    assert found.is_well
    assert group.remarks == (
        "Value 77 has no name in `labels:`, and is 1 of 161 labelled pixels: stray pixels, which "
        "become background",
    )


def test_too_few_patients_are_a_remark(files, manifest):
    found, group = found_in(files, manifest('patient: "{patient}"', 'patient: "all"'))
    assert found.is_well
    assert group.remarks[0].startswith("Patients: 1, too few to split them")


def test_a_name_whose_value_never_comes_is_a_problem_once_all_is_read(files, manifest):
    path = manifest(LABELS, "{1: cytoplasm, 2: nucleus, 3: nucleolus}")
    found, group = found_in(files, path)
    assert not found.is_well
    assert group.problems == (
        "nucleolus (3) is in none of the 4 masks: mend its value or file, or take it out",
    )
    found, group = found_in(files, path, sample=2)
    assert found.is_well
    assert group.sampled == 2
    assert "nucleolus (3)" in group.remarks[0]
    assert "--sample 0" in group.remarks[0]
    assert found_in(files, path, sample=0)[1].sampled == 4


def test_labels_that_have_no_values_are_counted_by_name(files, manifest):
    change = manifest(VALUES, VALUES.replace("values", "threshold")).read_text(encoding="utf-8")
    path = manifest()
    path.write_text(change.replace(LABELS, "{1: cell}"), encoding="utf-8")
    found, group = found_in(files, path)
    assert found.is_well
    (label,) = group.labels
    assert (label.name, label.value, label.masks) == ("cell", None, 4)
    assert label.pixels == 4 * (CYTOPLASM + NUCLEUS)


def test_what_a_build_would_refuse_is_told_with_its_file(files, manifest):
    put(files / "masks/a-1.png", MASK[:8])
    (files / "images/a-2.png").write_bytes(b"no picture")
    put(files / "masks/b-1.png", MASK * 0)
    found, group = found_in(files, manifest())
    assert not found.is_well
    told = {failure.file: failure.reason for failure in group.failures}
    assert told["masks/a-1.png"] == "the mask is 8x12, the image 10x12"
    assert "nothing that can be read" in told["images/a-2.png"]
    assert "the mask is empty" in told["masks/b-1.png"]


def test_files_left_over_are_condensed():
    paths = [f"case{n}/notes.txt" for n in range(12)]
    paths += [f"case{n}/raw/{k}.dcm" for n in range(3) for k in range(9)]
    paths += ["README", "a/scan.nii.gz"]
    assert [(each.what, each.files) for each in condensed(paths)] == [
        ("case*/raw/*.dcm", 27),
        ("case*/*.txt", 12),
        ("README", 1),
        ("a/scan.nii.gz", 1),
    ]


def test_volumes_are_told_with_their_spacing(tmp_path, manifest):
    folder = tmp_path / "files"
    folder.mkdir()
    for name, thickness in (("a-1", 2.5), ("a-2", 3.0)):
        stack = np.stack([MASK.T] * 4, axis=-1)
        (folder / f"{name}.nii.gz").write_bytes(nifti(stack * 9, (1, 1, thickness)))
        (folder / f"{name}_seg.nii.gz").write_bytes(nifti(stack, (1, 1, thickness)))
    text = manifest().read_text(encoding="utf-8")
    for old, new in (
        ("subjects: 4", "subjects: 2"),
        ("dimension: 2", "dimension: 3\n    planes: [axial]"),
        ("images/{patient}-{cell}.png", "{patient}-{cell:[0-9]+}.nii.gz"),
        ("masks/{patient}-{cell}.png", "{patient}-{cell}_seg.nii.gz"),
    ):
        text = text.replace(old, new)
    path = manifest()
    path.write_text(text, encoding="utf-8")
    found, group = found_in(folder, path)
    assert found.is_well
    assert str(group.shape) == "4 x 10 x 12"
    assert str(group.spacing) == "2.5–3 x 1 x 1"


def test_archives_are_matched_where_they_are(tmp_path, manifest):
    mirror = write_mirror(tmp_path / "mirror", {"cells": {"cells.zip": MEMBERS}})
    dataset = read_manifest(manifest())
    found = check(dataset, archive_trees(dataset, raw=tmp_path / "raw", mirror=mirror))
    assert found.is_well
    assert found.files == 8


def test_groups_whose_archives_are_not_here_are_named(tmp_path, manifest):
    path = manifest("archives: [{name: cells.zip}]", "archives: [{name: a.zip}, {name: b.zip}]")
    text = path.read_text(encoding="utf-8")
    group = text[text.index("  all:") :]
    text = text.replace("  all:", "  all:\n    archives: [a.zip]")
    path.write_text(text + group.replace("  all:", "  more:\n    archives: [b.zip]"))
    mirror = write_mirror(tmp_path / "mirror", {"cells": {"a.zip": MEMBERS}})
    dataset = read_manifest(path)
    found = check(dataset, archive_trees(dataset, raw=tmp_path / "raw", mirror=mirror))
    assert [group.path for group in found.groups] == ["cells/all"]
    assert found.groups[0].problems == ()
    assert not found.is_well
    assert found.missing[0].startswith("cells/more: b.zip of cells is not here")


def test_no_subject_at_all_is_told(files, manifest):
    found, group = found_in(files, manifest("images/{patient}", "pictures/{patient}"))
    assert not found.is_well
    assert "mend the patterns" in group.problems[0]
    assert ("images/*.png", 4) in [(each.what, each.files) for each in found.unmatched]


# The command


def test_without_files_the_manifest_alone_is_checked(megamedical, manifest):
    told = megamedical("check", manifest())
    assert told.exit_code == 0
    assert "1 group, and nothing that cannot be" in told.output
    told = megamedical("check", manifest("role: extra", "role: spare"))
    assert told.exit_code == 1
    assert "role" in told.stderr


def test_the_exit_code_says_whether_all_is_well(megamedical, files, manifest):
    (files / "notes.txt").write_text("")
    told = megamedical("check", manifest(), "--files", files)
    assert told.exit_code == 0
    assert "4 subjects of 3 patients" in told.output
    assert "Left over: 1 of 9 files fit no pattern.\n  notes.txt\n" in told.output
    (files / "masks/a-1.png").unlink()
    told = megamedical("check", manifest(), "--files", files)
    assert told.exit_code == 3
    assert "images without their mask: 1" in told.output
    assert "✗ match: images/a-1.png: an image without its mask masks/a-1.png" in told.output


def test_failures_are_shown_up_to_a_number(megamedical, files, manifest):
    for name in NAMES[1:]:
        (files / f"masks/{name}.png").unlink()
    told = megamedical("check", manifest(), "--files", files, "--failures", 2)
    assert told.output.count("✗ match:") == 2
    assert "… and 1 more" in told.output


def test_open_questions_are_pointed_at(megamedical, manifest):
    told = megamedical("check", manifest("home: null", "home: null  # ? the address of its page"))
    assert "1 line waits for you" in told.output
    assert told.output.rstrip().endswith("(marked with a question mark): 4")


def test_scripts_read_json(megamedical, files, manifest):
    told = megamedical("check", manifest("subjects: 4", "subjects: 9"), "--files", files, "--json")
    assert told.exit_code == 3
    said = json.loads(told.stdout)
    assert said["dataset"] == "cells"
    assert said["groups"][0]["labels"][1] == {
        "name": "nucleus",
        "value": 2,
        "pixels": 4 * NUCLEUS,
        "masks": 4,
    }
    assert said["questions"] == []


def test_missing_files_are_explained(megamedical, manifest, tmp_path, files):
    told = megamedical("check", tmp_path / "nowhere.yaml")
    assert told.exit_code == 1
    assert "nowhere.yaml is not there" in told.stderr
    told = megamedical("check", manifest(), "--files", tmp_path / "nowhere")
    assert told.exit_code == 1
    assert "nowhere is not a folder" in told.stderr
    told = megamedical("check", manifest(), "--mirror", tmp_path, "--raw", tmp_path / "raw")
    assert told.exit_code == 1
    assert "Ask Anna." in told.stderr
    told = megamedical("check", manifest(), "--mirror", tmp_path, "--files", files)
    assert told.exit_code == 1
    assert "Give one or the other." in told.stderr
