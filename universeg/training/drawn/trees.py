"""Trees: branches that fork and taper, as vessels and airways do, each image's own."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair, each
from universeg.training.drawn.tubes import drawn_on_ground

_FORKS = 5
_TAPER = (0.6, 0.85)  # of the width, from a branch to the next
_SHORTER = (0.65, 0.9)  # likewise of the length
_LEAST = 0.35  # pixels of half a width that can still be seen


def trees(canvas: Canvas, tasks: int, images: int) -> Pair:
    """A tree that is meant, and in some tasks a second one of the opposite brightness."""
    meant = _trees(canvas, tasks, images)
    is_there = each(canvas.happens(0.5, tasks, 1, 1), images)
    beside = torch.where(is_there, _trees(canvas, tasks, images), torch.zeros_like(meant))
    return drawn_on_ground(canvas, meant, beside, tasks)


def _trees(canvas: Canvas, tasks: int, images: int) -> Tensor:
    """Trees that grow from beyond the border into the image, (tasks x images, H, W)."""
    number = tasks * images
    pixel = 2 / canvas.size
    x, y = canvas.bends(canvas.uniform(1, 5, number), (4, 8)).movedim(-1, 0).contiguous()
    side = canvas.uniform(0, 2 * math.pi, number, 1)
    start = 1.05 * torch.stack([side.cos(), side.sin()], dim=-1)
    angle = side + math.pi + 0.35 * canvas.normal(number, 1)
    length = canvas.uniform(0.5, 0.8, number, 1)
    width = each(canvas.uniform(0.9, 3, tasks, 1), images) * canvas.pixels(1)
    taper = each(canvas.uniform(*_TAPER, tasks, 1), images)
    opening = each(canvas.uniform(0.3, 0.8, tasks, 1), images)
    inside = torch.full_like(x, -math.inf)
    for _ in range(_FORKS):
        end = start + length[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
        for branch in range(angle.shape[1]):
            far = _distance(x, y, start[:, branch], end[:, branch]) / pixel
            half = width[:, :, None].clamp(min=_LEAST)
            inside = torch.maximum(inside, half - far)
        start, length = (values.repeat_interleave(2, 1) for values in (end, length))
        turn = opening * canvas.uniform(0.5, 1.3, *length.shape)
        turn[:, 1::2] *= -1
        angle = angle.repeat_interleave(2, 1) + turn
        length = length * canvas.uniform(*_SHORTER, *length.shape)
        width = width * taper
    return torch.sigmoid(3 * inside)


def _distance(x: Tensor, y: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """How far positions (n, H, W) are from the lines between two points, (n, 2) each."""
    along = (end - start)[:, None, None]
    to_right, down = along.unbind(-1)
    right, below = x - start[:, 0, None, None], y - start[:, 1, None, None]
    share = (right * to_right + below * down) / along.square().sum(-1).clamp(min=1e-6)
    share = share.clamp_(0, 1)
    return torch.hypot(right - share * to_right, below - share * down)
