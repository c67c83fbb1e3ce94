"""Losses of logits and soft masks, each (B, 1, H, W), by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

_SMOOTH = 1e-7


def soft_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """1 - 2 Σpy / (Σp² + Σy²), p being the sigmoid of the logits; the mean over the batch.

    V-Net (DOI 10.1109/3DV.2016.79), with the smoothing of the public code of UniverSeg's authors.
    """
    found, masks = logits.float().sigmoid().flatten(1), masks.flatten(1)
    common = (found * masks).sum(1)
    total = (found**2).sum(1) + (masks**2).sum(1)
    return (1 - (2 * common + _SMOOTH) / (total + _SMOOTH)).mean()


def cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over all pixels."""
    return functional.binary_cross_entropy_with_logits(logits.float(), masks)


def dice_and_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """The sum of both."""
    return soft_dice(logits, masks) + cross_entropy(logits, masks)


def dice_score(masks: Tensor, truth: Tensor) -> Tensor:
    """Dice of masks and truth, (B, ...) each, both cut at 0.5: (B,); 1 where both are empty."""
    found, meant = (masks > 0.5).flatten(1), (truth > 0.5).flatten(1)
    total = found.sum(1) + meant.sum(1)
    common = (found & meant).sum(1)
    return torch.where(total > 0, 2 * common / total.clamp(min=1), 1.0)


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "soft-dice": soft_dice,
    "cross-entropy": cross_entropy,
    "dice-and-cross-entropy": dice_and_cross_entropy,
}
