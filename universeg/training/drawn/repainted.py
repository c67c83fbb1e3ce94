"""Repainted: real images cut into regions by their grey, with their real mask, and painted anew."""

from __future__ import annotations

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, blurred, stretched
from universeg.training.drawn.painting import painted

_GREYS = 4  # regions beside the mask


def repainted(canvas: Canvas, images: Tensor, masks: Tensor) -> Pair:
    """Of episodes (B, N, H, W): real forms and places, with looks that nobody has seen."""
    tasks, count = images.shape[:2]
    flat = images.flatten(0, 1)
    smooth = stretched(blurred(flat, canvas.pixels(1) * canvas.uniform(0.8, 2, len(flat))))
    levels = canvas.uniform(0.1, 0.9, tasks, _GREYS - 1).sort(1).values
    steps = levels.repeat_interleave(count, 0)[:, :, None, None]
    regions = (smooth[:, None] > steps).sum(1)
    labels = torch.where(masks.flatten(0, 1) > 0.5, _GREYS, regions)
    return as_tasks(painted(canvas, labels, _GREYS + 1, tasks), masks.flatten(0, 1), tasks)
