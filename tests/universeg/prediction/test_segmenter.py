"""Arrays in, arrays out: the frame there and back, labels, draws, and what cannot be."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from megamedical.catalogue.group import Group, Intensity
from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.processing.slicing import slice_subject
from megamedical.reading.scan import LabelMap, Scan
from universeg.network.universeg import UniverSeg
from universeg.prediction.deciding import softmax
from universeg.prediction.frame import Frame, planes_of
from universeg.prediction.segmenter import Segmenter
from universeg.tuning.support import Example, Support, SupportError

SIZES = ((97, 211), (300, 201), (128, 128), (61, 60), (480, 641))


class Bright(torch.nn.Module):
    """Finds what is bright, whatever the examples are."""

    def forward(self, query, images, labels):  # noqa: ARG002
        return 40 * (query - 0.5)


class Echo(torch.nn.Module):
    """Gives back the mean of the examples' masks, whatever the query is."""

    def forward(self, query, images, labels):  # noqa: ARG002
        return 40 * (labels.mean(dim=1).expand(query.shape) - 0.5)


def blob(shape, values=(1,)):
    """Ellipses left of the middle and above it, one a value, side by side."""
    rows, columns = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    mask = np.zeros(shape, np.uint8)
    for number, value in enumerate(values):
        centre = 0.3 + 0.35 * number
        mask[((rows - 0.35) / 0.22) ** 2 + ((columns - centre) / 0.16) ** 2 < 1] = value
    return mask


def picture(mask, seed=0):
    noise = np.random.default_rng(seed).normal(0, 5, mask.shape)
    return np.where(mask > 0, 200.0, 40.0) + noise


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def segmenter(network=None, **options):
    return Segmenter(network or Bright(), **options)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("network", [Bright(), Echo()])
def test_a_mask_comes_back_where_it_was(network, shape):
    mask = blob(shape)
    found = Segmenter(network).fit([picture(mask)], [mask]).predict(picture(mask, seed=1)).mask
    assert found.shape == shape
    assert dice(found == 1, mask == 1) >= 0.95
    for flipped in (found[::-1], found[:, ::-1], np.roll(found, shape[1] // 20, axis=1)):
        assert dice(flipped == 1, mask == 1) < 0.95


@settings(max_examples=20, deadline=None)
@given(height=st.integers(2, 300), width=st.integers(2, 300), seed=st.integers(0, 99))
def test_the_way_back_is_an_interpolation_with_aligned_corners(height, width, seed):
    rng = np.random.default_rng(seed)
    frame = Frame.of(Scan(rng.random((height, width)), (1.0, 1.0)), "2d")
    maps = rng.normal(size=(2, 128, 128)).astype(np.float32)
    size = max(height, width)
    square = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], (size, size), mode="bilinear", align_corners=True
    )[0].numpy()
    top, left = (size - height) // 2, (size - width) // 2
    expected = square[:, top : top + height, left : left + width]
    np.testing.assert_allclose(frame.restore(maps), expected, atol=1e-4)


def test_a_picture_enters_as_the_store_keeps_it():
    mask = blob((150, 90), (3, 7))
    image = picture(mask)
    group = Group(modality="mri", dimension=2, labels={3: "left", 7: "right"})
    slices = slice_subject(
        Scan(image, (1.0, 1.0)), LabelMap(mask, {"left": (3,), "right": (7,)}), group, 128
    )
    frame = Frame.of(Scan(image, (1.0, 1.0)), "2d")
    np.testing.assert_array_equal(frame.image(image), next(iter(slices.images.values())))
    for found, kept in zip(frame.masks(mask, (3, 7)), slices.masks, strict=True):
        np.testing.assert_array_equal(found, kept.mask)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize(
    ("shape", "spacing", "grid"),
    [
        ((60, 47), (1.0, 1.0), "native"),
        ((60, 47), (1.0, 1.02), "native"),
        ((15, 47), (4.0, 1.0), "isotropic"),
        ((60, 23), (1.0, 2.5), "isotropic"),
    ],
)
@pytest.mark.parametrize("rule", [None, Intensity(percentiles=(0.5, 99.5))])
def test_a_plane_of_a_volume_enters_as_the_store_keeps_it(plane, shape, spacing, grid, rule):
    axis = ("axial", "coronal", "sagittal").index(plane)
    whole, mm = list(shape), list(spacing)
    whole.insert(axis, 80)  # the longest, and nothing changes along it
    mm.insert(axis, 1.0)
    mask = np.broadcast_to(np.expand_dims(blob(shape), axis), whole).copy()
    image = np.broadcast_to(np.expand_dims(picture(blob(shape)), axis), whole).copy()
    scan = Scan(image, tuple(mm))
    group = Group(
        modality="mri",
        dimension=3,
        labels={1: "any"},
        planes=(plane,),
        grid=grid,
        intensity=rule,
    )
    slices = slice_subject(scan, LabelMap(mask, {"any": (1,)}), group, 128)
    frame = Frame.of(scan, plane, rule)
    own = frame.image(planes_of(image, plane)[40])
    np.testing.assert_allclose(own, slices.images[plane, 64], atol=1e-5)
    soft = next(kept.mask for kept in slices.masks if kept.index == 64)
    np.testing.assert_allclose(frame.masks(planes_of(mask, plane)[40], (1,))[0], soft, atol=1e-5)
    back = frame.restore(frame.masks(planes_of(mask, plane)[40], (1,)))[0] > 0.5
    assert dice(back, blob(shape) == 1) >= 0.93


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("spacing", [(4.0, 1.0, 1.0), (1.0, 1.0, 5.0), (0.5, 3.0, 0.5)])
def test_what_is_round_is_seen_round(plane, spacing):
    mm = [(np.arange(round(90 / step)) + 0.5) * step - 45 for step in spacing]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*mm, indexing="ij")))
    ball = (distance < 25).astype(np.uint8)
    scan = Scan((100 - distance).clip(0), spacing)  # so that a ball lies between two greys
    frame = Frame.of(scan, plane)
    middle = len(planes_of(ball, plane)) // 2
    assert_round(frame.masks(planes_of(ball, plane)[middle], (1,))[0] > 0.5)
    seen = frame.image(planes_of(scan.voxels, plane)[middle])
    assert_round(seen > np.quantile(seen, 0.8))
    fitted = Segmenter(Echo(), support_size=1).fit_scans([(scan, ball, frame)])
    assert dice(fitted.predict_volume(scan, frame).mask == 1, ball == 1) >= 0.95


def assert_round(mask):
    height, width = (np.count_nonzero(mask.any(axis=axis)) for axis in (1, 0))
    assert abs(height - width) <= 0.08 * width
    assert np.count_nonzero(mask) == pytest.approx(np.pi / 4 * height * width, rel=0.08)


def test_labels_keep_their_values_and_names_and_do_not_overlap():
    mask = blob((140, 101), (128, 255))
    names = {255: "nucleus", 128: "cytoplasm"}
    found = Segmenter(Echo()).fit([picture(mask)], [mask], names).predict(picture(mask))
    assert found.labels == names
    assert found.mask.dtype == np.uint8
    assert set(np.unique(found.mask)) == {0, 128, 255}
    assert found.probabilities.shape == (2, 140, 101)
    assert (found.probabilities.sum(axis=0) < 1 + 1e-5).all()
    for number, value in enumerate(names):
        assert dice(found.mask == value, mask == value) >= 0.95
        assert (found.probabilities[number][found.mask == value] > 1 / 3).all()


def test_the_background_has_logit_zero():
    logits = np.random.default_rng(0).normal(0, 30, (3, 4, 5)).astype(np.float32)
    with_background = torch.from_numpy(np.concatenate([np.zeros((1, 4, 5), "f"), logits]))
    np.testing.assert_allclose(softmax(logits), with_background.softmax(0)[1:], atol=1e-6)
    np.testing.assert_allclose(softmax(logits[:1]), with_background[1:2].sigmoid(), atol=1e-6)


def shifted(count):
    """Pictures whose blobs lie further and further down."""
    masks = [np.roll(blob((64, 64)), 3 * number, axis=0) for number in range(count)]
    return [picture(mask) for mask in masks], masks


def test_draws_are_seeded_and_averaged():
    images, masks = shifted(6)

    def found(**options):
        return Segmenter(Echo(), support_size=2, **options).fit(images, masks).predict(images[0])

    once = found(seed=3).probabilities
    np.testing.assert_array_equal(once, found(seed=3).probabilities)
    assert any((once != found(seed=seed).probabilities).any() for seed in range(3))
    averaged = found(seed=3, ensemble=8).probabilities
    assert len(np.unique(averaged.round(3))) > len(np.unique(once.round(3)))


def test_an_ensemble_of_all_examples_is_one_draw():
    calls = []

    class Counting(Bright):
        def forward(self, query, images, labels):
            calls.append(len(query))
            return super().forward(query, images, labels)

    images, masks = shifted(4)
    Segmenter(Counting(), support_size=4, ensemble=9).fit(images, masks).predict(images[0])
    assert calls == [1]


def test_queries_that_share_their_examples_go_through_together():
    calls = []

    class Counting(Bright):
        def forward(self, query, images, labels):
            calls.append(len(query))
            return super().forward(query, images, labels)

    images, masks = shifted(5)
    fitted = Segmenter(Counting()).fit(images, masks)
    together = fitted.predict_many(images)
    assert calls == [5]
    for one, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(one.mask, fitted.predict(image).mask)


def test_the_network_answers_whatever_the_size():
    torch.manual_seed(0)
    mask = blob((70, 45))
    fitted = Segmenter(UniverSeg(), support_size=2).fit([picture(mask)] * 2, [mask] * 2)
    found = fitted.predict(picture(mask))
    assert found.mask.shape == (70, 45)
    assert np.isfinite(found.probabilities).all()


def test_colour_becomes_grey_as_in_files():
    colour = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(colour).convert("F"))
    fitted = segmenter().fit([picture(blob((50, 40)))], [blob((50, 40))])
    np.testing.assert_allclose(
        fitted.predict(colour).probabilities, fitted.predict(grey).probabilities, atol=1e-3
    )


def test_a_window_clips():
    mask = blob((60, 60))
    image = np.where(mask > 0, 300.0, 0.0)
    image[-1, -1] = 30_000
    assert not segmenter().fit([image], [mask]).predict(image).mask[mask > 0].any()
    windowed = segmenter(window=(0, 300)).fit([image], [mask]).predict(image).mask
    assert dice(windowed == 1, mask == 1) >= 0.95


def test_percentiles_clip_what_is_above_zero():
    mask = blob((60, 60))
    image = np.where(mask > 0, 300.0, 100.0)
    image[:20] = 0
    image[-1, -1] = 30_000
    clipped = np.clip(image, *np.percentile(image[image > 0], (5, 95)))
    one = segmenter(percentiles=(5, 95)).fit([image], [mask]).predict(image)
    other = segmenter().fit([clipped], [mask]).predict(clipped)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({"window": (0, 1), "percentiles": (1, 99)}, "exclude each other"),
        ({"window": (5, 5)}, "The range from 5 to 5 is empty"),
        ({"percentiles": (99, 1)}, "The range from 99 to 1 is empty"),
        ({"percentiles": (-1, 99)}, "no percentiles from -1 to 99"),
        ({"window": (float("nan"), 1)}, "The range from nan to 1 is empty"),
    ],
)
def test_ranges_that_cannot_be_are_refused(ends, said):
    with pytest.raises(MegaMedicalError, match=said):
        segmenter(**ends)


def test_a_volume_is_shown_the_nearest_planes():
    images = np.zeros((10, 128, 128), np.float16)
    examples = [Example(images, {1: images}), Example(images[:5], {1: images[:5]})]
    support = Support(examples, {1: "any"}, size=3, seed=0)
    shown = support.shared(1, 0, [0.05, 0.06, 0.95])
    assert list(shown.values()) == [[0, 1], [2]]
    assert list(shown) == [((0, 0), (0, 1), (1, 0)), ((0, 8), (0, 9), (1, 4))]


def test_each_label_is_drawn_from_the_examples_that_show_it():
    plane = np.zeros((1, 128, 128), np.float16)
    examples = [Example(plane, {1 + number % 2: plane}) for number in range(10)]
    support = Support(examples, {1: "even", 2: "odd"}, size=3, seed=0)
    for draw in range(5):
        for label in (1, 2):
            ((picks, _),) = support.shared(label, draw, [0.5]).items()
            assert len(set(picks)) == 3
            assert {example % 2 for example, _ in picks} == {label - 1}


MASK = blob((40, 30))
IMAGE = picture(MASK)
GREYS = np.arange(1200, dtype=np.uint16).reshape(40, 30)


@pytest.mark.parametrize(
    ("images", "masks", "labels", "said"),
    [
        ([], [], None, "There are no examples"),
        ([IMAGE], [], None, "1 images came with 0 masks"),
        ([IMAGE], [MASK * 0], None, "All masks are empty"),
        ([IMAGE], [MASK], {1: "cell", 2: "lumen"}, r"No mask shows lumen \(value 2\)"),
        ([IMAGE], [MASK[1:]], None, "its mask is 39 x 30, the image 40 x 30"),
        ([IMAGE * 0], [MASK], None, "the image is constant"),
        ([np.where(MASK, np.nan, 1)], [MASK], None, "NaN"),
        ([IMAGE], [MASK * 0.5], None, "0.5, which is no label value"),
        ([IMAGE], [MASK.astype(np.int8) * -1], None, "holds -1, labels are above 0"),
        ([IMAGE], [GREYS], None, "1199 values, which are shades of grey"),
        ([np.zeros((4, 40, 30))], [MASK], None, r"has shape \(4, 40, 30\)"),
    ],
)
def test_what_is_wrong_with_examples_is_said(images, masks, labels, said):
    with pytest.raises((SupportError, SubjectError), match=said):
        segmenter().fit(images, masks, labels)


def test_what_is_wrong_with_a_query_is_said():
    with pytest.raises(SupportError, match="Call `fit`"):
        segmenter().predict(IMAGE)
    with pytest.raises(SubjectError, match="constant"):
        segmenter().fit([IMAGE], [MASK]).predict(IMAGE * 0)
