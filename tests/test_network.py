"""The network gives what its formulas give, faster; the golden logits are the reference's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_universeg import plain_universeg

from universeg import UniverSeg

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"
golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"no reference outputs at {GOLDEN}")


def network(seed=0):
    """A small network with biases that are not zero, as trained ones have them."""
    torch.manual_seed(seed)
    made = UniverSeg([6, 8, 10, 8], [8, 6, 5])
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return made


def inputs(batch, support, height=32, width=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    query = torch.rand(batch, 1, height, width, generator=generator)
    images = torch.rand(batch, support, 1, height, width, generator=generator)
    return query, images, (torch.rand(images.shape, generator=generator) > 0.6).float()


@golden
@pytest.mark.parametrize("case", ["B1_S1", "B2_S5", "B1_S16"])
def test_reference_logits_are_reproduced(case):
    model = UniverSeg.from_pretrained(GOLDEN / "universeg_v1_random.pt").eval()
    with np.load(GOLDEN / "universeg_v1_random_io.npz", allow_pickle=False) as content:
        query, images, labels, logits = (
            torch.from_numpy(content[f"{case}_{name}"].astype(np.float32))
            for name in ("query", "support_images", "support_labels", "logits")
        )
    with torch.inference_mode():
        torch.testing.assert_close(model(query, images, labels), logits, atol=1e-5, rtol=0)


def test_the_default_network_has_the_released_number_of_parameters():
    assert sum(parameter.numel() for parameter in UniverSeg().parameters()) == 1_182_785


@given(
    batch=st.integers(1, 3),
    support=st.integers(1, 6),
    height=st.sampled_from([8, 24, 40]),
    width=st.sampled_from([8, 16, 56]),
    seed=st.integers(0, 999),
)
@settings(max_examples=25, deadline=None)
def test_it_is_the_plain_formulation(batch, support, height, width, seed):
    model, given_ = network(seed), inputs(batch, support, height, width, seed)
    with torch.inference_mode():
        expected = plain_universeg(model.state_dict(), *given_)
        torch.testing.assert_close(model(*given_), expected, atol=1e-4, rtol=1e-4)


def test_gradients_are_those_of_the_plain_formulation():
    model, given_ = network(1).double(), [tensor.double() for tensor in inputs(2, 4)]
    model(*given_).square().mean().backward()
    plain = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    plain_universeg(plain, *given_).square().mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, plain[name].grad, rtol=1e-6, atol=1e-12)


def test_the_order_of_the_support_does_not_matter():
    model, (query, images, labels) = network(), inputs(1, 5)
    order = torch.tensor([3, 0, 4, 2, 1])
    with torch.inference_mode():
        torch.testing.assert_close(
            model(query, images[:, order], labels[:, order]), model(query, images, labels)
        )


@pytest.mark.parametrize("pairs", [1, 2, 3, 100])
def test_chunks_change_no_output(pairs):
    model, given_ = network(), inputs(3, 5)
    with torch.inference_mode():
        expected = model(*given_)
        model.pairs_at_once = pairs
        torch.testing.assert_close(model(*given_), expected)


def test_queries_that_share_a_support_are_as_if_each_had_its_own():
    model, (queries, images, labels) = network(), inputs(4, 3)
    with torch.inference_mode():
        shared = model(queries, images[:1], labels[:1])
        encoded = model.segment(queries, model.encode_support(images[0], labels[0]))
        for number, query in enumerate(queries):
            alone = model(query[None], images[:1], labels[:1])
            torch.testing.assert_close(shared[number], alone[0])
            torch.testing.assert_close(encoded[number], alone[0])


@pytest.mark.parametrize(
    "shapes",
    [
        ((1, 1, 30, 32), (1, 2, 1, 30, 32)),
        ((1, 1, 32, 32), (1, 2, 1, 16, 16)),
        ((3, 1, 32, 32), (2, 2, 1, 32, 32)),
        ((1, 3, 32, 32), (1, 2, 1, 32, 32)),
        ((1, 1, 32, 32), (1, 0, 1, 32, 32)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes):
    query, support = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"\d"):
        network()(query, support, support)
