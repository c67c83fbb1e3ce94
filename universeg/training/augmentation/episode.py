"""Augment one episode: a query and its support."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from universeg.training.augmentation.draws import Draws, replace
from universeg.training.augmentation.filters import edges
from universeg.training.augmentation.geometry import FIELD, bent, placed, read_at, unmoved
from universeg.training.augmentation.intensity import adjusted, blurred, noisy, sharpened
from universeg.training.augmentation.settings import (
    Augmentation,
    ImageAugmentation,
    TaskAugmentation,
)


@torch.no_grad()
def augment(
    images: Tensor, labels: Tensor, settings: Augmentation, seed: int | tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Augment the images of one task and their labels (paper, section 3.4).

    A seed gives the same result in every process and whatever else is augmented. On another device
    it gives the same operations, but other noise.

    Args:
        images: (N, H, W) float32 in [0, 1], the query and its support; at least 3 pixels a side.
        labels: (N, H, W) float32 in [0, 1], on the same device.
        settings: what to do.
        seed: not negative; several numbers make one seed.

    Returns:
        New images and labels, shaped as they came. Those that nothing was drawn for are the same
        to the bit.
    """
    numbers = np.random.default_rng(seed)
    fields = torch.Generator(images.device).manual_seed(int(numbers.integers(2**63)))
    for_task, for_each = (Draws(numbers, fields, count) for count in (1, len(images)))
    pairs = torch.stack([images, labels], dim=1)
    outside = _flip(pairs, settings.task, for_task)
    for level, draws in ((settings.task, for_task), (settings.image, for_each)):
        _move(pairs, outside, level, draws)
        _recolour(pairs[:, 0], level, draws)
    return pairs[:, 0].contiguous(), pairs[:, 1].contiguous()


def _flip(pairs: Tensor, task: TaskAugmentation, draws: Draws) -> Tensor:
    """Do what only tasks have done to them, to pairs (N, 2, H, W) in place.

    Returns:
        (2, 1, 1): what the padding around images and labels has become. Black around a background
        that is now white, or unlabelled around one that is now labelled, would contradict it.
    """
    outside = pairs.new_zeros(2, 1, 1)
    for part, flip in enumerate((task.flip_intensities, task.flip_labels)):
        flipped = draws.apply(lambda values: 1 - values, pairs[:, part], flip.probability)
        outside[part] = float(flipped)
    draws.apply(lambda values: values.flip(-1), pairs, task.flip_horizontally.probability)
    draws.apply(lambda values: values.flip(-2), pairs, task.flip_vertically.probability)
    if draws.apply(edges, pairs[:, 1], task.label_edges.probability):
        outside[1] = 0
    return outside


def _move(
    pairs: Tensor, outside: Tensor, level: TaskAugmentation | ImageAugmentation, draws: Draws
) -> None:
    """Move the image and the label of pairs (N, 2, H, W) alike, in place."""
    height, width = pairs.shape[-2:]
    positions = unmoved(height, width, pairs.device).repeat(draws.count, 1, 1, 1)

    def bend(own: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return bent(own, draws.uniform_field(len(own), 2, FIELD, FIELD), alpha, sigma)

    elastic = level.elastic
    is_bent = draws.apply(bend, positions, elastic.probability, elastic.alpha, elastic.sigma)
    affine = level.affine
    shift = (-affine.translate, affine.translate)
    is_placed = draws.apply(
        placed, positions, affine.probability, affine.degrees, affine.scale, shift, shift
    )
    replace(lambda own, at: read_at(own, at, outside), pairs, is_bent | is_placed, positions)


def _recolour(images: Tensor, level: TaskAugmentation | ImageAugmentation, draws: Draws) -> None:
    """Change grey values of (N, H, W), in place."""
    adjust, blur, noise = level.brightness_contrast, level.blur, level.noise
    draws.apply(adjusted, images, adjust.probability, adjust.brightness, adjust.contrast)
    draws.apply(
        lambda own, sigma: blurred(own, sigma, blur.kernel), images, blur.probability, blur.sigma
    )
    draws.apply(  # of a task, the strength: no two scans have the same noise
        lambda own, mean, std: noisy(own, draws.normal_field(*own.shape), mean, std),
        images,
        noise.probability,
        noise.mean,
        noise.std,
    )
    draws.apply(sharpened, images, level.sharpness.probability, level.sharpness.factor)
