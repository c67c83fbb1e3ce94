"""The network gives what its formulas give, however the work is arranged."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from places import GOLDEN
from plain_universeg import plain_universeg
from torch.nn import functional

from universeg import UniverSeg
from universeg.network.maps import convolve, fold, neighbourhoods
from universeg.weights.models import load_universeg

LAYOUT = {
    "enc_blocks.0.cross.cross_conv": (64, 3, 3, 3),
    "enc_blocks.0.target.vmapped.conv": (64, 64, 3, 3),
    "enc_blocks.0.support.vmapped.conv": (64, 64, 3, 3),
    "enc_blocks.1.cross.cross_conv": (64, 128, 3, 3),
    "enc_blocks.1.target.vmapped.conv": (64, 64, 3, 3),
    "enc_blocks.1.support.vmapped.conv": (64, 64, 3, 3),
    "enc_blocks.2.cross.cross_conv": (64, 128, 3, 3),
    "enc_blocks.2.target.vmapped.conv": (64, 64, 3, 3),
    "enc_blocks.2.support.vmapped.conv": (64, 64, 3, 3),
    "enc_blocks.3.cross.cross_conv": (64, 128, 3, 3),
    "enc_blocks.3.target.vmapped.conv": (64, 64, 3, 3),
    "enc_blocks.3.support.vmapped.conv": (64, 64, 3, 3),
    "dec_blocks.0.cross.cross_conv": (64, 256, 3, 3),
    "dec_blocks.0.target.vmapped.conv": (64, 64, 3, 3),
    "dec_blocks.0.support.vmapped.conv": (64, 64, 3, 3),
    "dec_blocks.1.cross.cross_conv": (64, 256, 3, 3),
    "dec_blocks.1.target.vmapped.conv": (64, 64, 3, 3),
    "dec_blocks.1.support.vmapped.conv": (64, 64, 3, 3),
    "dec_blocks.2.cross.cross_conv": (64, 256, 3, 3),
    "dec_blocks.2.target.vmapped.conv": (64, 64, 3, 3),
    "dec_blocks.2.support.vmapped.conv": (64, 64, 3, 3),
    "out_conv.conv": (1, 64, 1, 1),
}


def small(encoder=(5, 4, 6), decoder=(3, 7), seed=0, dtype=torch.float64):
    """A network with biases other than zero, which would hide mistakes at the border."""
    torch.manual_seed(seed)
    network = UniverSeg(encoder, decoder).to(dtype)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return network


def episode(size=(8, 12), queries=1, support=3, supports=None, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    query = torch.rand(queries, 1, *size, generator=rng, dtype=dtype)
    shape = (supports or queries, support, 1, *size)
    images, labels = torch.rand(2, *shape, generator=rng, dtype=dtype)
    return query, images, labels


def gradients(parameters, logits):
    weights = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).reshape(logits.shape)
    found = torch.autograd.grad((logits * weights).sum(), parameters.values(), allow_unused=True)
    return dict(zip(parameters, found, strict=True))


def test_has_the_names_and_shapes_of_the_released_weights():
    expected = {}
    for name, shape in LAYOUT.items():
        expected |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    state = UniverSeg().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected
    assert list(state) == list(expected)
    assert sum(tensor.numel() for tensor in state.values()) == 1_182_785


ADDED = [{"normalise": True}, {"attention_heads": 2}, {"normalise": True, "attention_heads": 3}]


@pytest.mark.parametrize("added", ADDED)
def test_what_is_added_gives_the_same_however_the_work_is_arranged(added):
    torch.manual_seed(0)
    network = UniverSeg((5, 4, 6), (3, 7), **added).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query, images, labels = episode(queries=3, support=5, supports=1)
    each = [tensor.expand(3, *tensor.shape[1:]) for tensor in (images, labels)]
    network.pairs_at_once = 10**6
    expected = network(query, *each)
    for pairs in (1, 2, 7):
        network.pairs_at_once = pairs
        torch.testing.assert_close(network(query, *each), expected)
        torch.testing.assert_close(network(query, images, labels), expected)
    shuffled = network(query, *(tensor.flip(1) for tensor in each))
    torch.testing.assert_close(shuffled, expected)
    assert not torch.allclose(UniverSeg((5, 4, 6), (3, 7)).double()(query, *each), expected)


def test_attention_begins_as_nothing():
    torch.manual_seed(3)
    network = UniverSeg((4, 4), (4,), attention_heads=2)
    plain = UniverSeg((4, 4), (4,))
    plain.load_state_dict(network.state_dict(), strict=False)
    given = episode(dtype=torch.float32)
    torch.testing.assert_close(network(*given), plain(*given))


def test_heads_share_the_features():
    with pytest.raises(ValueError, match="3 attention heads cannot share 4 features"):
        UniverSeg((4, 4), (4,), attention_heads=3)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden is not here")
@pytest.mark.parametrize("case", ["B1_S1", "B2_S5", "B1_S16"])
def test_gives_the_logits_of_the_reference_network(case):
    network = load_universeg(GOLDEN / "universeg_v1_random.pt")
    with np.load(GOLDEN / "universeg_v1_random_io.npz") as golden:
        names = ("query", "support_images", "support_labels")
        given = [torch.from_numpy(golden[f"{case}_{name}"]).float() for name in names]
        expected = torch.from_numpy(golden[f"{case}_logits"])
    with torch.inference_mode():
        assert (network(*given) - expected).abs().max() < 1e-5


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_is_the_plain_formulation(data):
    levels = data.draw(st.integers(2, 4), "levels")
    features = st.integers(1, 6)
    encoder = data.draw(st.lists(features, min_size=levels, max_size=levels), "encoder")
    decoder = data.draw(st.lists(features, min_size=levels - 1, max_size=levels - 1), "decoder")
    # From one pixel in the lowest block on, where bilinear and border cases meet.
    sides = st.integers(1, 5).map(lambda side: side * 2 ** (levels - 1))
    size = data.draw(st.tuples(sides, sides), "size")
    queries, support = data.draw(st.integers(1, 4), "B"), data.draw(st.integers(1, 7), "S")
    supports = data.draw(st.sampled_from([1, queries]), "supports")
    seed = data.draw(st.integers(0, 9), "seed")

    network = small(encoder, decoder, seed)
    network.pairs_at_once = data.draw(st.none() | st.integers(1, 9), "pairs at once")
    query, images, labels = episode(size, queries, support, supports, seed)
    each = [tensor.expand(queries, *tensor.shape[1:]) for tensor in (images, labels)]
    expected = plain_universeg(network.state_dict(), query, *each)
    torch.testing.assert_close(network(query, images, labels), expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 9),
)
def test_two_convolutions_fold_into_one_at_the_border_too(size, channels, features, seed):
    rng = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 3, *size, channels, generator=rng, dtype=torch.float64)
    first = torch.randn(4, channels, 3, 3, generator=rng, dtype=torch.float64)
    second = torch.randn(features, 4, 3, 3, generator=rng, dtype=torch.float64)
    stack = maps.flatten(0, 1).movedim(-1, 1)
    expected = functional.conv2d(functional.conv2d(stack, first, padding=1), second, padding=1)
    found = convolve(neighbourhoods(maps), fold(first, second))
    torch.testing.assert_close(found.flatten(0, 1).movedim(-1, 1), expected)


@pytest.mark.parametrize("pairs_at_once", [None, 1, 4])
def test_gradients_are_those_of_the_plain_formulation(pairs_at_once):
    network, given = small(), episode((12, 8), queries=2, support=5)
    network.pairs_at_once = pairs_at_once
    parameters = dict(network.named_parameters())
    found = gradients(parameters, network(*given))
    expected = gradients(parameters, plain_universeg(parameters, *given))
    for name in parameters:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-9, msg=name)
    assert [name for name in found if found[name] is None] == [
        "dec_blocks.1.support.vmapped.conv.weight",
        "dec_blocks.1.support.vmapped.conv.bias",
    ]


def test_gradients_in_single_precision_of_the_released_size():
    network, given = UniverSeg(), episode((32, 32), support=4, dtype=torch.float32)
    parameters = dict(network.named_parameters())
    found = gradients(parameters, network(*given))
    expected = gradients(parameters, plain_universeg(parameters, *given))
    for name, gradient in expected.items():
        if gradient is not None:
            assert (found[name] - gradient).norm() <= 1e-4 * gradient.norm(), name


def test_images_too_can_be_learned_from():
    query, images, labels = episode()
    for tensor in (query, images, labels):
        tensor.requires_grad_()
    network = small()
    given = (query, images, labels)
    found = torch.autograd.grad(network(*given).sum(), given)
    plain = plain_universeg(network.state_dict(), *given)
    expected = torch.autograd.grad(plain.sum(), given)
    torch.testing.assert_close(found, expected)


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(6)))
def test_the_order_of_the_support_does_not_matter(order):
    network = small()
    query, images, labels = episode(support=6)
    network.pairs_at_once = 4
    shuffled = network(query, images[:, order], labels[:, order])
    torch.testing.assert_close(shuffled, network(query, images, labels))


@pytest.mark.parametrize("pairs_at_once", [1, 2, 3, 5, 14, 15, 1000])
def test_how_much_is_done_at_once_does_not_matter(pairs_at_once):
    network, given = small(), episode(queries=3, support=5)
    expected = network(*given)
    network.pairs_at_once = pairs_at_once
    torch.testing.assert_close(network(*given), expected)


@pytest.mark.parametrize("pairs_at_once", [None, 1, 10])
def test_an_encoded_support_serves_any_queries(pairs_at_once):
    network, (query, images, labels) = small(), episode(queries=5, support=4, supports=1)
    network.pairs_at_once = pairs_at_once
    support = network.encode_support(images[0], labels[0])
    expected = torch.cat([network(one[None], images, labels) for one in query])
    for _ in range(2):
        torch.testing.assert_close(network.segment(query, support), expected)
        torch.testing.assert_close(network.segment(query[:1], support), expected[:1])
    torch.testing.assert_close(network(query, images, labels), expected)


def test_previews_serve_whatever_they_are_shown_with():
    network, (query, images, labels) = small(), episode(support=5, supports=1)
    previews = network.preview(images[0], labels[0])
    for order in ([0, 1, 2, 3, 4], [3, 1], [4]):
        some = images[0, order], labels[0, order]
        support = network.encode_support(*some, [previews[number] for number in order])
        expected = network(query, *(each[None] for each in some))
        torch.testing.assert_close(network.segment(query, support), expected)
    with pytest.raises(ValueError, match="1 previews are not those of 5 images"):
        network.encode_support(images[0], labels[0], previews[:1])


@pytest.mark.parametrize("added", [{}, *ADDED[:2]])
@pytest.mark.parametrize(("queries", "support", "size"), [(1, 18, (8, 12)), (3, 2, (72, 40))])
def test_without_gradients_it_is_the_same(added, queries, support, size):
    """There, steps are put together, and large maps go through them in strips."""
    torch.manual_seed(0)
    network = UniverSeg((16, 12, 4), (3, 5), **added)
    query, images, labels = episode(size, queries, support, supports=1, dtype=torch.float32)
    expected = network(query, images, labels)
    with torch.inference_mode():
        encoded = network.encode_support(images[0], labels[0])
        for found in (network(query, images, labels), network.segment(query, encoded)):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_says_that_a_query_is_not_of_the_size_of_the_support():
    network, (query, images, labels) = small(), episode()
    support = network.encode_support(images[0], labels[0])
    for wrong in (query[0], query[..., :4], query.expand(-1, 2, -1, -1)):
        with pytest.raises(ValueError, match=r"expected queries of \(B, 1, 8, 12\)"):
            network.segment(wrong, support)


def test_takes_binary_masks_as_they_are_stored():
    network, (query, images, labels) = small(), episode()
    labels = labels.round()
    expected = network(query, images, labels)
    assert torch.equal(network(query, images, labels.to(torch.uint8)), expected)
    assert torch.equal(network(query, images, labels.bool()), expected)


def test_can_run_in_half_the_precision():
    network, given = UniverSeg(), episode((32, 32), support=5, dtype=torch.float32)
    with torch.inference_mode():
        expected = network(*given)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(*given)
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_starts_with_kaiming_normal_weights_and_biases_of_zero():
    torch.manual_seed(0)
    for name, parameter in UniverSeg().named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.numel() > 10_000:
            gain = 1 if "cross" in name else 2
            assert parameter.var().item() * parameter[0].numel() == pytest.approx(gain, rel=0.05), (
                name
            )


@pytest.mark.parametrize(
    ("query", "images", "labels", "message"),
    [
        ((1, 8, 8), (1, 2, 1, 8, 8), (1, 2, 1, 8, 8), r"expected \(B, 1, H, W\)"),
        ((1, 3, 8, 8), (1, 2, 1, 8, 8), (1, 2, 1, 8, 8), r"expected \(B, 1, H, W\)"),
        ((1, 1, 8, 8), (1, 2, 8, 8), (1, 2, 8, 8), r"expected \(B, 1, H, W\)"),
        ((1, 1, 8, 8), (1, 2, 1, 8, 8), (1, 3, 1, 8, 8), "not of one size"),
        ((1, 1, 8, 8), (1, 2, 1, 8, 4), (1, 2, 1, 8, 4), "not of one size"),
        ((3, 1, 8, 8), (2, 2, 1, 8, 8), (2, 2, 1, 8, 8), "each query needs a support"),
        ((1, 1, 8, 8), (1, 0, 1, 8, 8), (1, 0, 1, 8, 8), "each query needs a support"),
        ((0, 1, 8, 8), (1, 2, 1, 8, 8), (1, 2, 1, 8, 8), "each query needs a support"),
        ((1, 1, 8, 6), (1, 2, 1, 8, 6), (1, 2, 1, 8, 6), "multiples of 4"),
    ],
)
def test_says_what_is_wrong_with_the_shapes(query, images, labels, message):
    with pytest.raises(ValueError, match=message):
        small()(torch.rand(query), torch.rand(images), torch.rand(labels))


@pytest.mark.parametrize(
    ("encoder", "decoder"),
    [([4], []), ([4, 4], [4, 4]), ([4, 4, 4], [4]), ([4, 0], [4]), ([4, 4], [1.5])],
)
def test_says_which_blocks_make_no_network(encoder, decoder):
    with pytest.raises(ValueError, match="block"):
        UniverSeg(encoder, decoder)
