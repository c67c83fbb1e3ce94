"""A small U-Net that learns nothing but the labelled slices, or what a network lacks on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = (32, 64, 96)  # of each resolution; each is half of the one before
FOLD = 2  # pixels of a side that become channels
_GROUP = 8  # channels that are normalised together


class UNet(nn.Module):
    """A 2-D U-Net like nnU-Net's, which folds 2 × 2 pixels into channels before it begins.

    That halves the time of a step, and loses nothing of what a pixel wide line needs. Given the
    maps of another finder, it says what to add to their logits: nothing, before training.
    """

    def __init__(
        self, labels: int, given: bool, shares: Sequence[float], features: Sequence[int] = FEATURES
    ) -> None:
        """Make an untrained network.

        Args:
            labels: L.
            given: whether it sees the maps of another finder.
            shares: that each label has of all pixels; found everywhere before training, so that
                small labels do not cost steps before it learns where they are.
            features: of each resolution.
        """
        super().__init__()
        self._given = given
        channels = [FOLD**2 * (1 + given * labels), *features]
        self.down = nn.ModuleList(
            _Block(above, own, 1 if level == 0 else 2)
            for level, (above, own) in enumerate(pairwise(channels))
        )
        self.widen = nn.ModuleList()
        self.up = nn.ModuleList()
        for own, below in list(pairwise(features))[::-1]:
            self.widen.append(nn.ConvTranspose2d(below, own, 2, 2, bias=False))
            self.up.append(_Block(2 * own, own, 1))
        self.out = nn.Conv2d(features[0], FOLD**2 * labels, 1)
        start = torch.tensor([*shares]).clamp(1e-4, 1 - 1e-4).logit()
        bias = torch.zeros(FOLD**2 * labels) if given else start.repeat_interleave(FOLD**2)
        self.out.bias = nn.Parameter(bias)
        if given:
            nn.init.zeros_(self.out.weight)

    def forward(self, images: Tensor, maps: Tensor | None = None) -> Tensor:
        """Logits (B, L, H, W) of images (B, H, W), and the logits (B, L, H, W) of another finder.

        H and W are multiples of the lowest resolution's stride.
        """
        mean, deviation = images.mean((1, 2), keepdim=True), images.std((1, 2), keepdim=True)
        seen = ((images - mean) / deviation.clamp(min=1e-3))[:, None]
        if self._given and maps is not None:
            seen = torch.cat([seen, maps / 4], dim=1)
        seen = functional.pixel_unshuffle(seen, FOLD)
        seen = seen.contiguous(memory_format=torch.channels_last)
        skipped = []
        for block in self.down:
            seen = block(seen)
            skipped.append(seen)
        skipped.pop()
        for widen, block in zip(self.widen, self.up, strict=True):
            seen = block(torch.cat([widen(seen), skipped.pop()], dim=1))
        logits: Tensor = functional.pixel_shuffle(self.out(seen), FOLD).float()
        return logits + maps if self._given and maps is not None else logits


class _Block(nn.Sequential):
    def __init__(self, above: int, own: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(above, own, 3, stride, 1, bias=False),
            nn.GroupNorm(max(1, own // _GROUP), own),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv2d(own, own, 3, 1, 1, bias=False),
            nn.GroupNorm(max(1, own // _GROUP), own),
            nn.LeakyReLU(0.01, inplace=True),
        )
