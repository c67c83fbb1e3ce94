"""SENet: a segmenter whose maps are gated by a conditioner that has seen the support."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.models.normalisation import group_norm

_KERNEL = 5


class SENet(nn.Module):
    """'Squeeze & excite' guided few-shot segmentation (Roy et al., Medical Image Analysis 2020).

    Two encoder-decoders of the same plan: the conditioner sees images of the support with their
    masks, the segmenter the query. After each block, each map of the conditioner is squeezed to one
    channel, whose sigmoid multiplies the segmenter's map.
    """

    follows = "Roy et al., Medical Image Analysis 2020, DOI 10.1016/j.media.2019.101587"
    departs = (
        "The gates are the mean over the support, where the paper has one image; group "
        "normalisation, not batch normalisation; soft masks; no pairing of the slices of volumes; "
        "the loss and the optimiser of UniverSeg."
    )

    def __init__(self, features: int = 64, conditioner_features: int = 16, levels: int = 4) -> None:
        """Make an untrained network.

        Args:
            features: of the segmenter's maps.
            conditioner_features: of the conditioner's.
            levels: encoder blocks, and decoder blocks; an image's sides are multiples of 2^levels.
        """
        super().__init__()
        self.conditioner = Arm(2, conditioner_features, levels)
        self.squeezes = nn.ModuleList(
            nn.Conv2d(conditioner_features, 1, 1) for _ in range(2 * levels + 1)
        )
        self.segmenter = Arm(1, features, levels)
        self.classifier = nn.Conv2d(features, 1, 1)

    def forward(self, query: Tensor, support_images: Tensor, support_labels: Tensor) -> Tensor:
        """Segment queries, each with its own support.

        Args:
            query: (B, 1, H, W) in [0, 1].
            support_images: (B, S, 1, H, W) in [0, 1], or (1, S, 1, H, W) for all queries the same.
            support_labels: like the images, in [0, 1].

        Returns:
            logits, (B, 1, H, W).
        """
        gates = self.gates(torch.cat([support_images, support_labels], 2))
        *_, last = self.segmenter(query, gates)
        logits: Tensor = self.classifier(last)
        return logits

    def gates(self, examples: Tensor) -> list[Tensor]:
        """What the segmenter's maps are multiplied with, after each block.

        Channel squeeze and spatial excitation, σ(W * U) of each map U; the mean over S.

        Args:
            examples: images and masks, (B, S, 2, H, W).

        Returns:
            (B, 1, h, w) each, in [0, 1].
        """
        maps = self.conditioner(examples.flatten(0, 1), repeat(1.0))
        of_each = [squeeze(each) for squeeze, each in zip(self.squeezes, maps, strict=True)]
        return [torch.unflatten(each.sigmoid(), 0, examples.shape[:2]).mean(1) for each in of_each]


class Arm(nn.Module):
    """An encoder-decoder without skip connections; pooled maxima go back to where they were."""

    def __init__(self, channels: int, features: int, levels: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            _block(features if level else channels, features) for level in range(levels)
        )
        self.bottleneck = _block(features, features)
        self.decoder = nn.ModuleList(_block(features, features) for _ in range(levels))

    def forward(self, images: Tensor, gates: Iterable[Tensor | float]) -> list[Tensor]:
        """The map after each block, (N, C, h, w), gated.

        Args:
            images: (N, channels, H, W).
            gates: what each map is multiplied with, from the first block to the last.
        """
        gate = iter(gates)
        maps, places = [images], []
        for block in self.encoder:
            pooled, place = functional.max_pool2d(block(maps[-1]), 2, return_indices=True)
            places.append(place)
            maps.append(pooled * next(gate))
        maps.append(self.bottleneck(maps[-1]) * next(gate))
        for block in self.decoder:
            maps.append(block(functional.max_unpool2d(maps[-1], places.pop(), (2, 2))) * next(gate))
        return maps[1:]


def _block(channels: int, features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, features, _KERNEL, padding="same"), nn.PReLU(), group_norm(features)
    )
