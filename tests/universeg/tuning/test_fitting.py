"""Learning from labelled slices: what is left out stays unseen, and what is worse is not used."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from universeg.network.unet import UNet
from universeg.network.universeg import UniverSeg
from universeg.training.augmentation import Augmentation, augment_batch, augment_stacks
from universeg.tuning.choosing import choose
from universeg.tuning.clock import Clock
from universeg.tuning.finder import Average, logit, sigmoid
from universeg.tuning.fitting import WAYS, expect, fit
from universeg.tuning.in_context import InContext
from universeg.tuning.left_out import leave_out
from universeg.tuning.support import Example, Support
from universeg.tuning.ways import Branch

SIDE = 32


class Spy(torch.nn.Module):
    """Finds nothing, and remembers the queries and what it was shown with them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = []

    def forward(self, query, images, labels):  # noqa: ARG002
        self.seen.append((query[:, 0].numpy(), images[0, :, 0].numpy()))
        return torch.zeros_like(query)


class Level(torch.nn.Module):
    """Finds what is brighter than a level, whatever it is shown."""

    def __init__(self, level=0.5) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.tensor(level))

    def forward(self, query, images, labels):  # noqa: ARG002
        return 20 * (query - self.level)


def pictures(count, seed=0, level=0.6):
    rng = np.random.default_rng(seed)
    images = rng.random((count, SIDE, SIDE)).astype(np.float32)
    return images, (images > level).astype(np.float32)


def volumes(count, planes=6, labels=(1, 2)):
    rng = np.random.default_rng(1)
    examples = []
    for _ in range(count):
        images = rng.random((planes, SIDE, SIDE)).astype(np.float16)
        masks = {label: (images > 0.4 + 0.2 * label).astype(np.float16) for label in labels}
        examples.append(Example(images, masks))
    return Support(examples, {label: f"label {label}" for label in labels}, 4, 0)


@settings(max_examples=15, deadline=None)
@given(scans=st.integers(2, 5), planes=st.integers(1, 4), most=st.integers(2, 9))
def test_what_is_left_out_is_not_shown(scans, planes, most):
    support = volumes(scans, planes)
    network = Spy()
    leave_out(InContext(network, support), most)
    of_example = [{plane.tobytes() for plane in each.images} for each in support.examples]
    for queries, images in network.seen:
        shown = {image.astype(np.float16).tobytes() for image in images}
        for query in queries:
            (own,) = (each for each in of_example if query.astype(np.float16).tobytes() in each)
            assert not shown & own


def test_mirror_images_are_turned_back():
    class Corner(torch.nn.Module):
        """Finds what its examples have in common."""

        def forward(self, query, images, labels):  # noqa: ARG002
            return (8 * labels.mean(dim=1) - 4).expand(query.shape)

    images, masks = pictures(2)
    masks[:] = 0
    masks[:, :8, :5] = 1
    support = Support.of_pictures(images, masks)
    plain, flipped = (InContext(Corner(), support, flips=flips) for flips in (False, True))
    assert np.allclose(plain.logits(images), flipped.logits(images), atol=1e-4)


def test_planes_of_two_scans_are_left_out_however_little_time_there_is():
    known = leave_out(InContext(Spy(), volumes(4)), 16, Clock(0))
    assert len(set(known.scans)) == 2


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_fit_takes_whatever_number_of_pictures(count):
    images, masks = pictures(count)
    network = UniverSeg((4, 4), (4,))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fitted = fit(network, Support.of_pictures(images, masks), budget=0.2)
    found = fitted.probabilities(images)
    assert found.shape == images.shape
    assert 0 <= found.min() <= found.max() <= 1
    assert fitted.chosen and fitted.why
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


def test_several_labels_of_volumes_are_learnt_together():
    support = volumes(3)
    fitted = fit(UniverSeg((4, 4), (4,)), support, budget=0.2)
    queries = support.images(support.planes[:5])
    assert fitted.finder.logits(queries, [0.1, 0.3, 0.5, 0.7, 0.9]).shape == (5, 2, SIDE, SIDE)


def test_what_the_network_lacks_is_learnt():
    images, masks = pictures(6)
    others, truth = pictures(2, seed=9)
    fitted = fit(Level(0.3), Support.of_pictures(images, masks), ways=("forest",), budget=1)
    assert "forest" in fitted.chosen
    wrong = np.mean((fitted.probabilities(others) > 0.5) != (truth > 0.5))
    assert wrong < 0.1 < np.mean((others > 0.3) != (truth > 0.5))


def test_a_way_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="there is no way"):
        fit(Level(), Support.of_pictures(*pictures(2)), ways=("magic",))


def test_what_is_broken_off_keeps_the_best_so_far(monkeypatch):
    def broken_off(*_):  # noqa: ANN002
        raise KeyboardInterrupt

    monkeypatch.setattr(Branch, "learn", broken_off)
    said = []
    support = Support.of_pictures(*pictures(4))
    fitted = fit(Level(0.6), support, ways=("branch",), budget=1, say=said.append)
    assert fitted.chosen == ("in context",)
    assert any("best so far" in line for line in said)


def test_what_is_broken_off_at_once_is_the_network_as_it_is(monkeypatch):
    def broken_off(*_):  # noqa: ANN002
        raise KeyboardInterrupt

    monkeypatch.setattr(InContext, "left_out", broken_off)
    fitted = fit(Level(0.6), Support.of_pictures(*pictures(4)), budget=1)
    assert fitted.chosen == ("in context",) and not fitted.expected


def test_a_branch_adds_nothing_before_it_learns():
    support = Support.of_pictures(*pictures(3))
    shown = InContext(Level(0.6), support)
    known = leave_out(shown, 8)
    branch = Branch(known, seed=0, device="cpu")
    given_maps = np.clip(known.maps, -9, 9)
    assert np.allclose(branch.finder.add_to(known.images, given_maps), given_maps, atol=1e-3)


def test_bfloat16_learns_too(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    support = Support.of_pictures(*pictures(4))
    fitted = fit(UniverSeg((4, 4), (4,)), support, ways=("branch", "tuned"), budget=1)
    assert all(0 <= dice <= 1 for dice in fitted.dice.values())


def test_a_network_from_nothing_begins_with_the_share_of_each_label():
    network = UNet(2, False, [0.1, 0.3])
    with torch.no_grad():
        bias = network.out.bias.view(2, -1)
    assert torch.allclose(bias.sigmoid(), torch.tensor([[0.1], [0.3]]).expand(2, 4))


def test_maps_move_with_their_image():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((2, 3, SIDE, SIDE), dtype=np.float32))
    labels = (images > 0.5).float()
    moved, own = augment_batch(images, labels, Augmentation(), [1, 2])
    stacks = torch.stack([images, labels, labels], dim=2)
    together = augment_stacks(stacks, Augmentation(), [1, 2])
    assert together[:, :, 0].equal(moved)
    assert together[:, :, 1].equal(own) and together[:, :, 2].equal(own)


def judged(**quality):
    """Logits of each way, right in so large a share of the pixels of four scans; the truth."""
    rng = np.random.default_rng(0)
    masks = (rng.random((4, 1, SIDE, SIDE)) > 0.5).astype(np.float32)
    logits = {}
    for name, share in quality.items():
        is_right = rng.random(masks.shape) < share
        found = np.where(is_right, masks, 1 - masks)
        logits[name.replace("_", " ")] = (6 * found - 3).astype(np.float32)
    return logits, masks


@pytest.mark.parametrize(
    ("quality", "names"),
    [
        ({"in_context": 0.9, "branch": 0.5}, ("in context",)),
        ({"in_context": 0.6, "forest": 0.5, "branch": 0.9}, ("branch",)),
        ({"in_context": 0.80, "branch": 0.79}, ("in context", "branch")),
    ],
)
def test_what_is_learnt_is_used_unless_it_is_worse_by_more_than_chance(quality, names):
    logits, masks = judged(**quality)
    assert choose(logits, masks, range(4), ("in context", *WAYS)).names == names


def test_nothing_is_gained_by_finding_nothing_where_nothing_is():
    logits, masks = judged(in_context=0.5, branch=0.9)
    chosen = choose({**logits, "branch": 0 * logits["branch"] - 9}, 0 * masks, range(4), WAYS)
    assert chosen.gain == 0


def test_an_average_is_of_probabilities():
    class Says:
        def __init__(self, probability) -> None:
            self.probability = probability

        def logits(self, queries, positions=None):  # noqa: ARG002
            return logit(np.full((len(queries), 1, 2, 2), self.probability, np.float32))

    average = Average([(1.0, Says(0.2)), (3.0, Says(0.6))])
    assert np.allclose(sigmoid(average.logits(np.zeros((1, 2, 2)))), 0.5, atol=1e-5)


def test_one_example_tells_nothing():
    assert expect(Level(), Support.of_pictures(*pictures(1))) == {}


def test_what_is_found_well_is_expected_to_be():
    images, masks = pictures(8)
    (expectation,) = expect(Level(0.6), Support.of_pictures(images, masks)).values()
    assert expectation.dice > 0.98 and expectation.scans == 8
    assert expectation.low <= expectation.dice <= expectation.high
    assert not expectation.warning
    assert str(expectation).startswith("expect a Dice of ")


def test_what_is_found_badly_comes_with_a_warning_and_few_keep_the_threshold_near_a_half():
    support = Support.of_pictures(*pictures(2, level=0.95))
    (expectation,) = expect(Level(0.5), support).values()
    assert expectation.dice < 0.6
    assert "2 examples tell little" in expectation.warning
    assert 0.36 <= expectation.threshold <= 0.64
