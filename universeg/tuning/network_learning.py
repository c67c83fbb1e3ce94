"""How an in-context network goes on learning from the labelled slices it is given."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy

import numpy as np
import torch
from torch import nn

from universeg.network.devices import device_of, fast
from universeg.training.augmentation import (
    Augmentation,
    ImageAugmentation,
    TaskAugmentation,
    augment_batch,
)
from universeg.tuning.clock import Clock
from universeg.tuning.learner import Learner, loss_of
from universeg.tuning.support import Pick, Support

_RATE = 3e-4
_KEPT = 0.9
_EPISODES = 2  # in a step
_SHOWN = 4  # labelled slices at most, with each query of a step
_AUGMENTED = 0.5  # of the steps
AUGMENTATION = Augmentation(
    task=TaskAugmentation.model_validate(
        {
            "flip_intensities": {"probability": 0},
            "flip_labels": {"probability": 0},
            "label_edges": {"probability": 0},
            "affine": {"probability": 0.5, "degrees": (-20, 20)},
            "noise": {"probability": 0.2},
            "sharpness": {"probability": 0.2},
        }
    ),
    image=ImageAugmentation.model_validate(
        {
            "affine": {
                "probability": 0.5,
                "degrees": (-15, 15),
                "translate": 0.08,
                "scale": (0.85, 1.15),
            },
            "elastic": {"probability": 0.5},
            "sharpness": {"probability": 0},
        }
    ),
)


class NetworkLearning:
    """A copy of a network that learns from episodes of labelled slices while a clock runs."""

    def __init__(self, network: nn.Module, support: Support, seed: int) -> None:
        """Begin with a network, which stays as it is."""
        self._support = support
        self._rng = np.random.default_rng((seed, 1))
        self._device = device_of(network)
        self._learner = Learner(deepcopy(network).requires_grad_(True), _RATE, _KEPT)

    @property
    def network(self) -> nn.Module:
        """The mean of its weights on the way."""
        return self._learner.mean

    @property
    def steps(self) -> int:
        """How many were taken."""
        return self._learner.steps

    def learn(self, without: Collection[int], clock: Clock, until: float = 1.0) -> None:
        """Go on, from all but some examples, until so much of the clock's time is spent."""
        network = self._learner.network.train()
        while clock.share < until:
            images, masks = self._episodes(without)
            with fast(self._device):
                answer = network(images[:, :1], images[:, 1:, None], masks[:, 1:, None])
            logits, own = answer if isinstance(answer, tuple) else (answer, 0.0)
            self._learner.step(loss_of(logits.float(), masks[:, :1]) + own, clock.share)

    def _episodes(self, without: Collection[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and masks (B, 1 + s, H, W) of one label: a query, and what is shown with it."""
        label = int(self._rng.choice(list(self._support.labels)))
        drawn = [self._episode(label, without) for _ in range(_EPISODES)]
        least = min(len(picks) for picks in drawn)
        shown = [self._support.shown(picks[:least], label) for picks in drawn]
        images, masks = (
            torch.from_numpy(np.stack(each)).to(self._device) for each in zip(*shown, strict=True)
        )
        if least < 3 or self._rng.random() < _AUGMENTED:
            seeds = self._rng.integers(2**31, size=len(images)).tolist()
            images, masks = augment_batch(images, masks, AUGMENTATION, seeds)
        return images, masks

    def _episode(self, label: int, without: Collection[int]) -> list[Pick]:
        """A plane that shows a label, and those that are shown with it, of other examples."""
        support = self._support
        own = [pick for pick in support.planes_of(label) if pick[0] not in without]
        query = own[self._rng.integers(len(own))]
        others = sorted({example for example, _ in own} - {query[0]}) or [query[0]]
        size = min(_SHOWN, len(own))
        chosen = self._rng.permutation(others)[:size].tolist()
        position = support.position(query)
        return [query, *support.near(position, chosen, max(1, size))]
