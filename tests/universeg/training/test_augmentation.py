"""Augmented episodes: what moves moves together, and every operation is what its name says."""

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from pydantic import ValidationError
from scipy import ndimage

from universeg.training.augmentation import (
    Augmentation,
    ImageAugmentation,
    TaskAugmentation,
    augment,
    augment_batch,
)
from universeg.training.augmentation.filters import edges
from universeg.training.augmentation.geometry import FIELD, bent, placed, read_at, unmoved
from universeg.training.augmentation.intensity import adjusted, blurred, sharpened
from universeg.training.augmentation.sheet import augmentation_sheet

TASK, IMAGE = tuple(TaskAugmentation.model_fields), tuple(ImageAugmentation.model_fields)
OPERATIONS = [("task", name) for name in TASK] + [("image", name) for name in IMAGE]
GEOMETRY = ["flip_horizontally", "flip_vertically", "affine", "elastic"]
SURE = {"blur": {"sigma": (0.8, 1.1)}}  # any other draw can be seen


def with_probability(probability, operations, **parameters):
    """Settings that do some operations, as (level, name), and no others."""
    chosen = Augmentation.none().model_dump()
    for level, name in operations:
        chosen[level][name] |= {"probability": probability, **parameters}
    return Augmentation.model_validate(chosen)


def everything(**levels):
    return with_probability(1, [o for o in OPERATIONS if levels.get(o[0], True)])


def episode(count=5, size=32, seed=0):
    """Smooth images and soft labels that nothing maps to themselves."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((2, count, size, size)), (0, 0, 1.5, 1.5))
    images, labels = (noise - noise.min()) / np.ptp(noise)
    return torch.from_numpy(images).float(), torch.from_numpy(labels).float()


def blob(size, x, y, radius):
    """A disc with a soft rim, x and y pixels right of and below the centre."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    distance = np.hypot(rows - y, columns - x)
    return torch.from_numpy(np.clip(radius + 0.5 - distance, 0, 1)).float()


def parameter(*values: float):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def test_the_table_of_the_paper_is_the_default():
    affine = {"degrees": (0, 360), "translate": 0.2, "scale": (0.8, 1.1)}
    blur, noise = {"kernel": 5, "sigma": (0.1, 1.1)}, {"mean": (0, 0.05), "std": (0, 0.05)}
    half = {"probability": 0.5}
    assert Augmentation().model_dump() == {
        "task": {
            "flip_intensities": half,
            "flip_labels": half,
            "flip_horizontally": half,
            "flip_vertically": half,
            "label_edges": half,
            "affine": half | affine,
            "elastic": {"probability": 0.25, "alpha": (1, 2), "sigma": (6, 8)},
            "brightness_contrast": half | {"brightness": (-0.1, 0.1), "contrast": (0.8, 1.2)},
            "blur": half | blur,
            "noise": half | noise,
            "sharpness": half | {"factor": (0, 5)},
        },
        "image": {
            "affine": half | affine,
            "elastic": {"probability": 0.8, "alpha": (1, 2.5), "sigma": (7, 8)},
            "brightness_contrast": {
                "probability": 0.25,
                "brightness": (-0.1, 0.1),
                "contrast": (0.5, 1.5),
            },
            "blur": {"probability": 0.25} | blur,
            "noise": {"probability": 0.25} | noise,
            "sharpness": {"probability": 0.25, "factor": (0, 5)},
        },
    }


def test_what_a_file_does_not_say_stays_as_in_the_table():
    said = yaml.safe_load("image: {elastic: {alpha: [1, 3]}}")
    expected = Augmentation().model_dump()
    expected["image"]["elastic"]["alpha"] = (1, 3)
    assert Augmentation.model_validate(said).model_dump() == expected


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("tasks: {}", "tasks"),
        ("task: {flip_label: {probability: 1}}", "flip_label"),
        ("image: {flip_labels: {probability: 1}}", "flip_labels"),
        ("image: {elastic: {alfa: [1, 2]}}", "alfa"),
        ("image: {affine: {probability: 1.5}}", "less than or equal to 1"),
        ("image: {affine: {scale: [1.1, 0.8]}}", "from the lower to the higher"),
        ("image: {affine: {scale: [0, 1]}}", "greater than 0"),
        ("image: {noise: {std: [0, .inf]}}", "finite"),
        ("image: {blur: {kernel: 4}}", "odd number of pixels, not 4"),
    ],
)
def test_settings_that_mean_nothing_are_refused(said, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Augmentation.model_validate(yaml.safe_load(said))


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    count=st.integers(1, 6),
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    table=st.booleans(),
)
def test_grey_values_and_labels_stay_finite_in_range_and_shape(seed, count, height, width, table):
    rng = torch.Generator().manual_seed(seed % 2**32)
    given_ = torch.rand(2, count, height, width, generator=rng).round(decimals=1)
    images, labels = given_.clone()
    for found in augment(images, labels, Augmentation() if table else everything(), seed):
        assert found.shape == (count, height, width)
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        assert found.min() >= 0
        assert found.max() <= 1
    assert torch.equal(torch.stack([images, labels]), given_)


def test_a_seed_gives_the_same_result_with_any_number_of_threads():
    threads = torch.get_num_threads()
    images, labels = episode(size=64)
    found = []
    for count in (1, 2, 2):
        torch.set_num_threads(count)
        torch.rand(count)
        found.append(torch.stack(augment(images, labels, everything(), (3, 5))))
    torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[1], found[2])
    assert not torch.equal(found[0], torch.stack(augment(images, labels, everything(), (3, 6))))


@pytest.mark.parametrize("label", [blob(64, 9, -6, 14), blob(64, 0, 0, 40), blob(64, 30, 30, 3)])
def test_image_and_label_move_together(label):
    labels = label.expand(6, -1, -1)
    moving = with_probability(1, [(a, b) for a, b in OPERATIONS if b in GEOMETRY])
    for seed in range(2):
        moved, of_label = augment(labels, labels, moving, seed)
        torch.testing.assert_close(moved, of_label, atol=1e-6, rtol=0)
        assert not torch.equal(moved, labels)


@pytest.mark.parametrize("level", ["task", "image"])
def test_grey_values_change_without_the_label(level):
    images, labels = episode()
    names = ["brightness_contrast", "blur", "noise", "sharpness"]
    changed, same = augment(images, labels, with_probability(1, [(level, n) for n in names]), 0)
    assert torch.equal(same, labels)
    assert not torch.equal(changed, images)


def test_an_affine_map_takes_a_blob_to_where_its_formula_says():
    degrees, scale, right, down = 40.0, 0.85, 0.1, -0.15
    size, start = 128, 20 - 11j  # right, and above: positive angles are anticlockwise
    disc = blob(size, start.real, -start.imag, 15)
    at_rest = unmoved(size, size, torch.device("cpu"))
    positions = placed(at_rest, *map(parameter, (degrees, scale, right, down)))
    moved = read_at(disc[None, None], positions, torch.zeros(1, 1, 1))[0, 0].numpy()
    end = scale * np.exp(1j * np.deg2rad(degrees)) * start + size * (right - 1j * down)
    row, column = np.array(ndimage.center_of_mass(moved)) - (size - 1) / 2
    assert (column, -row) == pytest.approx((end.real, end.imag), abs=0.05)
    assert moved.sum() == pytest.approx(disc.sum().item() * scale**2, rel=0.01)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("level", ["task", "image"])
def test_a_quarter_turn_is_exact(level, turns):
    angle = 90 * turns
    turning = with_probability(
        1, [(level, "affine")], degrees=(angle, angle), translate=0, scale=(1, 1)
    )
    images, labels = episode()
    for before, after in zip((images, labels), augment(images, labels, turning, 0), strict=True):
        torch.testing.assert_close(after, before.rot90(turns, (-2, -1)), atol=1e-4, rtol=0)


def test_flips_are_flips():
    images, labels = episode()
    for name, axis in (("flip_horizontally", -1), ("flip_vertically", -2)):
        flipped = augment(images, labels, with_probability(1, [("task", name)]), 0)
        assert torch.equal(flipped[0], images.flip(axis))
        assert torch.equal(flipped[1], labels.flip(axis))
    inverse = augment(images, labels, with_probability(1, [("task", "flip_intensities")]), 0)
    assert torch.equal(inverse[0], 1 - images)
    assert torch.equal(inverse[1], labels)


def test_nothing_labelled_becomes_all_labelled():
    images, labels = episode()
    flipping = with_probability(1, [("task", "flip_labels")])
    found = augment(images, torch.zeros_like(labels), flipping, 0)
    assert torch.equal(found[0], images)
    assert torch.equal(found[1], torch.ones_like(labels))


@pytest.mark.parametrize(
    ("done", "white", "labelled"),
    [
        ((), False, False),
        (("flip_intensities",), True, False),
        (("flip_labels",), False, True),
        (("flip_labels", "label_edges"), False, False),
    ],
)
def test_what_moves_into_view_is_padding_as_it_has_become(done, white, labelled):
    operations = [("task", "affine"), ("image", "affine"), *(("task", name) for name in done)]
    images, labels = augment(*torch.zeros(2, 8, 40, 40), with_probability(1, operations), 0)
    assert (images == white).all()
    assert (labels == labelled).all()


def test_an_elastic_deformation_is_smoothed_noise():
    noise = torch.rand(2, 2, FIELD, FIELD, generator=torch.Generator().manual_seed(0)) * 2 - 1
    at_rest = unmoved(FIELD, FIELD, torch.device("cpu")).expand(2, -1, -1, -1)
    alpha, sigma = (1.5, 2.5), (6.0, 8.0)
    moved = bent(at_rest, noise, parameter(*alpha), parameter(*sigma)).numpy()
    for number in range(2):
        for axis in range(2):
            field = ndimage.gaussian_filter(
                noise[number, axis].numpy(), sigma[number], mode="constant", truncate=5
            )
            expected = at_rest[number, ..., axis].numpy() + alpha[number] * field * FIELD / 2
            border = (FIELD - 1) / 2
            np.testing.assert_allclose(
                moved[number, ..., axis], expected.clip(-border, border), atol=1e-3
            )


def test_larger_images_are_deformed_alike():
    noise = torch.rand(1, 2, FIELD, FIELD, generator=torch.Generator().manual_seed(0)) * 2 - 1
    discs = []
    for size in (128, 256):
        at_rest = unmoved(size, size, torch.device("cpu"))
        positions = bent(at_rest, noise, parameter(2.0), parameter(7.0))
        disc = blob(size, 0, 0, size / 4)[None, None]
        discs.append(read_at(disc, positions, torch.zeros(1, 1, 1)))
    small = torch.nn.functional.avg_pool2d(discs[1], 2)
    assert (small - discs[0]).abs().mean() < 0.005
    assert (discs[0] - blob(128, 0, 0, 32)).abs().mean() > 0.02


def test_blur_is_scipys():
    images, _ = episode(count=3)
    sigma = (0.3, 0.8, 1.1)
    found = blurred(images, parameter(*sigma), kernel=5).numpy()
    for image, width, blurry in zip(images.numpy(), sigma, found, strict=True):
        expected = ndimage.gaussian_filter(image, width, radius=2)
        np.testing.assert_allclose(blurry[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-6)
    grey = torch.full((1, 9, 9), 0.7)
    torch.testing.assert_close(blurred(grey, parameter(1.0), kernel=5), grey)


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 3.0])
def test_sharpness_is_pillows(factor):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    expected = ImageEnhance.Sharpness(Image.fromarray(pixels)).enhance(factor)
    found = sharpened(torch.from_numpy(pixels)[None] / 255, parameter(factor))
    rounding = 1 + abs(1 - factor)  # Pillow rounds in between
    np.testing.assert_allclose(found[0].numpy() * 255, np.asarray(expected), atol=rounding)


def test_contrast_multiplies_then_brightness_adds():
    grey = torch.tensor([0.0, 0.25, 0.5, 1.0]).expand(2, 1, -1)
    found = adjusted(grey, parameter(0.1, -0.1), parameter(0.5, 1.5))
    expected = torch.tensor([[0.1, 0.225, 0.35, 0.6], [0.0, 0.275, 0.65, 1.0]])
    torch.testing.assert_close(found[:, 0], expected)


def test_noise_has_the_mean_and_the_spread_that_are_set():
    grey = torch.full((3, 128, 128), 0.5)
    noise = with_probability(1, [("image", "noise")], mean=(0.04, 0.04), std=(0.03, 0.03))
    found, _ = augment(grey, grey, noise, 0)
    torch.testing.assert_close(found.mean((1, 2)), torch.full((3,), 0.54), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.std((1, 2)), torch.full((3,), 0.03), atol=1e-3, rtol=0)


def test_the_edge_of_a_square_is_its_border():
    square = torch.zeros(1, 16, 16)
    square[:, 4:12, 5:13] = 1
    inside = ndimage.binary_erosion(square[0])
    around = ndimage.binary_dilation(square[0], np.ones((3, 3)))
    found = edges(square)[0].numpy()
    assert (found[around & ~inside] > 0.3).all()
    assert (found[4:12, [4, 5, 12, 13]][2:-2] == 1).all()
    assert not found[inside].any()
    assert not found[~around].any()
    _, labels = episode(count=1)
    rows, columns = (ndimage.sobel(labels[0].numpy(), axis, mode="nearest") for axis in (0, 1))
    expected = (np.hypot(rows, columns) / 4).clip(max=1)
    np.testing.assert_allclose(edges(labels)[0].numpy(), expected, atol=1e-6)


def test_what_is_drawn_for_the_task_is_the_same_for_all():
    image, label = (plane.expand(5, -1, -1) for plane in episode(count=1))
    settings = with_probability(1, [("task", name) for name in TASK if name != "noise"])
    for seed in range(3):
        for found in augment(image, label, settings, seed):
            assert torch.equal(found, found[:1].expand(5, -1, -1))


def test_the_task_sets_how_much_noise_but_each_image_has_its_own():
    grey = torch.full((4, 96, 96), 0.5)
    found, _ = augment(grey, grey, with_probability(1, [("task", "noise")]), 0)
    assert not torch.equal(found[0], found[1])
    for of_each in (found.mean((1, 2)), found.std((1, 2))):
        torch.testing.assert_close(of_each, of_each[:1].expand(4), atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", IMAGE)
def test_what_is_drawn_in_task_is_drawn_for_each(name):
    image, label = (plane.expand(4, -1, -1) for plane in episode(count=1))
    settings = with_probability(1, [("image", name)], **SURE.get(name, {}))
    found, _ = augment(image, label, settings, 0)
    assert all(not torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("settings", [Augmentation(), everything()])
def test_an_episode_is_augmented_alike_in_any_batch(settings):
    images, labels = episode(count=12, size=24)
    batch = images.view(4, 3, 24, 24), labels.view(4, 3, 24, 24)
    seeds = [5, (5, 1), (5, 2), 9]
    found = torch.stack(augment_batch(*batch, settings, seeds))
    assert torch.equal(torch.stack(batch), torch.stack([images, labels]).view_as(found))
    for number, seed in enumerate(seeds):
        alone = augment(batch[0][number], batch[1][number], settings, seed)
        torch.testing.assert_close(found[:, number], torch.stack(alone), atol=1e-6, rtol=0)
    order = [2, 0, 3, 1]
    other = augment_batch(*(part[order] for part in batch), settings, [seeds[n] for n in order])
    torch.testing.assert_close(torch.stack(other), found[:, order], atol=1e-6, rtol=0)


def test_each_task_of_a_batch_has_its_own_draws():
    image, label = (plane.expand(6, 5, -1, -1) for plane in episode(count=1))
    settings = with_probability(1, [("task", name) for name in TASK if name != "noise"])
    images, labels = augment_batch(image, label, settings, range(6))
    for found in (images, labels):
        assert torch.equal(found, found[:, :1].expand_as(found))
    assert all(not torch.equal(images[0], other) for other in images[1:])


def test_what_both_levels_move_is_interpolated_once():
    """A quarter turn of the task and three of each image: nothing is blurred, nothing is lost."""
    turning = Augmentation.none().model_dump()
    for level, degrees in (("task", 90), ("image", 270)):
        turning[level]["affine"] |= {"probability": 1, "degrees": (degrees, degrees)}
        turning[level]["affine"] |= {"translate": 0, "scale": (1, 1)}
    noise = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for before, after in zip(
        noise, augment(*noise, Augmentation.model_validate(turning), 0), strict=True
    ):
        torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_nothing_drawn_is_nothing_changed():
    images, labels = episode()
    for settings in (Augmentation.none(), with_probability(0, OPERATIONS)):
        found = augment(images, labels, settings, 0)
        assert torch.equal(found[0], images)
        assert torch.equal(found[1], labels)


@pytest.mark.parametrize(("level", "name"), OPERATIONS)
@pytest.mark.parametrize("probability", [0.25, 1])
def test_an_operation_happens_as_often_as_is_set(level, name, probability):
    times = 60 if probability < 1 else 8
    settings = with_probability(probability, [(level, name)], **SURE.get(name, {}))
    if level == "image":
        pairs = episode(count=times, size=8)
        found = [augment(*pairs, settings, 0)]
    else:
        pairs = episode(count=1, size=8)
        found = [augment(*pairs, settings, seed) for seed in range(times)]
    changed = [
        ((images != pairs[0]) | (labels != pairs[1])).flatten(1).any(1) for images, labels in found
    ]
    spread = np.sqrt(probability * (1 - probability) / times)
    assert torch.cat(changed).float().mean() == pytest.approx(probability, abs=3.5 * spread)


def test_the_contact_sheet_has_a_row_for_each_operation():
    images, labels = episode(count=3)
    empty, one, two, all_of_them = (
        augmentation_sheet(images, labels, settings, 0)
        for settings in (
            Augmentation.none(),
            with_probability(0.2, [("task", "affine")]),
            with_probability(0.2, [("task", "affine"), ("image", "blur")]),
            Augmentation(),
        )
    )
    assert two.dtype == np.uint8
    assert two.shape[2] == 3
    row = len(one) - len(empty)
    assert row > 100
    assert len(two) == len(one) + row
    assert len(all_of_them) == len(empty) + row * len(OPERATIONS)
    np.testing.assert_array_equal(empty[:row], one[:row])
    assert (np.ptp(one[row : 2 * row].astype(int), axis=2) > 100).any()  # an outline in colour
