"""Pieces: a region of a real image, and copies of it, moved and recoloured; no label is needed.

The idea is that of the superpixel tasks of MultiverSeg (Wong et al., ICCV 2025).
"""

from __future__ import annotations

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, blurred, each, read, stretched

_SEEDS = 12  # regions that an image falls into
_LEAST = 0.004  # of the image, that a region must cover


def pieces(canvas: Canvas, images: Tensor, masks: Tensor) -> Pair:
    """Regions of pixels alike in grey and place, of the first image of episodes (B, N, H, W)."""
    del masks
    tasks, count = images.shape[:2]
    first = stretched(images[:, 0])
    place = 0.3 * canvas.grid.movedim(-1, 0).expand(tasks, -1, -1, -1)
    smooth = blurred(first, canvas.pixels(1) * canvas.uniform(0.7, 2.5, tasks))
    cloud = 0.35 * canvas.clouds(tasks, (2, 4))
    features = torch.cat([torch.stack([smooth, cloud], dim=1), place], dim=1).flatten(2)
    features = features * canvas.spread(0.5, 3.3, tasks, 4, 1)
    seeds = canvas.one_of(features.shape[-1], tasks, 1, _SEEDS).expand(-1, 4, -1)
    distance = torch.cdist(features.mT, features.gather(2, seeds).mT)
    regions = distance.argmin(-1).view_as(first)
    meant = (regions == _large(regions)[:, None, None]).float()
    positions = canvas.bends(canvas.uniform(1, 8, tasks * count))
    grey, region = (read(each(plane, count), positions) for plane in (first, meant))
    grey = grey + canvas.clouds(len(grey), (2, 3)) * canvas.uniform(0, 0.08, len(grey), 1, 1)
    gamma = torch.exp(0.3 * canvas.normal(len(grey), 1, 1))
    return as_tasks(grey.clamp(1e-4, 1) ** gamma, region, tasks)


def _large(regions: Tensor) -> Tensor:
    """Of regions (n, H, W), the first that covers enough: (n,)."""
    numbers = torch.arange(_SEEDS, device=regions.device)
    areas = (regions.flatten(1)[..., None] == numbers).float().mean(1)
    return (areas >= _LEAST).float().argmax(1)
