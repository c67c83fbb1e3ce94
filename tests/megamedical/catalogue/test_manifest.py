"""Manifests: the packaged ones are complete, and a mistake is told with its place and remedy."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import ValidationError

from megamedical.catalogue.datasets import manifest_folder
from megamedical.catalogue.manifest_file import read_manifest
from megamedical.errors import ManifestError
from megamedical.obtaining.clients import CLIENTS
from megamedical.task_id import slug

# Of the web, with a host, or of a client: kaggle:owner/dataset.
SCHEMES = rf"(https?://[^/\s]+/|({'|'.join(CLIENTS)}):)"
PACKAGED = sorted((manifest_folder() / "datasets").iterdir())
CORRECT = """
    id: acdc
    title: Hearts
    home: null
    role: train
    access: open
    licence: {name: CC0-1.0}
    citation: {title: Cardiac, authors: Bernard O, year: 2018}
    archives:
      - {name: a.zip, urls: ["https://example.org/a.zip"]}
      - {name: b.zip}
    groups:
      all:
        archives: [a.zip]
        modality: mri
        dimension: 3
        planes: [axial]
        subjects: 3
        image: "{patient}/{frame:[0-9]{2}}.nii"
        mask: {decode: values, file: "{patient}/{frame}_gt.nii"}
        labels: {1: liver, 2: spleen, 5: liver}
        fields:
          phase: {file: "{patient}.cfg", keys: [ED, ES], equals: "{frame}"}
        subject: "{patient}-{phase}"
        patient: "{patient}"
"""
MASK = '{decode: values, file: "{patient}/{frame}_gt.nii"}'
IMAGE = '"{patient}/{frame:[0-9]{2}}.nii"'
PLANES = "planes: [axial]"


def write(folder: Path, old: str = "", new: str = "") -> Path:
    """The correct manifest, with one thing changed."""
    assert old in CORRECT
    path = folder / "acdc.yaml"
    path.write_text(dedent(CORRECT.replace(old, new, 1)), encoding="utf-8")
    return path


def refusal_of(path: Path) -> str:
    with pytest.raises(ManifestError) as refused:
        read_manifest(path)
    assert str(path) in str(refused.value)
    return str(refused.value)


# The packaged ones


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_packaged_manifest_is_complete(path):
    manifest = read_manifest(path)
    assert manifest.title
    assert manifest.licence.name
    assert manifest.citation.title
    assert manifest.citation.authors
    assert re.match(r"10\.[0-9]{4,}/\S+$", manifest.citation.doi)
    assert manifest.home is None or re.match("https?://", manifest.home)
    for archive in manifest.archives:
        assert all(re.match(rf"{SCHEMES}\S+$", url) for url in archive.urls)
        assert archive.urls or manifest.access != "open", f"{archive.name} cannot be had"
    for group in manifest.groups.values():
        assert group.evidence
    read = {a.name for group in manifest.groups for a in manifest.archives_of(group)}
    assert read == {archive.name for archive in manifest.archives}


def test_no_two_packaged_manifests_have_one_title():
    assert len({read_manifest(path).title for path in PACKAGED}) == len(PACKAGED)


# What a correct manifest says


def test_a_label_may_be_several_values(tmp_path):
    group = read_manifest(write(tmp_path)).groups["all"]
    assert group.label_values == {"liver": (1, 5), "spleen": (2,)}
    assert list(group.label_values) == ["liver", "spleen"]


def test_a_group_is_read_from_its_archives_or_from_all(tmp_path):
    manifest = read_manifest(write(tmp_path))
    assert [archive.name for archive in manifest.archives_of("all")] == ["a.zip"]
    manifest = read_manifest(write(tmp_path, "archives: [a.zip]", ""))
    assert [archive.name for archive in manifest.archives_of("all")] == ["a.zip", "b.zip"]


def test_a_mask_is_one_file_or_one_per_label(tmp_path):
    assert read_manifest(write(tmp_path)).groups["all"].mask.patterns == (
        "{patient}/{frame}_gt.nii",
    )
    files = "{decode: files, files: {liver: '{patient}/l.nii', spleen: '{patient}/s.nii'}}"
    mask = read_manifest(write(tmp_path, MASK, files)).groups["all"].mask
    assert mask.patterns == ("{patient}/l.nii", "{patient}/s.nii")


def test_a_group_may_say_what_another_says_and_something_else(tmp_path):
    other = "groups:\n      all: &all"
    also = "      more:\n        <<: *all\n        subjects: 9\n"
    path = write(tmp_path, "groups:\n      all:", other)
    path.write_text(path.read_text() + dedent(also).replace("\n", "\n  ").join(["  ", ""]).rstrip())
    groups = read_manifest(path).groups
    assert groups["more"] == groups["all"].model_copy(update={"subjects": 9})


def test_later_keys_change_no_fingerprint_unless_they_say_something(tmp_path):
    facts = read_manifest(write(tmp_path)).groups["all"].model_dump(mode="json")
    assert not {"slices", "frames", "told", "array", "channel", "cohort"} & facts.keys()
    assert set(facts["mask"]) == {"decode", "file", "files", "above"}
    facts = read_manifest(write(tmp_path, PLANES, f"{PLANES}\n        cohort: a")).groups["all"]
    assert facts.model_dump(mode="json")["cohort"] == "a"


def test_facts_cannot_be_changed(tmp_path):
    manifest = read_manifest(write(tmp_path))
    with pytest.raises(ValidationError):
        manifest.title = "Lungs"


@pytest.mark.parametrize(
    ("name", "in_task_ids"),
    [
        ("Left ventricle", "left-ventricle"),
        ("left-ventricle", "left-ventricle"),
        ("  T1 (contrast) ", "t1-contrast"),
        ("L5/S1", "l5-s1"),
        ("---", ""),
    ],
)
def test_slug(name, in_task_ids):
    assert slug(name) == in_task_ids


# Mistakes: what was written instead of what, where it is told, and which words are the remedy

MISTAKES = {
    "misspelt key": ("home: null", "homee: null", "homee: no such key", "misspelling"),
    "misspelt key of a group": ("modality:", "modalty:", "groups.all.modalty", "misspelling"),
    "missing key": ("title: Hearts", "", "  title: ", "must be given"),
    "missing key of a group": ("subjects: 3", "", "groups.all.subjects", "must be given"),
    "no licence": ("{name: CC0-1.0}", "{}", "licence.name", "must be given"),
    "licence without its name": ("{name: CC0-1.0}", "CC0", "licence", "`key: value`"),
    "DOI as an address": (
        "year: 2018",
        "year: 2018, doi: 'https://doi.org/10.1109/1'",
        "citation.doi",
        "10",
    ),
    "year in words": ("year: 2018", "year: last", "citation.year", "integer (found 'last')"),
    "unknown role": ("role: train", "role: testing", "  role: ", "'heldout'"),
    "unknown access": ("access: open", "access: free", "  access: ", "'registration'"),
    "gated without steps": ("access: open", "access: kaggle", "whole file", "`how_to_get:`"),
    "generated without generator": (
        "access: open",
        "access: generated",
        "whole file",
        "`generator:` go together",
    ),
    "groups and generator": (
        "home: null",
        "home: null\n    generator: {tasks: 1, subjects: 1, size: 64}",
        "whole file",
        "either `groups:` or a `generator:`",
    ),
    "id in capitals": ("id: acdc", "id: ACDC", "  id: ", "a-z0-9"),
    "group in capitals": ("      all:", "      All:", "groups.All", "a-z0-9"),
    "id and file differ": ("id: acdc", "id: wbc", "says `id: wbc`", "Name the file wbc.yaml"),
    "archive in a folder": ("name: b.zip", "name: sub/b.zip", "archives.1.name", "'sub/b.zip'"),
    "archive above": ("name: b.zip", "name: ..", "archives.1.name", "'..'"),
    "unpacked outside": ("name: b.zip", "name: b.zip, into: ../x", "archives.1.into", "'../x'"),
    "two archives alike": ("name: b.zip", "name: a.zip", "whole file", "give each its own"),
    "short checksum": ("name: b.zip", "name: b.zip, sha256: abc", "archives.1.sha256", "{64}"),
    "no bytes": ("name: b.zip", "name: b.zip, size: 0", "archives.1.size", "greater than 0"),
    "archive not listed": ("[a.zip]", "[c.zip]", "group all needs c.zip", "`archives:`"),
    "unknown modality": ("modality: mri", "modality: mr", "groups.all.modality", "mri, ct, pet"),
    "four dimensions": ("dimension: 3", "dimension: 4", "groups.all.dimension", "2 or 3"),
    "planes of a picture": ("dimension: 3", "dimension: 2", "groups.all", "`dimension: 3`"),
    "volume without planes": (PLANES, "", "groups.all", "axial, coronal, sagittal"),
    "unknown plane": (PLANES, "planes: [transverse]", "groups.all.planes.0", "'sagittal'"),
    "plane twice": (PLANES, "planes: [axial, axial]", "groups.all", "once"),
    "spacing of a picture": (
        "dimension: 3\n        planes: [axial]",
        "dimension: 2\n        grid: isotropic",
        "groups.all",
        "leave `grid:` out",
    ),
    "no spacing": (PLANES, f"{PLANES}\n        spacing: 0", "all.spacing", "greater than 0"),
    "all is too small": (
        PLANES,
        f"{PLANES}\n        minimum_area: 1",
        "groups.all.minimum_area",
        "less than 1",
    ),
    "percentiles reversed": (
        PLANES,
        f"{PLANES}\n        intensity: {{percentiles: [99.5, 0.5]}}",
        "groups.all.intensity",
        "low end 99.5 is not below the high end 0.5",
    ),
    "percentile of 101": (
        PLANES,
        f"{PLANES}\n        intensity: {{percentiles: [1, 101]}}",
        "groups.all.intensity.percentiles.1",
        "100",
    ),
    "window and percentiles": (
        PLANES,
        f"{PLANES}\n        intensity: {{percentiles: [1, 99], window: [0, 9]}}",
        "groups.all.intensity",
        "either `percentiles: [low, high]` or `window: [low, high]`",
    ),
    "no label": ("{1: liver, 2: spleen, 5: liver}", "{}", "groups.all.labels", "{1: liver}"),
    "label without name": ("1: liver", "1: '-'", "groups.all.labels", "label 1 needs a name"),
    "label by name": ("1: liver", "liver: 1", "groups.all.labels.liver", "integer"),
    "background as a label": ("1: liver", "0: liver", "groups.all.labels", "0 is the background"),
    "labels of one slug": ("2: spleen", "2: Liver", "groups.all.labels", "spell them alike"),
    "unknown field in mask": (
        "{frame}_gt.nii",
        "{frme}_gt.nii",
        "groups.all: '{patient}/{frme}_gt.nii' uses {frme}",
        "it has frame, patient, phase",
    ),
    "unknown field in subject": ("{patient}-{phase}", "{case}", "groups.all", "uses {case}"),
    "unknown field in patient": (
        'patient: "{patient}"',
        'patient: "{person}"',
        "groups.all",
        "uses {person}",
    ),
    "lookup of what it finds": (
        '"{patient}.cfg"',
        '"{phase}.cfg"',
        "groups.all",
        "uses {phase}, which",
    ),
    "field in capitals": (IMAGE, '"{Patient}/{frame}.nii"', "groups.all", "small letters"),
    "field left open": (IMAGE, '"{patient}/{frame.nii"', "groups.all", "write {name}"),
    "field of no expression": (
        IMAGE,
        '"{patient}/{frame:[0-9}.nii"',
        "groups.all",
        "no regular expression: unterminated character set",
    ),
    "pattern without quotes": (IMAGE, "{patient}", "groups.all.image", "must be in quotes"),
    "patterns without quotes": (IMAGE, "{patient}/{frame}", "line 19", "in quotes"),
    "key twice": (PLANES, f"{PLANES}\n        {PLANES}", "`planes:` comes twice here", "once"),
    "group twice": ("      all:", "      all: {}\n      all:", "`all:` comes twice here", "once"),
    "unknown decoder": ("decode: values", "decode: value", "all.mask.decode", "'threshold'"),
    "values of many files": (
        MASK,
        "{decode: values, files: {liver: '{patient}', spleen: '{patient}'}}",
        "groups.all.mask",
        "takes `file: pattern`",
    ),
    "files of one file": (
        MASK,
        "{decode: files, file: '{patient}'}",
        "groups.all.mask",
        "takes `files: {label name: pattern}`",
    ),
    "files of other labels": (
        MASK,
        "{decode: files, files: {liver: '{patient}', kidney: '{patient}'}}",
        "groups.all",
        "must name the same labels",
    ),
    "threshold of two labels": (
        "decode: values",
        "decode: threshold",
        "groups.all",
        "gives one label",
    ),
    "drawn of two labels": (
        "decode: values",
        "decode: drawn",
        "groups.all",
        "gives one label",
    ),
    "lacking what is no label": (
        MASK,
        "{decode: files, files: {liver: '{patient}', spleen: '{patient}'}, may_lack: [colon]}",
        "groups.all.mask",
        "`may_lack: [colon]` is none of the labels",
    ),
    "slices by no field": (
        PLANES,
        f"{PLANES}\n        slices: slice",
        "groups.all",
        "must be a field of `image:`",
    ),
    "looked up by a slice": (
        PLANES,
        f"{PLANES}\n        slices: frame",
        "groups.all",
        "uses {frame}",
    ),
    "frames of a volume": (
        PLANES,
        f"{PLANES}\n        frames: picture",
        "groups.all",
        "`frames:` belongs to `dimension: 2`",
    ),
    "told of no frames": (
        PLANES,
        f"{PLANES}\n        told: {{array: ids, pattern: '{{person}}'}}",
        "groups.all",
        "`told:` belongs to `frames:`",
    ),
    "found, and looked for in vain": (
        "home: null",
        "home: null\n    proven: real data\n    proven_on: 1\n    looked_for: everywhere",
        "whole file",
        "`looked_for:` is for what was not found",
    ),
    "a moment of no field": (
        PLANES,
        f"{PLANES}\n        moment: second",
        "groups.all",
        "`moment: second` must be a field",
    ),
    "lines of a volume": (
        MASK,
        "{decode: contours, files: {liver: '{patient}.txt', spleen: '{patient}.txt'}}",
        "groups.all",
        "`decode: contours` draws on pictures",
    ),
    "lines in one file": (
        MASK,
        "{decode: contours, file: '{patient}.txt'}",
        "groups.all.mask",
        "takes `files: {label name: pattern}`",
    ),
    "no row of a table": (
        '{file: "{patient}.cfg", keys: [ED, ES], equals: "{frame}"}',
        '{file: "{patient}.csv", row: {}, column: ED}',
        "fields.phase",
        "at least 1 item",
    ),
    "unknown channel": (MASK, MASK[:-1] + ", channel: all}", "all.mask.channel", "'any'"),
    "a list": (CORRECT, "- acdc", "whole file", "`key: value`"),
    "nothing": (CORRECT, "", "whole file", "`key: value`"),
    "no YAML": ("id: acdc", "id: [acdc", "is not YAML", "line 3"),
}


@pytest.mark.parametrize(("old", "new", "place", "remedy"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place_and_remedy(tmp_path, old, new, place, remedy):
    read_manifest(write(tmp_path))
    path = write(tmp_path, old, new)
    told = refusal_of(path).replace(str(path), "")
    assert place in told
    assert remedy in told


def test_every_mistake_is_told_at_once(tmp_path):
    told = refusal_of(write(tmp_path, "role: train\n    access: open", "role: x\n    access: y"))
    assert "  role: " in told
    assert "  access: " in told


def test_other_encodings_are_no_yaml(tmp_path):
    path = tmp_path / "acdc.yaml"
    path.write_bytes("title: Bähr".encode("latin-1"))
    assert "not YAML" in refusal_of(path)


def test_yaml_cannot_run_code(tmp_path):
    path = write(tmp_path, "title: Hearts", "title: !!python/object/apply:os.getcwd []")
    assert "not YAML" in refusal_of(path)


def test_a_manifest_that_is_not_there_is_told_in_words(tmp_path):
    with pytest.raises(ManifestError, match="There is no manifest at"):
        read_manifest(tmp_path / "gone.yaml")
