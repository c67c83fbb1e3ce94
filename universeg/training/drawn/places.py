"""Places: what is meant looks like what is around it, and is told by where it is in a body."""

from __future__ import annotations

import torch

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, each, read
from universeg.training.drawn.painting import painted

_LANDMARKS = 4
_LABELS = 2 + _LANDMARKS  # air, body, landmarks
_TURNED = 0.15  # radians, about, that a subject is turned by


def places(canvas: Canvas, tasks: int, images: int) -> Pair:
    """A body with organs, bent and turned for each subject; meant is a blob that is not painted."""
    number = tasks * images
    outline = canvas.grid.norm(dim=-1) + 0.07 * canvas.clouds(tasks, (3, 5))
    body = (outline < canvas.uniform(0.75, 0.9, tasks, 1, 1)).long()
    for landmark in range(_LANDMARKS):
        organ = _blob(canvas, tasks, canvas.uniform(0.1, 0.28, tasks))
        body = torch.where(organ & (body > 0), 2 + landmark, body)
    meant = _blob(canvas, tasks, canvas.uniform(0.18, 0.38, tasks)) & (body > 0)
    positions = _posed(canvas, canvas.bends(canvas.uniform(1, 5, number)))
    labels = read(each(body.float(), images), positions, "nearest").round().long()
    masks = read(each(meant.float(), images), positions)
    return as_tasks(painted(canvas, labels, _LABELS, tasks), masks, tasks)


def _blob(canvas: Canvas, tasks: int, radius: torch.Tensor) -> torch.Tensor:
    """Something round for each task, in its body: (tasks, H, W) of true and false."""
    middle = canvas.uniform(-0.45, 0.45, tasks, 1, 1, 2)
    rough = 0.05 * canvas.clouds(tasks, (3, 6))
    return (canvas.grid - middle).norm(dim=-1) + rough < radius[:, None, None]


def _posed(canvas: Canvas, positions: torch.Tensor) -> torch.Tensor:
    """Positions (n, H, W, 2), turned, scaled and shifted a little for each image."""
    number = len(positions)
    angle = _TURNED * canvas.normal(number)
    scale = torch.exp(0.08 * canvas.normal(number))
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1)
    moved = torch.einsum("nij,nhwj->nhwi", (turn * scale[:, None]).view(-1, 2, 2), positions)
    return moved + 0.06 * canvas.normal(number, 1, 1, 2)
