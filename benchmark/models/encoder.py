"""What makes feature maps of images, for networks that compare features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn

from benchmark.models.normalisation import group_norm

WIDTHS = (16, 32, 64, 128, 128)
_CONVOLUTIONS = (2, 2, 3, 3, 3)
_DILATIONS = (1, 1, 1, 2, 4)
_POOLINGS = 2


class Encoder(nn.Module):
    """VGG-16 as PANet has it, at a quarter of its width: features at a quarter of the size.

    Of VGG's five poolings the first two are kept, so that a slice of 128×128 gives 32×32 features;
    later convolutions are dilated instead, and see as far as PANet's. Each is followed by a group
    normalisation, and but for the last by a ReLU: cosines need features of either sign.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        """Make an untrained encoder.

        Args:
            widths: the features of each of the five blocks.

        Raises:
            ValueError: there are not five.
        """
        super().__init__()
        *layers, _ = _layers(widths)
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps, (N, C, H/4, W/4), of images, (N, 1, H, W) in [0, 1]."""
        features: Tensor = self.layers(images)
        return features


def _layers(widths: Sequence[int]) -> Iterator[nn.Module]:
    plan = zip(pairwise((1, *widths)), _CONVOLUTIONS, _DILATIONS, strict=True)
    for block, ((channels, width), convolutions, dilation) in enumerate(plan):
        for each in (channels, *[width] * (convolutions - 1)):
            yield nn.Conv2d(each, width, 3, padding=dilation, dilation=dilation, bias=False)
            yield group_norm(width)
            yield nn.ReLU(inplace=True)
        if block < _POOLINGS:
            yield nn.MaxPool2d(2)
