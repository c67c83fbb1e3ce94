"""The few-shot networks compute what their papers say, and learn from a support."""

from __future__ import annotations

import re
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom
from scipy.special import expit, softmax
from tiny_store import Discs, write_store
from torch.nn import functional

from benchmark.models.alpnet import ALPNet
from benchmark.models.panet import PANet
from benchmark.models.prototypes import Prototypes, compare, masked_average
from benchmark.models.senet import SENet
from megamedical.reporting.progress import Silence
from universeg.training.config import Config
from universeg.training.losses import dice_score, soft_dice
from universeg.training.run import train
from universeg.training.team import Team
from universeg.weights.card import ModelCard
from universeg.weights.models import ModelError, load_model, make_model, save_model

WIDTHS = [4, 8, 8, 8, 8]
TINY = {
    "panet": {"widths": WIDTHS},
    "alpnet": {"widths": WIDTHS, "training_window": 2, "window": 1},
    "senet": {"features": 8, "conditioner_features": 8, "levels": 3},
}
every_model = pytest.mark.parametrize("name", TINY)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def tiny(name, **changes):
    torch.manual_seed(0)
    return make_model(name, TINY[name] | changes)


def episode(queries=2, support=3, size=(32, 32), seed=0):
    """Noise, and masks that are soft at their borders."""
    rng = torch.Generator().manual_seed(seed)
    query = torch.rand(queries, 1, *size, generator=rng)
    images = torch.rand(queries, support, 1, *size, generator=rng)
    coarse = torch.rand(queries, support, 4, 4, generator=rng)
    masks = functional.interpolate(coarse, size, mode="bilinear").mul(8).sub(4).clamp(0, 1)
    return query, images, masks[:, :, None]


def cosine(one, other):
    return one @ other / (np.linalg.norm(one) * np.linalg.norm(other))


def features_of(model, images):
    """(B, N, 1, H, W) to (B, N, C, h, w)."""
    with torch.no_grad():
        return torch.stack([model.encoder(each) for each in images]).numpy()


def enlarged(plane, factor=4):
    """Bilinear, with pixels as areas, by SciPy."""
    return zoom(plane, factor, order=1, grid_mode=True, mode="grid-constant", cval=0) / zoom(
        np.ones_like(plane), factor, order=1, grid_mode=True, mode="grid-constant", cval=0
    )


def panet_prototypes(features, masks):
    """Background and foreground, (2, C), of features (S, C, h, w) and masks (S, H, W)."""
    factor = masks.shape[-1] // features.shape[-1]
    large = np.stack([[enlarged(plane, factor) for plane in each] for each in features])
    return [
        np.mean(
            [
                (each * mask).sum((1, 2)) / mask.sum()
                for each, mask in zip(large, part, strict=True)
            ],
            axis=0,
        )
        for part in (1 - masks, masks)
    ]


def panet_logits(features, prototypes):
    """20 (cos to the foreground - cos to the background), (h, w), of features (C, h, w)."""
    background, foreground = prototypes
    _, height, width = features.shape
    logits = np.empty((height, width))
    for row, column in np.ndindex(height, width):
        pixel = features[:, row, column]
        logits[row, column] = 20 * (cosine(pixel, foreground) - cosine(pixel, background))
    return logits


class TestPANet:
    def test_a_masked_average_is_that_of_enlarged_features(self):
        features = torch.tensor([[1.0, 3.0], [5.0, 7.0]])[None, None, None]
        whole = torch.ones(1, 1, 8, 8)
        left = whole.clone()
        left[..., 4:] = 0
        corner = torch.zeros(1, 1, 8, 8)
        corner[..., 0, 7] = 0.3
        for mask, mean in ((whole, 4.0), (left, 4.0 - 0.75), (corner, 3.0)):
            assert masked_average(features, mask).item() == pytest.approx(mean, rel=1e-4)
        assert masked_average(features, 0 * whole).item() == 0

    def test_a_logit_is_the_difference_of_cosines_to_the_prototypes(self):
        model, (query, images, masks) = tiny("panet").eval(), episode()
        found = model(query, images, masks).detach().numpy()
        queries, support = features_of(model, query[:, None]), features_of(model, images)
        for number in range(len(query)):
            prototypes = panet_prototypes(support[number], masks[number, :, 0].numpy())
            expected = enlarged(panet_logits(queries[number, 0], prototypes))
            np.testing.assert_allclose(found[number, 0], expected, atol=2e-3)

    def test_alignment_is_the_cross_entropy_of_the_support_as_the_query_segments_it(self):
        model, (query, images, masks) = tiny("panet", alignment=0.7), episode()
        _, loss = model(query, images, masks)
        queries, support = features_of(model, query[:, None]), features_of(model, images)
        losses = []
        for number, truth in enumerate(masks[:, :, 0].numpy()):
            logits = panet_logits(queries[number, 0], panet_prototypes(support[number], truth))
            found = (logits > 0).astype(float)
            assert 0 < found.mean() < 1
            swapped = panet_prototypes(queries[number], found[None])
            for features, mask in zip(support[number], truth, strict=True):
                share = expit(enlarged(panet_logits(features, swapped)))
                entropy = mask * np.log(share) + (1 - mask) * np.log(1 - share)
                losses.append(-entropy.mean())
        assert loss.item() == pytest.approx(0.7 * np.mean(losses), rel=1e-3)

    def test_an_episode_in_which_nothing_is_found_adds_no_alignment(self):
        torch.manual_seed(0)
        queries, support = torch.randn(2, 1, 5, 4, 4), torch.randn(2, 3, 5, 4, 4)
        found, masks = torch.randn(2, 1, 4, 4), torch.rand(2, 3, 8, 8)
        found[1] = -1
        both = PANet(WIDTHS).alignment_loss(queries, found, support, masks)
        first = PANet(WIDTHS).alignment_loss(queries[:1], found[:1], support[:1], masks[:1])
        assert both.item() == pytest.approx(first.item() / 2)


class TestALPNet:
    # Two images of 4 x 4 features with windows of 2 x 2.
    FEATURES = np.zeros((2, 2, 4, 4), np.float32)
    FEATURES[0, 0] = np.arange(16).reshape(4, 4)
    FEATURES[0, 1] = 1
    FEATURES[1, 0] = -3
    FEATURES[1, 1] = np.arange(16).reshape(4, 4).T
    MASKS = np.zeros((2, 4, 4), np.float32)
    MASKS[0, :2, :2] = 1
    MASKS[0, 2, 2] = 0.1  # its window is 0.025 foreground: background all the same
    MASKS[1, 0, 0] = 1  # its window is 0.25 foreground: neither

    def taken(self, masks):
        model = ALPNet(WIDTHS, window=2).eval()
        return model.prototypes(torch.tensor(self.FEATURES)[None], torch.tensor(masks)[None])

    def test_windows_stand_for_the_class_that_they_lie_in(self):
        found = self.taken(self.MASKS)
        background, foreground = (found.vectors[0, mine].tolist() for mine in found.members[0])
        assert background == [[4.5, 1], [10.5, 1], [12.5, 1], [-3, 10.5], [-3, 4.5], [-3, 12.5]]
        whole = (np.array([0 + 1 + 4 + 5, 4]) + 0.1 * np.array([10, 1])) / 4.1
        expected = [[2.5, 1], whole, [-3, 0]]
        np.testing.assert_allclose(foreground, expected, atol=1e-4)

    def test_a_foreground_smaller_than_any_window_has_its_mean_feature(self):
        found = self.taken(np.stack([np.zeros((4, 4), np.float32), self.MASKS[1]]))
        foreground = found.vectors[0, found.members[0, 1]]
        np.testing.assert_allclose(foreground, [[-3, 0]], atol=1e-4)

    def test_a_background_smaller_than_any_window_has_its_mean_feature(self):
        masks = np.ones((2, 4, 4), np.float32)
        masks[1, 3, 3] = 0
        found = self.taken(masks)
        background = found.vectors[0, found.members[0, 0]]
        np.testing.assert_allclose(background, [[-3, 15]], atol=1e-3)

    def test_the_windows_are_larger_in_training(self):
        model = ALPNet(WIDTHS, training_window=4, window=2)
        given = torch.tensor(self.FEATURES)[None], torch.tensor(self.MASKS)[None]
        sizes = [
            model.train(training).prototypes(*given).vectors.shape[1] for training in (True, False)
        ]
        assert sizes == [2 * 1 + 4, 2 * 4 + 4]

    def test_a_logit_is_the_difference_of_weighted_similarities(self):
        rng = np.random.default_rng(0)
        vectors, pixels = rng.normal(size=(5, 3)), rng.normal(size=(3, 2, 4))
        members = np.array([[1, 0, 0, 1, 1], [0, 1, 0, 0, 1]], bool)
        expected = np.empty((2, 4))
        for place in np.ndindex(2, 4):
            similarity = np.array([20 * cosine(pixels[:, *place], vector) for vector in vectors])
            background, foreground = (
                (softmax(similarity[mine]) * similarity[mine]).sum() for mine in members
            )
            expected[place] = foreground - background
        given = [torch.tensor(array)[None] for array in (pixels[None], vectors, members)]
        found = compare(given[0], Prototypes(*given[1:]))
        np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)

    def test_nothing_resembles_a_class_without_prototypes(self):
        vectors, features = torch.eye(2)[None], torch.tensor([3.0, 4.0]).view(1, 1, 2, 1, 1)
        for members, logit in (
            (([0, 1], [0, 0]), -16),
            (([0, 0], [1, 0]), 12),
            (([0, 0], [0, 0]), 0),
        ):
            found = compare(features, Prototypes(vectors, torch.tensor([members]).bool()))
            assert found.item() == pytest.approx(logit, rel=1e-5)


def plain_arm(arm, map_, gates):
    """The gated maps of an arm: down with pooling, then up to where the maxima were."""
    maps, places = [], []
    for number, block in enumerate((*arm.encoder, arm.bottleneck, *arm.decoder)):
        if number > len(arm.encoder):
            map_ = functional.max_unpool2d(map_, places.pop(), 2)
        map_ = block(map_)
        if number < len(arm.encoder):
            map_, place = functional.max_pool2d(map_, 2, return_indices=True)
            places.append(place)
        map_ = map_ * gates[number]
        maps.append(map_)
    return maps


class TestSENet:
    @torch.no_grad()
    def test_each_map_of_the_segmenter_is_multiplied_with_a_squeezed_one_of_the_conditioner(self):
        model, (query, images, masks) = tiny("senet").eval(), episode(1, 3)
        gates_of_each = []
        for image, mask in zip(images[0], masks[0], strict=True):
            maps = plain_arm(model.conditioner, torch.stack([image, mask], 1), [1.0] * 7)
            gates_of_each.append([])
            for squeeze, map_ in zip(model.squeezes, maps, strict=True):
                weights, bias = squeeze.weight[0, :, 0, 0].numpy(), squeeze.bias.item()
                squeezed = np.tensordot(weights, map_[0].numpy(), 1) + bias
                gates_of_each[-1].append(1 / (1 + np.exp(-squeezed)))
        gates = [torch.tensor(np.mean(of_map, 0)) for of_map in zip(*gates_of_each, strict=True)]
        *_, last = plain_arm(model.segmenter, query, gates)
        weights, bias = model.classifier.weight[0, :, 0, 0], model.classifier.bias
        expected = np.tensordot(weights.numpy(), last[0].numpy(), 1) + bias.item()
        np.testing.assert_allclose(model(query, images, masks)[0, 0], expected, atol=1e-5)


@every_model
@pytest.mark.parametrize("support", [1, 5])
@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_logits_have_the_size_of_the_query(name, support, size):
    model = tiny(name).eval()
    logits = model(*episode(3, support, size))
    assert logits.shape == (3, 1, *size)
    assert logits.isfinite().all()


@every_model
def test_the_order_of_the_support_and_what_is_beside_in_the_batch_do_not_matter(name):
    model, (query, images, masks) = tiny(name).eval(), episode(3, 4)
    expected = model(query, images, masks)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(
        model(query[1:2], images[1:2, order], masks[1:2, order]),
        expected[1:2],
        atol=1e-4,
        rtol=1e-4,
    )
    assert (model(query[1:2], images[:1], masks[:1]) - expected[1:2]).abs().max() > 1e-3


@every_model
def test_queries_may_share_one_support(name):
    model, (query, images, masks) = tiny(name).eval(), episode(3)
    each = [model(one[None], images[:1], masks[:1]) for one in query]
    together = model(query, images[:1], masks[:1])
    torch.testing.assert_close(together, torch.cat(each), atol=1e-4, rtol=1e-4)


def learnt(model, given):
    """Logits, and the loss that the model has besides."""
    answer = model(*given)
    return answer if isinstance(answer, tuple) else (answer, torch.zeros(()))


@every_model
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_masks_that_are_empty_or_full_give_finite_logits_and_gradients(name, share):
    query, images, masks = episode()
    masks = torch.full_like(masks, share)
    model = tiny(name)
    logits, own_loss = learnt(model, (query, images, masks))
    (soft_dice(logits, torch.ones_like(query)) + own_loss).backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@every_model
def test_gradients_reach_every_weight(name):
    model, given = tiny(name), episode()
    logits, _ = learnt(model, given)
    logits.square().mean().backward()
    assert [n for n, parameter in model.named_parameters() if not parameter.grad.any()] == []


@every_model
def test_bfloat16_changes_little(name):
    model, given = tiny(name), episode()
    expected, loss = learnt(model, given)
    with torch.autocast("cpu", torch.bfloat16):
        found, other_loss = learnt(model, given)
    both = torch.stack([found.float().flatten(), expected.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.9
    assert other_loss.item() == pytest.approx(loss.item(), rel=0.1)


def blobs(count, support, rng, size=32):
    """Bright discs on a darker, noisy ground; the mask is where they are."""
    rows, columns = np.indices((size, size))
    drawn = rng.uniform((8, 8, 4), (24, 24, 7), (count * (1 + support), 3))
    y, x, radius = drawn.T[..., None, None]
    masks = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    images = np.where(masks, 0.8, 0.3) + rng.normal(0, 0.1, masks.shape)
    both = np.stack([images.clip(0, 1), masks]).reshape(2, count, 1 + support, 1, size, size)
    images, masks = torch.tensor(both, dtype=torch.float32)
    return (images[:, 0], images[:, 1:], masks[:, 1:]), masks[:, 0]


@every_model
def test_learns_to_find_what_is_bright(name):
    model, rng = tiny(name), np.random.default_rng(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(30):
        given, truth = blobs(6, 2, rng)
        logits, own_loss = learnt(model, given)
        optimiser.zero_grad()
        (soft_dice(logits, truth) + own_loss).backward()
        optimiser.step()
    given, truth = blobs(16, 2, rng)
    with torch.inference_mode():
        found = dice_score(model.eval()(*given).sigmoid(), truth).mean()
    mean_mask = dice_score(given[2].mean(1) >= 0.5, truth).mean()
    assert found > mean_mask + 0.3


@every_model
def test_weights_are_saved_and_loaded(name, tmp_path):
    model, given = tiny(name).eval(), episode()
    card = ModelCard(
        model=name,
        architecture=TINY[name],
        megamedical="0",
        store="a" * 64,
        groups={},
        tasks=1,
        unseen=(),
        step=1,
        scores={},
        settings={},
    )
    save_model(model, tmp_path / "weights.safetensors", card)
    loaded = load_model(tmp_path / "weights.safetensors").eval()
    assert torch.equal(loaded(*given), model(*given))


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("panet", {"widths": [4, 8]}), ("alpnet", {"levels": 3}), ("senet", {"widths": [8]})],
)
def test_an_architecture_that_cannot_be_is_refused(name, architecture):
    with pytest.raises(ModelError, match=f"{name} cannot be made so"):
        make_model(name, architecture)


@pytest.mark.parametrize(
    ("model", "weights"), [(PANet, 921_552), (ALPNet, 921_552), (SENet, 875_196)]
)
def test_as_they_come_they_are_as_large_as_universeg(model, weights):
    found = sum(parameter.numel() for parameter in model().parameters())
    assert found == weights
    assert 0.7 < found / 1_182_785 < 1.4


class Losses(Silence):
    """Remembers the losses of a run."""

    def __init__(self) -> None:
        self.heard = []

    @contextmanager
    def stage(self, *_: object):
        yield lambda what="": self.heard.append(float(re.search(r"loss ([\d.]+)", what)[1]))


def test_in_training_the_loss_by_alignment_is_added(tmp_path):
    store = write_store(tmp_path / "store", Discs("plain"))
    first = {}
    for alignment in (0, 1, 3):
        config = Config(
            model="panet",
            architecture=TINY["panet"] | {"alignment": alignment},
            resolution=16,
            support_size=2,
            batch_size=2,
            steps=1,
            cache="none",
            workers=0,
        )
        listener = Losses()
        team = Team(0, 1, torch.device("cpu"))
        train(config, store, tmp_path / f"run{alignment}", team, listener)
        (first[alignment],) = listener.heard
    assert first[1] > first[0]
    assert first[3] - first[0] == pytest.approx(3 * (first[1] - first[0]), abs=0.005)
