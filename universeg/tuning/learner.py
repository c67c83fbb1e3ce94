"""Learning by the clock: how fast at which time, and the mean of the weights on the way."""

from __future__ import annotations

import math
from copy import deepcopy

import torch
from torch import Tensor, nn

from universeg.training.losses import soft_dice

_WARM = 0.1  # share of the time in which the rate rises
_CLIP = 1.0  # norm of the gradient


class Learner:
    """A network that learns by a clock, and the running mean of its weights."""

    def __init__(self, network: nn.Module, rate: float, kept: float) -> None:
        """Take a network, the rate at its highest, and the share that a step keeps of the mean."""
        self.network = network
        self.mean = deepcopy(network).eval().requires_grad_(False)
        self._rate = rate
        self._kept = kept
        self._steps = 0
        self._optimiser = torch.optim.AdamW(network.parameters(), betas=(0.9, 0.98))

    @property
    def steps(self) -> int:
        """How many were taken."""
        return self._steps

    def step(self, loss: Tensor, share: float) -> None:
        """Learn from a loss, after so much of the time. What is no number is passed over."""
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        if not math.isfinite(norm.item()):
            return
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * pace(share)
        self._optimiser.step()
        self._steps += 1
        kept = min(self._kept, self._steps / (self._steps + 10))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - kept)


def pace(share: float) -> float:
    """The share of the rate after a share of the time: up in a line, down in a cosine."""
    if share < _WARM:
        return max(0.05, share / _WARM)
    return (1 + math.cos(math.pi * (share - _WARM) / (1 - _WARM))) / 2


def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
    """Dice and cross-entropy of logits (B, L, H, W); of a label that is not there, the latter."""
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, masks)
    shown = masks.flatten(2).amax(2) > 0
    if not shown.any():
        return entropy
    return entropy + soft_dice(logits[shown][:, None], masks[shown][:, None])
