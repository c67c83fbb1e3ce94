"""Label maps, painted as the scans of several subjects would look."""

from __future__ import annotations

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, blurred, each, stretched

_DARK = 0.3  # of images have a background of zeros
_GRAINY = 0.5  # have noise that is smooth


def painted(canvas: Canvas, labels: Tensor, count: int, tasks: int) -> Tensor:
    """Paint label maps as the paper does its synthetic tasks.

    A label has a grey value for the task, and nearly the same for each subject; then come noise,
    blur, a bias field and gamma.

    Args:
        canvas: draws all of it.
        labels: (tasks x images, H, W) from 0, the background, to count - 1.
        count: of labels.
        tasks: of which the label maps are.

    Returns:
        Grey values in [0, 1], shaped as the labels.
    """
    images = len(labels) // tasks
    number = len(labels)
    of_task = canvas.uniform(0, 1, tasks, 1, count)
    jitter = canvas.uniform(0.01, 0.1, tasks, 1, 1) * canvas.normal(tasks, images, count)
    means = (of_task + jitter).flatten(0, 1)
    strengths = canvas.spread(0.005, 0.3, tasks, 1, count) * canvas.uniform(
        0.5, 1.5, tasks, images, 1
    )
    mean, strength = (
        values.gather(1, labels.flatten(1)).view_as(labels)
        for values in (means, strengths.flatten(0, 1))
    )
    grey = mean + strength * _grain(canvas, number, tasks)
    is_dark = each(canvas.happens(_DARK, tasks, 1, 1), images) & (labels == 0)
    grey = torch.where(is_dark, 0.0, grey)
    blur = each(canvas.uniform(0.05, 1.2, tasks), images) * canvas.uniform(0.5, 1.5, number)
    return finished(canvas, blurred(grey, blur), tasks)


def finished(canvas: Canvas, grey: Tensor, tasks: int) -> Tensor:
    """Grey values under a bias field, stretched to [0, 1], with gamma: (n, H, W)."""
    number = len(grey)
    strength = each(canvas.uniform(0, 0.35, tasks, 1, 1), number // tasks)
    bias = torch.exp(canvas.clouds(number, (2, 3)) * strength)
    gamma = torch.exp(0.25 * canvas.normal(number, 1, 1))
    return stretched(grey.clamp(min=0) * bias).clamp(1e-4, 1) ** gamma


def _grain(canvas: Canvas, number: int, tasks: int) -> Tensor:
    """Noise of standard deviation 1: of a task, either of single pixels, or smooth."""
    images = number // tasks
    noise = canvas.normal(number, canvas.size, canvas.size)
    smooth = blurred(noise, each(canvas.uniform(0.4, 2.5, tasks), images))
    smooth = smooth / smooth.flatten(1).std(1)[:, None, None]
    return torch.where(each(canvas.happens(_GRAINY, tasks, 1, 1), images), smooth, noise)
