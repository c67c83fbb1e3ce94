"""Losses and Dice, against their formulas in NumPy and against MONAI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from universeg.training.losses import LOSSES, dice_score, soft_dice

SHAPE = (3, 1, 5, 4)


def arrays(seed, scale=3.0):
    rng = np.random.default_rng(seed)
    return scale * rng.standard_normal(SHAPE), rng.random(SHAPE)


def in_numpy(logits, masks):
    """The formulas of each loss, in 64 bits: the mean over the batch, and over pixels."""
    p = 1 / (1 + np.exp(-logits))
    axes = (1, 2, 3)
    dice = 1 - 2 * (p * masks).sum(axes) / ((p**2).sum(axes) + (masks**2).sum(axes))
    entropy = -(masks * np.log(p) + (1 - masks) * np.log(1 - p))
    return {
        "soft-dice": dice.mean(),
        "cross-entropy": entropy.mean(),
        "dice-and-cross-entropy": dice.mean() + entropy.mean(),
    }


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_loss_is_its_formula(name, dtype, seed):
    logits, masks = arrays(seed)
    rounded = torch.tensor(logits).to(dtype)
    wanted = in_numpy(rounded.double().numpy(), masks)[name]
    found = LOSSES[name](rounded, torch.tensor(masks).float())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [0.0, 1.0, 200.0])
@pytest.mark.parametrize("filling", [0.0, 0.5, 1.0])
def test_gradients_are_finite_and_lead_to_the_mask(name, scale, filling):
    logits = torch.tensor(arrays(0, scale)[0]).float().requires_grad_()
    masks = torch.full(SHAPE, filling)
    loss = LOSSES[name](logits, masks)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    with torch.no_grad():
        assert LOSSES[name](logits - logits.grad, masks) <= loss


def test_soft_dice_of_nothing_where_nothing_is_meant_is_no_loss():
    nothing = torch.zeros(SHAPE)
    assert soft_dice(torch.full(SHAPE, -200.0), nothing).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice(torch.full(SHAPE, 200.0), nothing).item() == pytest.approx(1, abs=1e-6)


def test_dice_is_that_of_masks_cut_at_a_half():
    masks = torch.tensor([[0.9, 0.6, 0.4, 0.0], [0.0, 0.1, 0.5, 0.2], [1.0, 0.0, 0.0, 0.0]])
    truth = torch.tensor([[1.0, 0.4, 0.8, 0.0], [0.0, 0.3, 0.5, 0.0], [0.0, 1.0, 1.0, 0.0]])
    assert dice_score(masks, truth).tolist() == [0.5, 1.0, 0.0]  # the second: both are empty


@given(seed=st.integers(0, 2**32), filled=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_dice_is_what_monai_computes(seed, filled):
    compute_dice = pytest.importorskip("monai.metrics").compute_dice
    rng = np.random.default_rng(seed)
    masks, truth = (torch.tensor(rng.random(SHAPE) < filled).float() for _ in range(2))
    wanted = compute_dice(masks, truth, ignore_empty=False).flatten()
    torch.testing.assert_close(dice_score(masks, truth), wanted)
