"""The small U-Net: how it finds labels, and how it learns from labelled slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from universeg.network.devices import fast
from universeg.network.unet import UNet
from universeg.training.augmentation import (
    Augmentation,
    ImageAugmentation,
    TaskAugmentation,
    augment_stacks,
)
from universeg.tuning.clock import Clock
from universeg.tuning.finder import FLIPS, Finder, Maps, logit, sigmoid
from universeg.tuning.learner import Learner, loss_of

_BATCH = 4
_RATE = 3e-3
_KEPT = 0.98
_AT_ONCE = 16
AUGMENTATION = Augmentation(
    task=TaskAugmentation.none(),
    image=ImageAugmentation.model_validate(
        {
            "affine": {
                "probability": 0.5,
                "degrees": (-30, 30),
                "translate": 0.1,
                "scale": (0.8, 1.25),
            },
            "elastic": {"probability": 0.3},
            "brightness_contrast": {"probability": 0.3},
            "blur": {"probability": 0.15},
            "noise": {"probability": 0.15, "mean": (0, 0), "std": (0, 0.05)},
            "sharpness": {"probability": 0},
        }
    ),
)


class UNetFinder:
    """A U-Net that has learnt; it adds to the maps of a given finder, if there is one."""

    def __init__(
        self,
        network: nn.Module,
        given: Finder | None,
        device: str,
        flips: Sequence[tuple[int, ...]] = FLIPS,
    ) -> None:
        """Take a network on its device, and over which mirror images its answers are averaged."""
        self.network = network
        self._given = given
        self._device = device
        self._flips = flips

    def logits(self, queries: Maps, positions: Sequence[float] | None = None) -> Maps:
        """See `Finder`."""
        given = self._given.logits(queries, positions) if self._given else None
        return self.add_to(queries, given)

    @torch.inference_mode()
    def add_to(self, queries: Maps, given: Maps | None) -> Maps:
        """The logits (Q, L, H, W) of queries (Q, H, W) for which the given finder's are known.

        There is at least one query.
        """
        found = []
        for start in range(0, len(queries), _AT_ONCE):
            images = torch.from_numpy(queries[start : start + _AT_ONCE]).to(self._device)
            maps = None
            if given is not None:
                kept = logit(sigmoid(given[start : start + _AT_ONCE])).clip(-9.2, 9.2)
                maps = torch.from_numpy(kept).to(self._device)
            each = [
                self.network(
                    images.flip(axes) if axes else images,
                    maps.flip(axes) if axes and maps is not None else maps,
                ).flip(axes)
                for axes in self._flips
            ]
            found.append(torch.stack(each).mean(0).cpu().numpy())
        return np.concatenate(found)


class UNetLearning:
    """A U-Net that learns from slices while a clock runs; more slices may be let in later."""

    def __init__(
        self,
        masks: Maps,
        given: Finder | None,
        seed: int,
        device: str,
        flips: bool = True,
        augmentation: Augmentation = AUGMENTATION,
    ) -> None:
        """Make an untrained one.

        Args:
            masks: of the slices, (N, L, H, W), for how many labels there are and how large.
            given: whose maps it sees, if any, and adds to.
            seed: of its first weights and of all that is drawn.
            device: as PyTorch names it.
            flips: whether mirror images are of the same kind.
            augmentation: of each slice by itself.
        """
        self._labels = masks.shape[1]
        self._device = device
        self._flips = FLIPS if flips else FLIPS[:1]
        self._augmentation = augmentation
        self._rng = np.random.default_rng((seed, 2))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shares = masks.mean(axis=(0, 2, 3)).tolist()
            network = UNet(masks.shape[1], given is not None, shares)
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._learner = Learner(network, _RATE, _KEPT)
        self._finder = UNetFinder(self._learner.mean, given, device, self._flips)

    @property
    def steps(self) -> int:
        """How many were taken."""
        return self._learner.steps

    def learn(
        self, images: Maps, masks: Maps, maps: Maps | None, clock: Clock, until: float = 1.0
    ) -> None:
        """Go on learning until so much of the clock's time is spent.

        Args:
            images: (N, H, W).
            masks: (N, L, H, W).
            maps: the logits of the given finder, (N, L, H, W), each found without its own slice.
            clock: of all its learning.
            until: a share of it.
        """
        parts = [images[:, None], masks]
        if maps is not None:
            parts.append(sigmoid(maps))
        stacks = torch.from_numpy(np.concatenate(parts, axis=1)).to(self._device)
        labels = self._labels
        self._learner.network.train()
        while clock.share < until:
            batch = self._batch(stacks)
            image, truth, seen = torch.split(batch, [1, labels, batch.shape[1] - 1 - labels], dim=1)
            given = seen.clamp(1e-4, 1 - 1e-4).logit() if maps is not None else None
            with fast(stacks.device):
                logits = self._learner.network(image[:, 0], given)
            self._learner.step(loss_of(logits, truth), clock.share)

    @property
    def network(self) -> nn.Module:
        """The mean of its weights on the way."""
        return self._learner.mean

    def logits(self, queries: Maps, positions: Sequence[float] | None = None) -> Maps:
        """See `Finder`."""
        return self._finder.logits(queries, positions)

    def add_to(self, queries: Maps, given: Maps | None) -> Maps:
        """See `UNetFinder.add_to`; nothing is found in no query."""
        if not len(queries):
            return np.zeros((0, self._labels, *queries.shape[1:]), dtype=np.float32)
        return self._finder.add_to(queries, given)

    def _batch(self, stacks: Tensor) -> Tensor:
        drawn = torch.stack(
            [
                stacks[index].flip(self._flips[self._rng.integers(len(self._flips))])
                for index in self._rng.integers(len(stacks), size=_BATCH)
            ]
        )
        seeds = self._rng.integers(2**31, size=_BATCH).tolist()
        return augment_stacks(drawn[:, None], self._augmentation, seeds)[:, 0]
