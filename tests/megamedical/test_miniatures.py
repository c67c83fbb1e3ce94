"""Each dataset of the collection, built from a tiny archive in the layout of its distribution."""

from __future__ import annotations

import re

import numpy as np
import pytest
import zarr
from miniatures import ct, extras, hearts, mri, pictures  # noqa: F401
from miniatures.archives import write_mirror
from miniatures.collection import MINIATURES, OTHER_LAYOUTS, Expected, Miniature
from numpy.typing import NDArray

from megamedical import build
from megamedical.catalogue.datasets import catalog, manifest_folder
from megamedical.catalogue.datasets_page import PAGE, page
from megamedical.store.store import Store, open_store
from megamedical.task_id import slug

CATALOGUE = catalog()
RESOLUTION = 32
BUILT_ELSEWHERE = {  # by test_build from miniatures of their own, and by test_mirror as they are
    "acdc",
    "drive",
    "mouse-brain-atlas",
    "stare",
    "synthetic",
    "wbc",
}
SEEN_ALONG = {"axial": 2, "coronal": 1, "sagittal": 0}  # of (X, Y, Z)
LIKE_ANOTHER = {  # with a hundred labels
    "brain-development with masks beside their images",
    "totalsegmentator-2",
}
NEAR = 0.8  # pixels, and half a voxel more, by which grids may be shifted

pytestmark = pytest.mark.filterwarnings("ignore:Object at manifests is not recognized")


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param(layout, marks=[pytest.mark.long] * (layout in LIKE_ANOTHER))
        for layout in MINIATURES | OTHER_LAYOUTS
    ],
)
def test_a_miniature_becomes_what_was_drawn(layout, tmp_path):
    dataset = layout.partition(" ")[0]
    small = (MINIATURES | OTHER_LAYOUTS)[layout]()
    mirror = write_mirror(tmp_path / "mirror", {dataset: small.archives})
    report = build(
        dataset,
        store=tmp_path / "store",
        mirror=mirror,
        resolution=RESOLUTION,
        workers_count=0,
        offline=True,
        manifests=CATALOGUE,
    )
    assert not report.failures
    assert not report.missing
    store = open_store(tmp_path / "store")
    assert set(store.tasks["task"]) == {
        "/".join([dataset, *task.split("/")[:-1], slug(task.rpartition("/")[2])])
        for task in small.tasks
    }
    _expect_patients(store, small)
    _expect_labels(store, small)
    arrays = {
        name: (group["images"][:].astype(np.float32), group["masks"][:] / np.float32(255))
        for name, group in zarr.open_group(tmp_path / "store", mode="r")[dataset].groups()
    }
    for example in store.examples.itertuples():
        _, group, _, plane, slicing, label = example.task.split("/")
        images, masks = arrays[group]
        expected = small.subjects[group][example.subject]
        _expect_shape(expected, plane, slicing, label, images[example.image], masks[example.mask])
        if slicing == "max":
            _expect_place(expected, plane, label, example.slice)


def test_every_dataset_of_the_catalogue_is_built_by_a_test():
    assert set(MINIATURES) | BUILT_ELSEWHERE == set(CATALOGUE)


def test_a_manifest_says_what_it_was_proven_on():
    for name in BUILT_ELSEWHERE - {"synthetic"}:
        assert CATALOGUE[name].proven == "real data"
    for name in MINIATURES:
        assert CATALOGUE[name].proven in ("real data", "miniature")


def test_what_was_never_seen_on_real_files_says_where_they_were_looked_for():
    collection = [each for each in CATALOGUE.values() if each.groups and each.role != "extra"]
    assert [each.id for each in collection if not (each.proven_on or each.looked_for)] == []


def test_every_dataset_says_what_one_person_has_several_of():
    silent = [name for name, each in CATALOGUE.items() if not each.of_one_person]
    assert silent == ["synthetic"]


def test_every_known_error_names_subjects_as_they_are_called():
    """A name that no subject of the group can have would leave out nobody."""
    for dataset in CATALOGUE.values():
        for name in dataset.groups:
            known = dataset.known_wrong(name)
            shapes = {re.sub("[0-9]+", "0", subject) for subject in known}
            if dataset.id != "bbbc038":  # whose names are hashes
                assert len(shapes) <= 1, (dataset.id, shapes)


def test_the_number_of_further_datasets_is_that_of_the_catalogue():
    extra = sum(dataset.role == "extra" for dataset in CATALOGUE.values())
    others = len(CATALOGUE) - extra
    readme = (manifest_folder().parent / "README.md").read_text(encoding="utf-8")
    assert f"the {others} datasets, and {extra} more" in readme


def test_the_page_of_datasets_is_up_to_date():
    written = manifest_folder().parent / PAGE
    renew = "run `python -m megamedical.catalogue.datasets_page`"
    assert written.read_text(encoding="utf-8") == page(CATALOGUE), renew


def _expect_patients(store: Store, small: Miniature) -> None:
    """Just these subjects, and the groups of one dataset agree on where a patient is."""
    found = {(row.group, row.subject): row for row in store.subjects.itertuples()}
    assert set(found) == {(group, name) for group, of in small.subjects.items() for name in of}
    splits: dict[tuple[tuple[str, ...], str], set[str]] = {}
    dataset = CATALOGUE[store.tasks["dataset"].iloc[0]]
    for (group, name), row in found.items():
        patient = small.subjects[group][name].patient
        together = dataset.together_with(group)
        splits.setdefault((together, patient), set()).add(row.split)
    assert all(len(split) == 1 for split in splits.values())
    for group, expected in small.subjects.items():
        patients = {found[group, name].patient for name in expected}
        assert len(patients) == len({each.patient for each in expected.values()})


def _expect_labels(store: Store, small: Miniature) -> None:
    """Every subject has just the labels that were drawn for it."""
    examples = store.examples.merge(store.tasks[["task", "group", "label"]], on="task")
    drawn = {
        (group, subject, slug(expected.drawn.names[value]))
        for group, subjects in small.subjects.items()
        for subject, expected in subjects.items()
        for value in expected.drawn.masks
    }
    found = examples[["group", "subject", "label"]].itertuples(index=False, name=None)
    assert {(group, subject, slug(label)) for group, subject, label in found} == drawn


def _expect_shape(
    expected: Expected, plane: str, slicing: str, label: str, image: NDArray, mask: NDArray
) -> None:
    name = _name(expected, label)
    where = expected.drawn.mask_of(name)
    seen, extent = where, expected.extent
    if plane != "2d":
        axis = SEEN_ALONG[plane]
        around = _middle(where, expected, axis)
        if slicing == "max":
            several = sum(n == name for n in expected.drawn.names.values()) > 1
            if several:
                return  # which slice is the largest depends on the blur
            around = where.any(axis=axis, keepdims=True)
        if (around != around.take([0], axis=axis)).any():
            return  # the slice is near the edge of a box: it may be seen or not
        seen = around.take(0, axis=axis).T  # (Y, X), (Z, X), (Z, Y)
        seen = seen if plane == "axial" else seen[::-1]  # the head is at the top
        extent = tuple(np.delete(expected.extent, axis)[::-1])
    if not seen.any():
        assert slicing == "max" or mask.max() < 0.5
        return
    scale = RESOLUTION / max(expected.extent)
    margins = [(max(expected.extent) - side) / 2 for side in extent]
    steps = [side / n for side, n in zip(extent, seen.shape, strict=True)]
    centre = np.argwhere(seen).mean(axis=0) + 0.5
    wanted = (centre * steps + margins) * scale - 0.5
    drawn = np.argwhere(mask > 0.5)
    assert len(drawn), f"nothing is seen of {label} in {plane} {slicing}"
    near = NEAR + 0.5 * max(steps) * scale
    assert np.abs(drawn.mean(axis=0) - wanted).max() < near, (plane, slicing, label)
    area = seen.sum() * np.prod(steps) * scale**2
    assert 0.5 * area - 1 < len(drawn) < 1.6 * area + 4, (plane, slicing, label)
    inside = image[mask > 0.9].mean()
    if label == "background":
        assert inside < 0.3
    else:  # what is thin is seen together with what lies around it
        assert inside > (0.7 if _is_thick(where) else image.mean() + 0.1), (plane, slicing, label)


def _is_thick(where: NDArray) -> bool:
    return bool((np.ptp(np.argwhere(where), axis=0) > 6).all())


def _expect_place(expected: Expected, plane: str, label: str, index: int) -> None:
    """The slice lies where the label does, counted from the right, the front or the foot."""
    axis = SEEN_ALONG[plane]
    where = expected.drawn.mask_of(_name(expected, label))
    longest, side = max(expected.extent), expected.extent[axis]
    step = side / where.shape[axis]
    others = tuple({0, 1, 2} - {axis})
    drawn = np.flatnonzero(where.any(axis=others)) + 0.5
    places = (drawn * step + (longest - side) / 2) * RESOLUTION / longest - 0.5
    near = NEAR + step * RESOLUTION / longest
    assert places[0] - near < index < places[-1] + near, (plane, label)


def _name(expected: Expected, label: str) -> str:
    (name,) = {name for name in expected.drawn.names.values() if slug(name) == label}
    return name


def _middle(where: NDArray, expected: Expected, axis: int) -> NDArray:
    """What is drawn in the middle slices along one axis."""
    middle = where.shape[axis] // 2
    return where.take(range(middle - 2, middle + 3), axis=axis)
