"""Methods by name, what they find in simple pictures, and a user's own."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import own_models
import pytest
import torch

from benchmark.method import About, Method, MethodError, Support, make_method, method_names
from benchmark.methods.budget import Budget
from benchmark.methods.mean_mask import MeanMask
from benchmark.methods.nearest import Nearest, similarity
from benchmark.methods.network import Network
from benchmark.methods.pixel_forest import PixelForest
from benchmark.methods.registration import Registration
from benchmark.methods.supervised import Supervised
from universeg.network.universeg import UniverSeg
from universeg.tuning.pixels import filtered
from universeg.weights.card import ModelCard
from universeg.weights.models import save, save_model

SIDE = 48


def blob(down=0, right=0, radius=9):
    rows, columns = np.indices((SIDE, SIDE))
    distance = np.hypot(rows - SIDE / 2 - down, columns - SIDE / 2 - right)
    return np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)


def picture(mask, seed=0):
    noise = np.random.default_rng(seed).normal(0, 0.02, mask.shape)
    return np.clip(0.2 + 0.6 * mask + noise, 0, 1).astype(np.float32)


def support_of(masks):
    images = [picture(mask, seed) for seed, mask in enumerate(masks)]
    return Support(np.stack(images), np.stack(masks))


def grained(mask, seed):
    """Coarse grain inside of a mask and fine grain outside, both of the same mean."""
    rng = np.random.default_rng(seed)
    fine = rng.normal(0, 0.15, mask.shape)
    coarse = 0.15 * np.kron(rng.normal(size=(SIDE // 4, SIDE // 4)), np.ones((4, 4)))
    return np.clip(0.5 + np.where(mask > 0.5, coarse, fine), 0, 1).astype(np.float32)


def dice(found, truth):
    found, truth = found > 0.5, truth > 0.5
    return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))


def tiny_supervised(steps=4):
    return Supervised(features=(8, 16, 16), budget=Budget(steps, "steps"), batch=4, evaluations=4)


def quick_registration():
    return Registration(atlases=2, affine_steps=10, demons_steps=(4, 2))


class Bright(torch.nn.Module):
    """Finds what is as bright as what is labelled in the support, which all queries share."""

    def forward(self, query, images, labels):
        meant = (images * labels).sum() / labels.sum().clamp(min=1)
        return 40 * (0.2 - (query - meant).abs())


METHODS = {
    "mean-mask": MeanMask,
    "nearest": Nearest,
    "registration": quick_registration,
    "pixel-forest": PixelForest,
    "supervised": tiny_supervised,
    "network": lambda: Network(Bright(), About("bright", "no paper")),
}
SCATTERED = support_of([blob(down, right) for down, right in ((-6, 0), (5, 5), (0, -7), (3, 8))])
QUERIES = np.stack([picture(blob(*where), 9) for where in ((0, 0), (4, -4), (7, 7))])
TRUTH = np.stack([blob(*where) for where in ((0, 0), (4, -4), (7, 7))])


def answer(method, support, queries=QUERIES, seed=0):
    method.fit(support, seed)
    return method.predict(queries)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("size", [1, 4])
def test_gives_a_probability_for_each_pixel(name, size):
    support = Support(SCATTERED.images[:size], SCATTERED.masks[:size])
    found = answer(METHODS[name](), support)
    assert found.shape == QUERIES.shape
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.any()


@pytest.mark.parametrize("name", METHODS)
def test_says_the_same_again_and_remembers_no_other_support(name):
    method = METHODS[name]()
    first = answer(method, SCATTERED, seed=3)
    other = Support(1 - SCATTERED.images[:2], 1 - SCATTERED.masks[:2])
    assert (answer(method, other, seed=3) != first).any()
    np.testing.assert_array_equal(answer(method, SCATTERED, seed=3), first)
    np.testing.assert_array_equal(answer(METHODS[name](), SCATTERED, seed=3), first)


@pytest.mark.parametrize("name", METHODS)
def test_a_query_is_answered_whatever_the_others_are(name):
    method = METHODS[name]()
    together = answer(method, SCATTERED)
    alone = [method.predict(query[None])[0] for query in QUERIES]
    np.testing.assert_allclose(together, alone, atol=0.02 if name == "supervised" else 1e-5)


@pytest.mark.parametrize("name", ["mean-mask", "nearest", "registration", "pixel-forest"])
def test_finds_nothing_where_the_support_shows_nothing_and_all_where_it_shows_all(name):
    nothing = replace(SCATTERED, masks=np.zeros_like(SCATTERED.masks))
    assert not answer(METHODS[name](), nothing).any()
    everything = replace(SCATTERED, masks=np.ones_like(SCATTERED.masks))
    middle = answer(METHODS[name](), everything)[:, 12:-12, 12:-12]
    np.testing.assert_allclose(middle, 1, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_an_empty_support_mask_and_a_blank_query_do_no_harm(name):
    masks = SCATTERED.masks.copy()
    masks[0] = 0
    blank = np.zeros((1, SIDE, SIDE), np.float32)
    found = answer(METHODS[name](), Support(SCATTERED.images, masks), blank)
    assert np.isfinite(found).all()


def test_the_mean_mask_is_the_mean():
    expected = SCATTERED.masks.astype(float).mean(axis=0)
    for found in answer(MeanMask(), SCATTERED):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_nearest_of_duplicates_is_the_duplicate():
    order = [2, 0, 3]
    np.testing.assert_array_equal(
        answer(Nearest(), SCATTERED, SCATTERED.images[order]), SCATTERED.masks[order]
    )


def test_similarity_is_the_correlation_whatever_the_contrast():
    rng = np.random.default_rng(0)
    queries, images = rng.random((2, 9, 7)), rng.random((3, 9, 7))
    expected = np.corrcoef(queries.reshape(2, -1), images.reshape(3, -1))[:2, 2:]
    np.testing.assert_allclose(similarity(queries, images, blur=0), expected)
    np.testing.assert_allclose(similarity(0.3 * queries + 0.1, images, blur=0), expected)


def test_registration_follows_what_moved_grew_and_bent():
    support = support_of([blob(-6, 0), blob(0, -7)])
    for truth in (blob(4, 4), blob(0, 0, radius=12), np.maximum(blob(0, -2), blob(0, 4))):
        query = picture(truth, 9)[None]
        found = dice(answer(Registration(), support, query)[0], truth)
        assert found > 0.9
        assert found > dice(answer(MeanMask(), support, query)[0], truth) + 0.1


def test_a_forest_tells_grain_from_grain():
    masks = [blob(*where) for where in ((-8, 0), (8, 8), (0, -8), (6, -8))]
    images = [grained(mask, seed) for seed, mask in enumerate(masks)]
    support, truth = Support(np.stack(images), np.stack(masks)), blob(-6, 8)
    query = grained(truth, 9)[None]
    found = dice(answer(PixelForest(), support, query)[0], truth)
    assert found > dice(answer(MeanMask(), support, query)[0], truth) + 0.2


def test_a_forest_computes_the_features_of_an_image_once(monkeypatch):
    computed = []

    def counting(image, sigma):
        computed.append(sigma)
        return filtered(image, sigma)

    monkeypatch.setattr("universeg.tuning.pixels.filtered", counting)
    method = PixelForest(sigmas=(1.0,), trees=2)
    for _ in range(3):
        answer(method, SCATTERED)
    assert len(computed) == len(SCATTERED.images) + len(QUERIES)


def test_filters_measure_a_paraboloid():
    rows, columns = np.indices((41, 41)) - 20.0
    sigma = 2.0
    image = 0.5 * (3 * rows**2 + columns**2)
    maps = [each[20, 24] for each in filtered(image, sigma)]  # at row 0, column 4: slope (0, 4)
    smooth, gradient, laplacian, larger, smaller, *_ = maps
    assert smooth == pytest.approx(8 + 0.5 * sigma**2 * 4, rel=0.01)
    assert gradient == pytest.approx(sigma * 4, rel=0.01)
    assert laplacian == pytest.approx(sigma**2 * 4, rel=0.01)
    assert [larger, smaller] == pytest.approx([sigma**2 * 3, sigma**2], rel=0.01)


def test_the_structure_tensor_of_a_slope_has_one_eigenvalue():
    slope = np.indices((41, 41))[1] * 0.1
    *_, larger, smaller = (each[20, 20] for each in filtered(slope, 2.0))
    assert larger == pytest.approx(2.0 * 0.1, rel=1e-3)
    assert smaller == pytest.approx(0, abs=1e-6)


def test_supervised_learns_what_is_easy():
    pool = support_of([blob(*where) for where in np.random.default_rng(0).integers(-8, 9, (8, 2))])
    found = answer(tiny_supervised(steps=24), pool)
    assert np.mean([dice(*pair) for pair in zip(found, TRUTH, strict=True)]) > 0.9
    assert Supervised.uses_pool


def test_all_methods_have_names_and_those_without_weights_can_be_made():
    networks = {"universeg", "panet", "alpnet", "senet"}
    free = {"mean-mask", "nearest", "registration", "pixel-forest", "supervised"}
    assert networks | free <= set(method_names())
    for name in free:
        about = make_method(name).about
        assert about.name == name
        assert name == "mean-mask" or "DOI 10." in about.follows


def test_a_method_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(MethodError, match="no method qqq") as error:
        make_method("qqq")
    assert "mean-mask" in error.value.remedy
    assert "registration" in error.value.remedy
    with pytest.raises(MethodError) as error:
        make_method("mean-maks")
    assert error.value.remedy == "Did you mean mean-mask?"


@pytest.mark.parametrize("asked", ["panet", "nearest:3", "supervised:600"])
def test_an_argument_too_few_or_too_many_is_refused(asked):
    with pytest.raises(MethodError, match=f"{asked} cannot be made"):
        make_method(asked)


CARD = ModelCard(
    model="universeg",
    architecture={},
    megamedical="0",
    store="a" * 64,
    groups={"acdc/challenge2017": "b" * 64},
    tasks=3,
    unseen=(),
    step=7,
    scores={},
    settings={},
)


def test_a_network_answers_as_it_does_alone_and_says_what_it_has_seen(tmp_path):
    torch.manual_seed(0)
    model = UniverSeg([4, 4], [4]).eval()
    path = tmp_path / "weights.safetensors"
    save(model, path, CARD)
    method = make_method(f"universeg:{path}")
    assert method.about.weights == hashlib.sha256(path.read_bytes()).hexdigest()
    assert method.about.trained_on == CARD.groups
    queries = np.repeat(QUERIES, 7, axis=0)  # more than one batch
    found = answer(method, SCATTERED, queries)
    images, masks = (torch.from_numpy(each)[None, :, None] for each in vars(SCATTERED).values())
    for query, one in zip(queries[:3], found[:3], strict=True):
        with torch.no_grad():
            expected = model(torch.from_numpy(query)[None, None], images, masks).sigmoid()[0, 0]
        np.testing.assert_allclose(one, expected.numpy(), atol=1e-5)


def test_weights_of_another_model_are_refused(tmp_path):
    theirs, ours = tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors"
    save_model(own_models.Line(), theirs, CARD.model_copy(update={"model": "line"}))
    save(UniverSeg([4, 4], [4]), ours)
    with pytest.raises(MethodError, match="holds the weights of line, not of universeg"):
        make_method(f"universeg:{theirs}")
    with pytest.raises(MethodError, match="holds the weights of universeg, not of panet") as error:
        make_method(f"panet:{ours}")
    assert f"universeg:{ours}" in error.value.remedy


OWN = '''
import numpy as np
from benchmark.method import About, Method

class Threshold(Method):
    """What is brighter than a grey value that lies between the labelled and the rest."""

    @property
    def about(self):
        return About("threshold", follows="no paper")

    def fit(self, support, seed):
        inside = support.masks > 0.5
        self._level = (support.images[inside].mean() + support.images[~inside].mean()) / 2

    def predict(self, queries):
        return (queries > self._level).astype(np.float32)
'''


def test_a_method_of_another_package_is_one_like_the_others(tmp_path, monkeypatch):
    (tmp_path / "own_method.py").write_text(OWN)
    about = tmp_path / "own_method-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-method\nVersion: 1\n")
    (about / "entry_points.txt").write_text(
        "[megamedical.methods]\nthreshold = own_method:Threshold\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    method = make_method("threshold")
    assert isinstance(method, Method)
    found = answer(method, SCATTERED)
    assert min(dice(*pair) for pair in zip(found, TRUTH, strict=True)) > 0.95
