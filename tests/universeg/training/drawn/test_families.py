"""Drawn tasks: in range, the same from the same seed, and such as the support explains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from universeg.training.drawn.batch import with_drawn
from universeg.training.drawn.canvas import Canvas, as_tasks, each
from universeg.training.drawn.families import FAMILIES, FROM_EPISODES, DrawnTasks, draw
from universeg.training.drawn.sheet import task_sheet

CPU = torch.device("cpu")
SIZE = 32


def canvas(*seed: int, size=SIZE):
    return Canvas(size, CPU, seed)


def episodes(tasks, images, seed=0, size=SIZE):
    """Clouds, each with its higher half as the mask."""
    drawn = canvas(seed, size=size).clouds(tasks * images)
    return as_tasks((drawn / 6 + 0.5).clamp(0, 1), drawn > 0, tasks)


def drawn(family, tasks, images, *seed: int, size=SIZE):
    return draw(canvas(*seed, size=size), family, tasks, images, episodes(tasks, images, size=size))


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(
    tasks=st.integers(1, 3),
    images=st.integers(2, 4),
    size=st.sampled_from([16, 48]),
    seed=st.integers(0, 2**40),
)
def test_images_and_masks_are_finite_and_in_range(family, tasks, images, size, seed):
    for planes in drawn(family, tasks, images, seed, size=size):
        assert planes.shape == (tasks, images, size, size)
        assert planes.dtype == torch.float32
        assert planes.isfinite().all()
        assert planes.min() >= 0
        assert planes.max() <= 1 + 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_draws_the_same_and_another_something_else(family):
    first, again, other = (
        torch.stack(drawn(family, 2, 3, *seed)) for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_are_neither_empty_nor_everything(family):
    _, masks = drawn(family, 24, 4, 5)
    areas = (masks > 0.5).float().mean((2, 3))
    is_useful = (areas > 0.001) & (areas < 0.95)
    assert is_useful.float().mean() > 0.75


@pytest.mark.parametrize("family", FAMILIES)
def test_each_image_of_a_task_is_another_one(family):
    images, _ = drawn(family, 2, 3, 0)
    assert not torch.equal(images[:, 0], images[:, 1])
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize(
    ("family", "scatter"), [("places", False), ("tubes", True), ("textures", True)]
)
def test_where_things_are_helps_only_where_it_should(family, scatter):
    """How much masks of a task overlap, beside those of other tasks."""
    _, masks = drawn(family, 16, 2, 3)
    first, second = (masks[:, image].flatten(1) for image in (0, 1))
    own = (first * second).sum(1).mean()
    others = (first * second.roll(1, 0)).sum(1).mean()
    assert (own < 2 * others) == scatter


def test_what_is_repainted_keeps_its_real_mask():
    images, masks = episodes(2, 3)
    found = draw(canvas(0), "repainted", 2, 3, (images, masks))
    assert torch.equal(found[1], masks)
    assert not torch.equal(found[0], images)


def test_textures_have_one_grey_value_for_all_regions():
    images, masks = drawn("textures", 24, 2, 1, size=64)
    inside = (images * masks).sum((2, 3)) / masks.sum((2, 3)).clamp(min=1)
    outside = (images * (1 - masks)).sum((2, 3)) / (1 - masks).sum((2, 3)).clamp(min=1)
    difference = (inside - outside)[masks.sum((2, 3)) > 100]
    assert difference.abs().median() < 0.06


def test_drawn_tasks_stand_behind_those_of_the_store():
    images, masks = episodes(5, 3)
    families = {"cells": 2, "pieces": 2}
    found = with_drawn(images, masks, families, (0, 1))
    assert found[0].shape == (3 + 2 + 2, 3, SIZE, SIZE)
    assert torch.equal(found[0][:3], images[:3])
    assert torch.equal(found[1][:3], masks[:3])
    alone = with_drawn(images[:0], masks[:0], {"cells": 2}, (0, 1))
    assert torch.equal(alone[0], found[0][3:5])
    same = with_drawn(images, masks, {}, (0, 1))
    assert same[0] is images


def test_shares_are_what_is_left_of_the_weights():
    shares = DrawnTasks.model_validate(dict.fromkeys(FAMILIES, 0) | {"tubes": 1, "cells": 3}).shares
    assert shares == {"tubes": 0.25, "cells": 0.75}
    assert set(DrawnTasks().shares) == set(FAMILIES)
    assert sum(DrawnTasks().shares.values()) == pytest.approx(1)
    assert set(FROM_EPISODES) < set(FAMILIES)


def test_what_is_drawn_for_a_task_is_each_images():
    assert each(torch.tensor([1, 2]), 3).tolist() == [1, 1, 1, 2, 2, 2]


def test_the_sheet_has_a_row_for_each_task():
    rows = [("cells", *pair) for pair in zip(*drawn("cells", 2, 3, 0), strict=True)]
    one, two = task_sheet(rows[:1]), task_sheet(rows)
    assert two.dtype == np.uint8
    assert len(two) > 1.5 * len(one)
    assert two.shape[1:] == one.shape[1:]
