"""What tasks are drawn on: noise of a size, from a seed, on a device.

Lengths are in pixels of an image of 128 x 128, and scaled to others. Positions are (..., 2): x and
y from -1 to 1, from corner pixel to corner pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Pair: TypeAlias = tuple[Tensor, Tensor]  # images and masks, (tasks, images of each, H, W) in [0, 1]

_LEAST = 1e-4  # of what is divided by
_USUAL = 128


class Canvas:
    """Draws noise of `size` pixels a side; the same seed gives the same, on devices of one kind."""

    def __init__(self, size: int, device: torch.device, seed: Sequence[int]) -> None:
        self.size = size
        self.device = device
        self.numbers = np.random.default_rng(seed)
        self._fields = torch.Generator(device).manual_seed(int(self.numbers.integers(2**63)))
        self._weights: dict[int, Tensor] = {}
        line = torch.linspace(-1, 1, size, device=device)
        self.grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)

    def pixels(self, length: float) -> float:
        """A length at the size of this canvas."""
        return length * self.size / _USUAL

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Independent numbers between two."""
        drawn = torch.rand(shape, generator=self._fields, device=self.device)
        return drawn * (high - low) + low

    def spread(self, low: float, high: float, *shape: int) -> Tensor:
        """Independent numbers between two, whose logarithm is uniform."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, *shape: int) -> Tensor:
        """Independent numbers of mean 0 and standard deviation 1."""
        return torch.randn(shape, generator=self._fields, device=self.device)

    def happens(self, probability: float, *shape: int) -> Tensor:
        """Independently true with a probability."""
        return torch.rand(shape, generator=self._fields, device=self.device) < probability

    def one_of(self, count: int, *shape: int) -> Tensor:
        """Independent whole numbers below one."""
        return torch.randint(count, shape, generator=self._fields, device=self.device)

    def sign(self, *shape: int) -> Tensor:
        """Independently 1 or -1."""
        return self.one_of(2, *shape) * 2.0 - 1

    def clouds(self, count: int, waves: Sequence[int] = (2, 4, 8)) -> Tensor:
        """Smooth noise of standard deviation 1, (count, H, W); so many waves cross the image."""
        total = torch.zeros(count, self.size, self.size, device=self.device)
        for nodes in waves:
            between = self._between(nodes + 1)
            fine = between @ self.normal(count, nodes + 1, nodes + 1) @ between.mT
            total += self.uniform(0, 1, count, 1, 1) * fine
        return total / total.flatten(1).std(1).clamp(min=_LEAST)[:, None, None]

    def _between(self, nodes: int) -> Tensor:
        """What interpolates so many nodes to all pixels by cubics, as a product: (size, nodes)."""
        if nodes not in self._weights:
            self._weights[nodes] = functional.interpolate(
                torch.eye(nodes, device=self.device)[None, None],
                (self.size, nodes),
                mode="bicubic",
                align_corners=True,
            )[0, 0]
        return self._weights[nodes]

    def bends(self, pixels: Tensor, waves: Sequence[int] = (2, 4, 8)) -> Tensor:
        """The grid moved smoothly by about so many pixels (n,): positions (n, H, W, 2)."""
        shift = torch.stack([self.clouds(len(pixels), waves) for _ in range(2)], dim=-1)
        return self.grid + shift * pixels.view(-1, 1, 1, 1) * (2 / _USUAL)


def each(of_tasks: Tensor, images: int) -> Tensor:
    """What was drawn for tasks, (n, ...), for each image of theirs: (n x images, ...)."""
    return of_tasks.repeat_interleave(images, dim=0)


def read(maps: Tensor, positions: Tensor, mode: str = "bilinear", outside: str = "zeros") -> Tensor:
    """Maps (n, H, W) at positions (n, H, W, 2)."""
    return functional.grid_sample(
        maps[:, None], positions, mode=mode, padding_mode=outside, align_corners=True
    )[:, 0]


def blurred(maps: Tensor, sigma: Tensor) -> Tensor:
    """Maps (n, H, W) smoothed by a Gaussian of sigma (n,) in their own pixels."""
    places = torch.arange(maps.shape[-1], device=maps.device)
    kernel = torch.exp(-0.5 * (places / sigma.clamp(min=0.02).view(-1, 1)) ** 2)
    weights = kernel[:, (places[:, None] - places).abs()]
    weights = weights / weights.sum(-1, keepdim=True)
    return weights @ maps @ weights.mT


def stretched(maps: Tensor) -> Tensor:
    """Maps (n, H, W), each stretched to [0, 1]."""
    low, high = maps.flatten(1).aminmax(dim=1)
    return (maps - low[:, None, None]) / (high - low).clamp(min=_LEAST)[:, None, None]


def as_tasks(images: Tensor, masks: Tensor, tasks: int) -> Pair:
    """Images and masks, (n, H, W) each, as those of so many tasks."""
    shape = tasks, -1, *images.shape[1:]
    return images.reshape(shape), masks.float().reshape(shape)
