"""Objects: several of one kind among others, of one grey value all, told apart by their form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, each
from universeg.training.drawn.painting import painted

_PLACES = 3  # along each side: an object has a place of its own
_FORMS = ("discs", "bars", "stars", "rings")


def objects(canvas: Canvas, tasks: int, images: int) -> Pair:
    """Two forms, of like area, in some of nine places; those of the first form are meant."""
    number = tasks * images
    order = canvas.uniform(0, 1, tasks, len(_FORMS)).argsort(1)
    meant, other = each(order[:, 0], images), each(order[:, 1], images)
    size = each(canvas.uniform(0.18, 0.27, tasks), images)
    labels = torch.zeros(number, canvas.size, canvas.size, dtype=torch.long, device=canvas.device)
    for place in range(_PLACES**2):
        row, column = divmod(place, _PLACES)
        middle = torch.tensor([column, row], device=canvas.device) * 2 / _PLACES - 1 + 1 / _PLACES
        at = middle + 0.07 * canvas.normal(number, 2)
        what = canvas.uniform(0, 1, number)
        if place == 0:
            what = torch.zeros_like(what)  # one at least is there
        form = torch.where(what < 0.35, meant, other)
        inside = _inside(canvas, at, form, size * canvas.uniform(0.85, 1.15, number))
        label = torch.where(what < 0.35, 1, 2)[:, None, None]
        labels = torch.where(inside & (what < 0.75)[:, None, None], label, labels)
    looks = painted(canvas, labels.clamp(max=1), 2, tasks)
    return as_tasks(looks, labels == 1, tasks)


def _inside(canvas: Canvas, middle: Tensor, form: Tensor, size: Tensor) -> Tensor:
    """Whether pixels are in an object of each image, (n, H, W)."""
    x, y = ((canvas.grid - middle[:, None, None]) / size[:, None, None, None]).unbind(-1)
    turned = canvas.uniform(0, 2 * math.pi, len(middle), 1, 1)
    along = x * turned.cos() + y * turned.sin()
    across = y * turned.cos() - x * turned.sin()
    far, angle = torch.hypot(x, y), torch.atan2(across, along)
    found = torch.stack(
        [
            far < 0.75,
            (along.abs() < 1.25) & (across.abs() < 0.35),
            far < 0.75 + 0.4 * torch.cos(5 * angle),
            (far < 1) & (far > 0.62),
        ]
    )
    return found[form, torch.arange(len(form), device=form.device)]
