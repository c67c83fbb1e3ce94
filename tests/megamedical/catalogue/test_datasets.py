"""The catalogue: what is in it, what a selection takes, and what is said of a name it lacks."""

from __future__ import annotations

import pytest

from megamedical.catalogue.datasets import Catalog, catalog, manifest_folder, modalities, subjects
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import ManifestError, SelectionError
from megamedical.processing import synthetic

GROUP = """
  {name}:
    modality: {modality}
    dimension: 2
    subjects: 10
    image: "{{patient}}.png"
    mask: {{decode: values, file: "{{patient}}.gif"}}
    labels: {{1: vessel}}
    subject: "{{patient}}"
    patient: "{{patient}}"
"""
DATASET = """
id: {name}
title: {title}
home: null
role: {role}
access: {access}
licence: {{name: CC0-1.0}}
citation: {{title: Eyes, authors: Staal J, year: 2004}}
archives:
  - {{name: a.zip, size: 100}}
  - {{name: b.zip, roughly: 20}}
"""


def write(folder, name, role, *groups: str, title="Eyes", tail=""):
    """A manifest of a dataset with some groups, or of a generated one."""
    folder.mkdir(exist_ok=True)
    text = DATASET.format(
        name=name, role=role, title=title, access="open" if groups else "generated"
    )
    if groups:
        text += "groups:" + "".join(
            GROUP.format(name=group, modality="oct" if group == "oct" else "fundus")
            for group in groups
        )
    else:
        text += "generator: {tasks: 3, subjects: 4, size: 32}\n"
    (folder / f"{name}.yaml").write_text(text + tail)


@pytest.fixture
def small(tmp_path) -> Catalog:
    """A catalogue of four datasets, of which the packaged ones are no part."""
    folder = tmp_path / "small"
    write(folder, "drive", "train", "first", "second")
    write(folder, "stare", "heldout", "vk", "ah", "oct")
    write(folder, "drawn", "train")
    write(folder, "spare", "extra", "all")
    known = catalog(folder)
    return Catalog({name: known[name] for name in ("stare", "spare", "drive", "drawn")})


def chosen(selections):
    return {selection.dataset.id: [*selection.groups] for selection in selections}


# What is in it


def test_every_packaged_manifest_is_in_the_catalogue():
    names = [path.stem for path in (manifest_folder() / "datasets").iterdir()]
    assert [*catalog()] == sorted(names)
    assert all(isinstance(manifest, DatasetManifest) for manifest in catalog().values())
    assert all(manifest.id == name for name, manifest in catalog().items())


def test_a_folder_of_ones_own_adds_and_replaces(tmp_path):
    write(tmp_path, "ours", "train", "all")
    write(tmp_path, "stare", "dev", "all", title="My STARE")
    known = catalog(tmp_path)
    assert known.keys() == catalog().keys() | {"ours"}
    assert list(known) == sorted(known)
    assert known["stare"].title == "My STARE"
    assert known["drive"] == catalog()["drive"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ManifestError, match="nowhere is not a folder"):
        catalog(tmp_path / "nowhere")


def test_a_mistake_in_a_folder_of_ones_own_is_told(tmp_path):
    write(tmp_path, "ours", "train", "all", tail="colour: red\n")
    with pytest.raises(ManifestError, match=r"ours\.yaml(.|\n)*colour: no such key"):
        catalog(tmp_path)


def test_modalities_and_subjects(small):
    assert modalities(small["stare"]) == ["fundus", "oct"]
    assert modalities(small["drawn"]) == ["synthetic"]
    assert {name: subjects(manifest) for name, manifest in small.items()} == {
        "drawn": 12,
        "drive": 20,
        "spare": 10,
        "stare": 30,
    }


def test_table(small):
    table = small.table
    assert list(table.index) == ["drawn", "drive", "spare", "stare"]
    assert table.loc["stare"].to_dict() == {
        "title": "Eyes",
        "modality": "fundus, oct",
        "subjects": 30,
        "bytes": 120,
        "access": "open",
        "licence": "CC0-1.0",
        "role": "heldout",
        "groups": "vk, ah, oct",
    }


# What a selection takes


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["stare"], {"stare": ["vk", "ah", "oct"]}),
        (["stare/"], {"stare": ["vk", "ah", "oct"]}),
        (["stare/ah"], {"stare": ["ah"]}),
        (["stare/oct", "stare/vk"], {"stare": ["vk", "oct"]}),
        (["stare/ah", "stare"], {"stare": ["vk", "ah", "oct"]}),
        (["stare", "stare/ah"], {"stare": ["vk", "ah", "oct"]}),
        (["stare/ah", "stare/ah"], {"stare": ["ah"]}),
        (["stare/ah", "drive/first"], {"drive": ["first"], "stare": ["ah"]}),
        (["spare"], {"spare": ["all"]}),
    ],
)
def test_by_name(small, names, groups):
    assert chosen(small.select(names)) == groups
    assert list(chosen(small.select(names))) == sorted(groups)


def test_by_role(small):
    assert chosen(small.select(role="heldout")) == {"stare": ["vk", "ah", "oct"]}
    assert [*chosen(small.select(role="train", tasks=1))] == ["drawn", "drive"]
    assert [*chosen(small.select(["stare/ah"], role="extra"))] == ["spare", "stare"]
    assert chosen(small.select(["stare/ah"], role="heldout")) == {"stare": ["vk", "ah", "oct"]}


def test_everything_but_what_is_extra(small):
    assert [*chosen(small.select(everything=True))] == ["drawn", "drive", "stare"]
    assert [*chosen(small.select(["spare"], everything=True))] == [*small]


def test_a_selection_holds_the_manifests_facts(small):
    (selection,) = small.select(["stare/ah"])
    assert selection.dataset is small["stare"]
    assert selection.groups["ah"] is small["stare"].groups["ah"]


@pytest.mark.parametrize(
    ("options", "tasks", "subjects"),
    [
        ({}, 3, 4),
        ({"tasks": 2}, 2, 4),
        ({"subjects": 9}, 3, 9),
        ({"tasks": 5, "subjects": 1}, 5, 1),
    ],
)
def test_how_many_tasks_and_subjects_are_drawn(small, options, tasks, subjects):
    drawn, drive = small.select(["drawn", "drive"], **options)
    groups = synthetic.groups(drawn.dataset.generator, drawn.tasks, drawn.subjects)
    assert [*groups] == [f"task-{task:04}" for task in range(tasks)]
    assert {group.subjects for group in groups.values()} == {subjects}
    assert [group.subjects for group in drive.groups.values()] == [10, 10]


# What it lacks


@pytest.mark.parametrize(
    ("name", "problem", "remedy"),
    [
        ("drvie", "drvie is not in the catalogue", "Did you mean drive?"),
        ("DRIVE", "DRIVE is not in the catalogue", "Did you mean drive?"),
        ("mnist", "mnist is not in the catalogue", "There are: drawn, drive, spare, stare."),
        ("", " is not in the catalogue", "There are: drawn, drive, spare, stare."),
        ("drive/frist", "drive/frist is not in the catalogue", "Did you mean drive/first?"),
        ("stare/none", "stare/none is not in the catalogue", "There are: vk, ah, oct."),
        ("drvie/first", "drvie is not in the catalogue", "Did you mean drive?"),
        ("drawn/task-0000", "drawn/task-0000 is not in the catalogue", "Name drawn alone"),
    ],
)
@pytest.mark.parametrize("others", [[], ["drive", "stare"]])
def test_a_name_it_lacks_is_told_with_a_guess(small, name, problem, remedy, others):
    with pytest.raises(SelectionError) as refused:
        small.select([*others, name])
    assert problem in refused.value.problem
    assert remedy in refused.value.remedy


def test_nothing_is_no_selection(small):
    with pytest.raises(SelectionError, match="No dataset was chosen"):
        small.select()
    with pytest.raises(SelectionError, match="No dataset has the role dev") as refused:
        small.select(role="dev")
    assert "train" in refused.value.remedy
