"""Synthetic tasks: what a seed fixes, what subjects share, and what each parameter does."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from megamedical.catalogue.manifest import Generator
from megamedical.processing import synthetic
from megamedical.processing.synthetic import BACKGROUND, draw_subject, draw_task, groups

FLAWLESS = {
    "mean_std": 0.0,
    "noise_std": (0.0, 0.0),
    "blur_std": 0.0,
    "bias_std": 0.0,
}


def dice(one, other, labels):
    """The mean Dice over labels that either of two label maps has."""
    shared = [2 * np.sum((one == value) & (other == value)) for value in labels]
    areas = [np.sum(one == value) + np.sum(other == value) for value in labels]
    return np.mean([s / a for s, a in zip(shared, areas, strict=True) if a])


def folded(displacement):
    """The share of pixels where a (2, H, W) displacement turns the picture inside out."""
    (rows_by_row, rows_by_column), (columns_by_row, columns_by_column) = (
        np.gradient(axis) for axis in displacement
    )
    jacobian = (1 + rows_by_row) * (1 + columns_by_column) - rows_by_column * columns_by_row
    return np.mean(jacobian <= 0)


def test_a_subject_does_not_depend_on_what_was_drawn_before():
    draw_task.cache_clear()
    image, labels = draw_subject(draw_task(0, 3, 64), 5)

    draw_task.cache_clear()
    draw_task(0, 4, 64)
    for subject in (7, 5, 0):
        again_image, again_labels = draw_subject(draw_task(0, 3, 64), subject)
        if subject == 5:
            assert again_image.tobytes() == image.tobytes()
            assert again_labels.tobytes() == labels.tobytes()


def test_seed_task_and_subject_each_matter():
    maps = [draw_task(*key, 64).label_map for key in ((0, 0), (0, 1), (1, 0))]
    task = draw_task(0, 0, 64)
    drawn = [(task, 0), (task, 1), (replace(task, task=1), 0), (replace(task, seed=1), 0)]
    images = [draw_subject(*each)[0] for each in drawn]
    for pictures in (maps, images):
        assert not any(np.array_equal(*pair) for pair in combinations(pictures, 2))


def test_subject_0_does_not_repeat_the_noise_of_its_task():
    assert synthetic._stream(0, 1).random() != synthetic._stream(0, 1, 0).random()


def test_a_seed_means_the_same_shapes_as_in_earlier_versions():
    _, labels = draw_subject(draw_task(0, 4, 64), 0)
    assert np.bincount(labels.ravel()).tolist() == [1239, 441, 12, 384, 491, 0, 1529]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    task=st.integers(0, 999),
    subject=st.integers(0, 99),
    size=st.sampled_from([32, 57, 64, 128]),
)
def test_every_task_and_subject_is_within_its_ranges(seed, task, subject, size):
    drawn = draw_task(seed, task, size)
    assert drawn.label_map.shape == (size, size) == (drawn.size, drawn.size)
    assert drawn.label_map.dtype == np.uint8
    assert 5 <= len(drawn.means) <= 19
    assert all(0 <= mean <= 1 for mean in drawn.means)
    assert drawn.labels
    assert 0 < min(drawn.labels) <= max(drawn.labels) < len(drawn.means)
    assert 0.01 <= drawn.mean_std <= 0.1
    assert 1 <= drawn.warp_std <= 20
    assert 0.01 <= drawn.noise_std[0] <= 0.1
    assert 0.2 <= drawn.noise_std[1] <= 1
    assert 0.5 <= drawn.blur_std <= 5
    assert 0.1 <= drawn.bias_std <= 1
    assert 32 <= drawn.bias_spacing <= 50

    image, labels = draw_subject(drawn, subject)
    assert image.shape == labels.shape == (size, size)
    assert image.dtype == np.float32
    assert labels.dtype == np.uint8
    assert np.isfinite(image).all()
    assert (image.min(), image.max()) == (0, 1)
    assert set(np.unique(labels)) <= {BACKGROUND, *drawn.labels}


def test_a_task_is_drawn_once_and_cannot_be_changed():
    task = draw_task(0, 0, 32)
    assert draw_task(0, 0, 32) is task
    with pytest.raises(ValueError, match="read-only"):
        task.label_map[0, 0] = 1


@pytest.mark.parametrize("task", range(3))
def test_a_smaller_picture_shows_the_same_shapes(task):
    large, small = draw_task(0, task, 256).label_map, draw_task(0, task, 64).label_map
    nearest = np.rint(np.linspace(0, 255, 64)).astype(int)
    assert np.mean(large[np.ix_(nearest, nearest)] == small) > 0.93


def test_shapes_have_the_size_of_organs():
    maps = [draw_task(0, task).label_map for task in range(10)]
    borders = [np.mean(m[1:] != m[:-1]) + np.mean(m[:, 1:] != m[:, :-1]) for m in maps]
    # A checkerboard of squares with a side of n pixels has 2 / n: here about 25 to 100 pixels.
    assert 0.02 < np.mean(borders) < 0.08


def test_a_task_of_nothing_but_background_is_drawn_again(monkeypatch):
    label_map = np.eye(32, dtype=np.uint8)
    drawn = iter([np.zeros_like(label_map), np.zeros_like(label_map), label_map])
    monkeypatch.setattr(synthetic, "_draw_label_map", lambda *_: next(drawn))
    assert draw_task.__wrapped__(0, 0, 32).labels == (1,)


def test_subjects_of_a_task_share_anatomy_but_differ():
    tasks = [draw_task(0, task, 128) for task in range(6)]
    labels = [[draw_subject(task, subject)[1] for subject in range(3)] for task in tasks]
    within, across = [], []
    for number, task in enumerate(tasks):
        first, second, third = labels[number]
        within += [dice(first, second, task.labels), dice(first, third, task.labels)]
        across += [dice(first, labels[number - 1][0], task.labels)]
    assert 0.2 < min(within) < max(within) < 0.99
    assert np.mean(within) > 2 * np.mean(across)


def test_linear_interpolation_hits_both_ends():
    assert synthetic._linear(9, 3) @ [0.0, 4.0, 0.0] == pytest.approx([0, 1, 2, 3, 4, 3, 2, 1, 0])


def test_perlin_noise_sums_grids_of_every_spacing():
    rng = np.random.default_rng(0)
    draws = np.stack([synthetic._perlin(rng, 2, 64, (32, 128), 3.0) for _ in range(400)])
    # At a corner both grids have a node: the variance is twice that of U(0, 3) times N(0, 1).
    assert draws[..., 0, 0].std() == pytest.approx(np.sqrt(2 * 3.0), rel=0.15)
    assert abs(draws.mean()) < 0.1
    smooth = synthetic._perlin(rng, 1, 64, (128,), 1.0)[0]
    assert np.diff(smooth, n=2, axis=0) == pytest.approx(0, abs=1e-12)


def test_the_flow_of_a_rotation_turns_the_picture(monkeypatch):
    angle, grid = 0.5, synthetic._VELOCITY_GRID
    row, column = np.indices((grid, grid)) - (grid - 1) / 2
    velocity = angle * np.stack([-column, row])
    monkeypatch.setattr(synthetic, "_perlin", lambda *_: velocity)
    size = 64
    displacement = synthetic._draw_diffeomorphism(np.random.default_rng(0), 1.0, size)

    row, column = np.indices((size, size)) - (size - 1) / 2
    turned = np.stack(
        [
            np.cos(angle) * row - np.sin(angle) * column,
            np.sin(angle) * row + np.cos(angle) * column,
        ]
    )
    inside = np.hypot(row, column) < size / 2 - 2
    error = displacement - (turned - [row, column])
    assert np.abs(error[:, inside]).max() < 0.1


def test_subjects_are_warped_without_folding(monkeypatch):
    def draw():
        rng = np.random.default_rng(0)
        return [synthetic._draw_diffeomorphism(rng, 6.0, 256) for _ in range(8)]

    warps = draw()
    assert np.mean([folded(warp) for warp in warps]) < 0.01
    assert 2 < np.sqrt(np.mean(np.square(warps))) < 20
    monkeypatch.setattr(synthetic, "_SQUARINGS", 0)
    assert np.mean([folded(velocity) for velocity in draw()]) > 0.1


def test_beyond_the_label_map_lies_background():
    labels = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)
    shifted = synthetic._warp_labels(labels, np.stack([np.full((4, 4), 1.3), np.zeros((4, 4))]))
    assert np.array_equal(shifted[:2], labels[1:3])
    assert not shifted[3].any()


def test_without_flaws_an_image_shows_the_mean_of_each_label():
    task = replace(draw_task(0, 2, 64), **FLAWLESS)
    image, labels = draw_subject(task, 0)
    shown = [value for value in np.unique(labels) if value != BACKGROUND]
    levels = [np.unique(image[labels == value]) for value in shown]
    assert all(len(level) == 1 for level in levels)
    means = np.array(task.means)[shown]
    assert np.array_equal(np.argsort(np.ravel(levels)), np.argsort(means))


@pytest.mark.parametrize("flaw", [{"noise_std": (0.2, 0.2)}, {"blur_std": 5.0}, {"bias_std": 1.0}])
def test_each_flaw_makes_labels_uneven(flaw):
    task = replace(draw_task(0, 2, 64), **{**FLAWLESS, **flaw})
    image, labels = draw_subject(task, 0)
    assert all(image[labels == value].std() > 0.001 for value in np.unique(labels) if value)


def test_means_differ_between_subjects_by_their_std():
    label_map = np.repeat(np.arange(5, dtype=np.uint8), 5).reshape(5, 5)
    task = replace(draw_task(0, 0, 32), means=(0.5,) * 5, **{**FLAWLESS, "mean_std": 0.05})
    rng = np.random.default_rng(0)
    drawn = [synthetic._draw_tissue(rng, task, label_map)[1:, 0] for _ in range(200)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.01)
    assert np.std(drawn) == pytest.approx(0.05, rel=0.1)


def test_each_label_has_noise_of_its_own():
    label_map = np.repeat(np.arange(5, dtype=np.uint8), 2000).reshape(100, 100)
    task = replace(draw_task(0, 0, 32), means=(0.5,) * 5, noise_std=(0.1, 0.4))
    image = synthetic._draw_tissue(np.random.default_rng(0), task, label_map)
    stds = [image[label_map == value].std() for value in range(1, 5)]
    assert 0.09 < min(stds) < 0.75 * max(stds) < 0.75 * 0.42


def test_images_are_scaled_from_zero_and_bent_by_gamma():
    rng = np.random.default_rng(0)
    image = np.array([[-1.0, 0.0], [2.0, 4.0]])
    drawn = np.stack([synthetic._normalise(rng, image) for _ in range(500)])
    assert not drawn[:, 0].any()
    assert (drawn[:, 1, 1] == 1).all()
    exponents = np.log(drawn[:, 1, 0]) / np.log(0.5)
    assert np.log(exponents).mean() == pytest.approx(0, abs=0.05)
    assert np.log(exponents).std() == pytest.approx(0.25, rel=0.1)


def test_a_fifth_of_the_subjects_has_a_background_of_zero():
    task = draw_task(0, 2, 32)
    background = task.label_map == BACKGROUND
    assert 0 < background.sum() < background.size
    rng = np.random.default_rng(0)
    images = [synthetic._draw_tissue(rng, task, task.label_map) for _ in range(500)]
    assert np.mean([not image[background].any() for image in images]) == pytest.approx(
        0.2, abs=0.05
    )
    assert all(image[~background].all() for image in images)


def test_a_subject_that_lost_its_labels_still_has_an_image():
    task = replace(draw_task(0, 0, 32), label_map=np.zeros((32, 32), np.uint8))
    for subject in range(20):
        image, labels = draw_subject(task, subject)
        assert not labels.any()
        assert image.std() > 0.01


def test_groups_follow_the_generator():
    generator = Generator(tasks=3, subjects=100, size=32, seed=7)
    drawn = groups(generator)
    assert list(drawn) == ["task-0000", "task-0001", "task-0002"]
    for number, group in enumerate(drawn.values()):
        assert (group.task, group.subjects, group.size, group.seed) == (number, 100, 32, 7)
        assert (group.modality, group.dimension, group.minimum_area) == ("synthetic", 2, 0.001)
        assert group.intensity is None
        labels = draw_task(7, number, 32).labels
        assert group.labels == {value: f"shape {value}" for value in labels}


def test_groups_take_other_counts():
    generator = Generator(tasks=3, subjects=100, size=32)
    assert list(groups(generator, tasks=2)) == ["task-0000", "task-0001"]
    assert [group.subjects for group in groups(generator, 1, subjects=4).values()] == [4]
    assert len(groups(generator, tasks=5)) == 5
    assert groups(generator, tasks=0) == {}
