"""Tubes: thin curves, each image's own, so that only their looks tell them from the rest."""

from __future__ import annotations

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, blurred, each, stretched

_WAVES = ((2, 4), (3, 6), (4, 9))  # of the curves, from the long ones to the crinkled ones
_OFTEN = (0.9, 0.7, 0.5)  # how often such are there
_FLAT = 0.02  # a slope below which a distance means nothing


def tubes(canvas: Canvas, tasks: int, images: int) -> Pair:
    """Level sets of clouds: a pixel is as far from the curve as the cloud is high over its slope.

    All tubes of a task are brighter than what is around them, or all are darker. Where the last
    kind of curves is not meant, it is there all the same, of the opposite brightness.
    """
    number = tasks * images
    meant = torch.zeros(number, canvas.size, canvas.size, device=canvas.device)
    beside = torch.zeros_like(meant)
    for waves, often in zip(_WAVES, _OFTEN, strict=True):
        curve = _curves(canvas, waves, tasks, images)
        is_meant = each(canvas.happens(often, tasks, 1, 1), images)
        meant = torch.where(is_meant, torch.maximum(meant, curve), meant)
        beside = torch.where(is_meant, torch.zeros_like(curve), curve)
    return drawn_on_ground(canvas, meant, beside, tasks)


def drawn_on_ground(canvas: Canvas, meant: Tensor, beside: Tensor, tasks: int) -> Pair:
    """Curves that are meant, and others, (n, H, W) each, on a cloudy ground in a field of view."""
    images = len(meant) // tasks
    contrast = each(canvas.sign(tasks, 1, 1) * canvas.uniform(0.1, 0.5, tasks, 1, 1), images)
    ground = canvas.clouds(len(meant)) * each(canvas.uniform(0.02, 0.2, tasks, 1, 1), images)
    # More noise than this, and nobody sees a thin one.
    strength = contrast.abs() * each(canvas.spread(0.02, 0.4, tasks, 1, 1), images)
    noise = canvas.normal(*meant.shape) * strength
    other = canvas.uniform(0.3, 1, len(meant), 1, 1) * beside
    grey = ground + contrast * meant - contrast * torch.where(meant > 0, 0.0, other) + noise
    grey = stretched(blurred(grey, canvas.uniform(0.1, 0.9, len(meant))))
    radius = each(canvas.uniform(0.75, 1.4, tasks, 1, 1), images)
    is_round = each(canvas.happens(0.5, tasks, 1, 1), images)
    is_out = is_round & (canvas.grid.square().sum(-1).sqrt() >= radius)
    return as_tasks(grey.masked_fill(is_out, 0), meant.masked_fill(is_out, 0), tasks)


def _curves(canvas: Canvas, waves: tuple[int, int], tasks: int, images: int) -> Tensor:
    cloud = canvas.clouds(tasks * images, waves)
    slope = torch.hypot(*torch.gradient(cloud, dim=(1, 2))).clamp(min=_FLAT)
    width = each(canvas.spread(0.4, 2.2, tasks, 1, 1), images)
    varied = canvas.pixels(1) * width * (1 + 0.3 * canvas.clouds(len(cloud), (2,)))
    return torch.sigmoid((varied.clamp(min=0.4) - cloud.abs() / slope) * 3)
