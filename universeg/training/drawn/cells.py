"""Cells: scattered blobs of two kinds; meant are one kind, its cores, or its rims."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, each
from universeg.training.drawn.painting import painted

_MANY = (1, 2, 4, 8, 16)
_SMALL = 4  # cells beyond which they are no larger than
_SMALL_RADIUS = 12.0
_RADII = (4.0, 26.0)
_LABELS = 5  # ground, then rim and core of each kind


def cells(canvas: Canvas, tasks: int, images: int) -> Pair:
    """Places are each image's own, sizes and looks are the task's; one alone is near the middle."""
    many = int(canvas.numbers.choice(_MANY))
    kind, other = (_blobs(canvas, tasks, images, many) for _ in range(2))
    core = each(canvas.uniform(0.3, 0.75, tasks, 1, 1), images)
    labels = torch.zeros(kind.shape, dtype=torch.long, device=canvas.device)
    for distance, rim in ((other, 3), (kind, 1)):  # what is meant lies on top
        labels = torch.where(distance < 1, torch.where(distance < core, rim + 1, rim), labels)
    meant = each(canvas.one_of(3, tasks, 1, 1), images)
    rims, cores = labels == 1, labels == 2
    masks = torch.where(meant == 0, rims | cores, torch.where(meant == 1, cores, rims))
    return as_tasks(painted(canvas, labels, _LABELS, tasks), masks, tasks)


def _blobs(canvas: Canvas, tasks: int, images: int, many: int) -> Tensor:
    """How far each pixel is from the nearest middle, in radii: (tasks x images, H, W)."""
    number = tasks * images
    pixel = canvas.pixels(1) * 2 / canvas.size
    radius = each(canvas.spread(*_RADII, tasks), images)
    if many > _SMALL:
        radius = radius.clamp(max=_SMALL_RADIUS)
    longer = each(canvas.uniform(1, 1.8, tasks), images)[:, None, None]
    nearest = torch.full((number, canvas.size, canvas.size), math.inf, device=canvas.device)
    for _ in range(many):
        middle = canvas.uniform(-1, 1, number, 2)
        if many == 1:
            middle = 0.12 * canvas.normal(number, 2)
        x, y = (canvas.grid - middle[:, None, None]).unbind(-1)
        turned = canvas.uniform(0, math.pi, number, 1, 1)
        along = x * turned.cos() + y * turned.sin()
        across = y * turned.cos() - x * turned.sin()
        own = (radius * torch.exp(0.2 * canvas.normal(number)))[:, None, None] * pixel
        nearest = torch.minimum(nearest, torch.hypot(along / longer, across) / own)
    return nearest + 0.1 * canvas.clouds(number, (6, 12))
