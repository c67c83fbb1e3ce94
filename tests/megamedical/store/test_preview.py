"""The contact sheet: each task's slices, with an outline that lies where the mask ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import zarr
from PIL import Image
from scipy import ndimage

from megamedical import open_store
from megamedical.errors import MegaMedicalError, StoreError
from megamedical.store.contact_sheet import GAP, TILE
from megamedical.store.preview import _MARGIN, _TITLE, preview, save_preview

NUCLEUS = "wbc/jtsc/microscopy/2d/mid/nucleus"
SIDEWAYS = "msd/hippocampus/mri/sagittal/max/anterior-hippocampus"


@pytest.fixture(scope="module")
def opened(built):
    return open_store(built.store)


def tiles(sheet: Image.Image, count: int) -> list[np.ndarray]:
    """The slices (H, W, 3) of a sheet with one task."""
    pixels = np.asarray(sheet).astype(int)
    top = _MARGIN + _TITLE
    lefts = [_MARGIN + place * (TILE + GAP) for place in range(count)]
    return [pixels[top : top + TILE, left : left + TILE] for left in lefts]


def coloured(pixels: np.ndarray) -> np.ndarray:
    """Where a picture is in colour: slices and writing are grey."""
    return np.ptp(pixels, axis=-1) > 20


def is_border(outline: np.ndarray, mask: np.ndarray) -> bool:
    """Whether an outline (H, W) follows the border of a smaller mask (h, w), to one of its pixels.

    No part of the one may be farther from the other.
    """
    scale = len(outline) // len(mask)
    inside = np.kron(mask > 0.5, np.ones((scale, scale))) > 0
    border = inside & ~ndimage.binary_erosion(inside, border_value=1)
    return bool(
        outline.any()
        and ndimage.distance_transform_edt(~border)[outline].max() <= scale
        and ndimage.distance_transform_edt(~outline)[border].max() <= scale
    )


@pytest.mark.parametrize("task", [NUCLEUS, SIDEWAYS])
def test_outlines_lie_on_the_borders_of_the_masks(built, opened, task):
    """Of five subjects from the smallest to the largest area, against the plain arrays."""
    examples = pd.read_parquet(built.store / "manifests" / "examples.parquet")
    examples = examples[examples["task"] == task].sort_values(["area", "subject"])
    masks = zarr.open_array(built.store / "/".join(task.split("/")[:2]) / "masks", mode="r")
    drawn = tiles(preview(opened, tasks=[task], columns=1), len(examples))
    for pixels, index in zip(drawn, examples["mask"], strict=True):
        mask = masks[index] / 255
        outline = coloured(pixels)
        assert is_border(outline, mask)
        for wrong in (np.roll(mask, 2, axis=1), np.roll(mask, -2, axis=0)):
            assert not is_border(outline, wrong)


def test_slices_are_the_images_of_the_store(opened):
    task = opened.examples[opened.examples["task"] == NUCLEUS]
    smallest = task.sort_values(["area", "subject"])["subject"].iloc[0]
    image, _ = opened.read(NUCLEUS, smallest)
    (pixels, *_) = tiles(preview(opened, tasks=[NUCLEUS], columns=1), 5)
    above_the_writing = slice(0, TILE - 20)
    shown = np.where(coloured(pixels), np.nan, pixels.mean(axis=-1))[above_the_writing] / 255
    wanted = np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BILINEAR))
    difference = np.abs(shown - wanted[above_the_writing])
    assert np.nanmean(difference) < 0.03


def test_a_sheet_is_as_large_as_its_tasks_need(opened):
    strip = (4 * (TILE + GAP) - GAP + _MARGIN, _TITLE + TILE + _MARGIN)
    wide = preview(opened, tasks=["msd/hippocampus"], per_task=4)
    assert wide.size == (2 * strip[0] + _MARGIN, 6 * strip[1] + _MARGIN)
    narrow = preview(opened, tasks=["wbc"], per_task=4, columns=1, most=3)
    assert narrow.size == (strip[0] + _MARGIN, 3 * strip[1] + _MARGIN)


def test_tasks_are_chosen_by_how_they_begin(opened):
    def count(*tasks: str) -> int:
        height = preview(opened, tasks=tasks, per_task=1, columns=1, most=500).height
        return (height - _MARGIN) // (_TITLE + TILE + _MARGIN)

    assert count() == len(opened.tasks)
    assert count("wbc") == 4
    assert count("wbc/") == 4
    assert count("wbc/jtsc", "stare") == 4
    assert count(NUCLEUS) == 1


def test_labels_have_their_colours(opened):
    colours = {}
    for task in opened.tasks.query("dataset == 'acdc'").itertuples():
        sheet = np.asarray(preview(opened, tasks=[task.task], per_task=1, columns=1))
        colours.setdefault(task.label, set()).add(tuple(sheet[_MARGIN + 8, _MARGIN + 5]))
    assert [len(each) for each in colours.values()] == [1, 1, 1]
    assert len(set.union(*colours.values())) == 3


@pytest.mark.parametrize("beginning", ["wbc/jt", "nothing", "bc"])
def test_a_beginning_of_no_task_is_an_error(opened, beginning):
    with pytest.raises(StoreError, match=f"begins with {beginning}"):
        preview(opened, tasks=[beginning])


def test_a_sheet_is_saved_where_it_is_wanted(opened, tmp_path):
    sheet = preview(opened, tasks=["stare"], per_task=2)
    path = tmp_path / "new" / "sheet.png"
    save_preview(sheet, path)
    with Image.open(path) as saved:
        assert saved.size == sheet.size
    with pytest.raises(MegaMedicalError, match="what picture it is to be"):
        save_preview(sheet, tmp_path / "sheet.pig")
    assert not (tmp_path / "sheet.pig").exists()
