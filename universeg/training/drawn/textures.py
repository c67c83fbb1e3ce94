"""Textures: regions of one grey value that only their grain tells apart."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, blurred, each
from universeg.training.drawn.painting import finished


def textures(canvas: Canvas, tasks: int, images: int) -> Pair:
    """Two or three grains; where each is, is the image's own."""
    number = tasks * images
    count = int(canvas.numbers.integers(2, 4))
    clouds = canvas.clouds(number * count, (2, 4)).view(number, count, canvas.size, -1)
    regions = clouds.argmax(1)
    apart = canvas.uniform(0, 1, tasks, 1, 1)  # else two grains might be alike
    strength = each(canvas.uniform(0.08, 0.25, tasks, 1, 1), images)
    grey = each(canvas.uniform(0.3, 0.7, tasks, 1, 1), images).expand(clouds[:, 0].shape)
    for region in range(count):
        kind = (apart + region / count) % 1
        grain = _grain(canvas, each(kind, images)[:, 0, 0], number)
        grey = torch.where(regions == region, grey + strength * grain, grey)
    return as_tasks(finished(canvas, grey, tasks), regions == 0, tasks)


def _grain(canvas: Canvas, kind: Tensor, number: int) -> Tensor:
    """Noise of standard deviation 1 and mean 0, (n, H, W), by kind from 0 to 1.

    From 0 on it is of single pixels and ever coarser, from a half on of stripes in ever other
    directions.
    """
    noise = canvas.normal(number, canvas.size, canvas.size)
    coarse = blurred(noise, 0.3 + 5 * kind.clamp(max=0.5))
    direction = 2 * math.pi * (kind - 0.5) + 0.1 * canvas.normal(number)
    x, y = canvas.grid.unbind(-1)
    along = x * direction.cos()[:, None, None] + y * direction.sin()[:, None, None]
    waves = math.pi * canvas.size / 6  # a stripe in so many pixels
    striped = torch.sin(waves * along + 1.5 * canvas.clouds(number, (3, 6))) + 0.3 * noise
    grain = torch.where((kind < 0.5)[:, None, None], coarse, striped)
    grain = grain - grain.flatten(1).mean(1)[:, None, None]
    return grain / grain.flatten(1).std(1).clamp(min=1e-4)[:, None, None]
