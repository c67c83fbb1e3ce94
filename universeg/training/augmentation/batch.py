"""Augment episodes, each a query and its support, all of a batch at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from universeg.training.augmentation.draws import Draws, Seed, drawn_from, replace
from universeg.training.augmentation.filters import edges
from universeg.training.augmentation.geometry import FIELD, bent, placed, read_at, unmoved
from universeg.training.augmentation.intensity import adjusted, blurred, noisy, sharpened
from universeg.training.augmentation.settings import (
    Augmentation,
    ImageAugmentation,
    TaskAugmentation,
)

# Bytes of the images that are augmented together: a CPU is quicker on what its caches hold.
_AT_ONCE = {"cpu": 2 * 2**20}
_AT_ONCE_ELSEWHERE = 256 * 2**20


def augment(
    images: Tensor, labels: Tensor, settings: Augmentation, seed: Seed
) -> tuple[Tensor, Tensor]:
    """Augment one episode: the images of one task and their labels, (N, H, W) each.

    See `augment_batch`.
    """
    moved, of_labels = augment_batch(images[None], labels[None], settings, [seed])
    return moved[0], of_labels[0]


@torch.no_grad()
def augment_batch(
    images: Tensor, labels: Tensor, settings: Augmentation, seeds: Sequence[Seed]
) -> tuple[Tensor, Tensor]:
    """Augment the images of some tasks and their labels (paper, section 3.4).

    What is drawn for a task is the same for its query and its support, what is drawn in-task is
    each image's own. A seed gives the same result in every process and whatever else is augmented.
    On another device it gives the same operations, but other noise.

    Args:
        images: (B, N, H, W) float32 in [0, 1]; at least 3 pixels a side.
        labels: (B, N, H, W) float32 in [0, 1], on the same device.
        settings: what to do.
        seeds: of each episode; not negative; several numbers make one seed.

    Returns:
        New images and labels, shaped as they came. Those that nothing was drawn for are the same
        to the bit.
    """
    pairs = augment_stacks(torch.stack([images, labels], dim=2), settings, seeds)
    return pairs[:, :, 0].contiguous(), pairs[:, :, 1].contiguous()


@torch.no_grad()
def augment_stacks(stacks: Tensor, settings: Augmentation, seeds: Sequence[Seed]) -> Tensor:
    """Augment images that have any number of maps each, all moved with their image.

    Args:
        stacks: (B, N, 1 + C, H, W) float32 in [0, 1], of which the first is the image.
        settings: what to do; what is said of labels is done to all maps.
        seeds: see `augment_batch`.

    Returns:
        New stacks, shaped as they came.
    """
    together = _AT_ONCE.get(stacks.device.type, _AT_ONCE_ELSEWHERE)
    images = max(1, stacks[0, :, 0].numel() * stacks.element_size())
    episodes = max(1, together // images)
    parts = [
        _augmented(own.clone(), settings, seeds[start : start + episodes])
        for start, own in zip(
            range(0, len(stacks), episodes), torch.split(stacks, episodes), strict=True
        )
    ]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _augmented(episodes: Tensor, settings: Augmentation, seeds: Sequence[Seed]) -> Tensor:
    """Episodes (B, N, 1 + C, H, W), changed in place."""
    pairs = episodes.flatten(0, 1)
    for_tasks, for_images = drawn_from(seeds, episodes.shape[1], pairs.device)
    outside = _flip(pairs, settings.task, for_tasks)
    _move(pairs, outside, settings, for_tasks, for_images)
    _recolour(pairs[:, 0], settings.task, for_tasks)
    _recolour(pairs[:, 0], settings.image, for_images)
    return pairs.view_as(episodes)


def _flip(pairs: Tensor, task: TaskAugmentation, draws: Draws) -> Tensor:
    """Do what only tasks have done to them, to images with maps (n, 1 + C, H, W) in place.

    Returns:
        (n, 1 + C, 1, 1): what the padding around images and labels has become. Black around a
        background that is now white, or unlabelled around one that is now labelled, would
        contradict it.
    """
    outside = torch.zeros(pairs.shape[:2])
    for part, flip in ((slice(1), task.flip_intensities), (slice(1, None), task.flip_labels)):
        is_flipped = draws.apply(lambda own: 1 - own, pairs[:, part], flip.probability)
        outside[:, part] = is_flipped[:, None].float()
    draws.apply(lambda own: own.flip(-1), pairs, task.flip_horizontally.probability)
    draws.apply(lambda own: own.flip(-2), pairs, task.flip_vertically.probability)
    outside[draws.apply(_edges, pairs[:, 1:], task.label_edges.probability), 1:] = 0
    return outside.to(pairs.device, non_blocking=True)[:, :, None, None]


def _edges(maps: Tensor) -> Tensor:
    return edges(maps.flatten(0, 1)).view_as(maps)


def _move(
    pairs: Tensor, outside: Tensor, settings: Augmentation, for_tasks: Draws, for_images: Draws
) -> None:
    """Move images and their maps (n, 1 + C, H, W) alike, in place.

    A task is moved first and then its images, so where a pixel is read is found the other way
    round; it is interpolated once, by all movements together.
    """
    height, width = pairs.shape[-2:]
    positions = unmoved(height, width, pairs.device).repeat(len(pairs), 1, 1, 1)
    by_images = _displace(positions, settings.image, for_images)
    by_tasks = _displace(positions, settings.task, for_tasks)
    replace(read_at, pairs, by_images | by_tasks, positions, outside)


def _displace(
    positions: Tensor, level: TaskAugmentation | ImageAugmentation, draws: Draws
) -> Tensor:
    """Move positions (n, H, W, 2), in place; (n,) of true and false: whether they were."""
    elastic, affine = level.elastic, level.affine
    is_bent, (alpha, sigma) = draws.draw(elastic.probability, elastic.alpha, elastic.sigma)
    if is_bent.any():
        noise = draws.uniform_fields(is_bent, 2, FIELD, FIELD)
        replace(
            lambda own, a, s: bent(own, noise, _rows(a, noise), _rows(s, noise)),
            positions,
            is_bent,
            alpha,
            sigma,
        )
    shift = (-affine.translate, affine.translate)
    return is_bent | draws.apply(
        placed, positions, affine.probability, affine.degrees, affine.scale, shift, shift
    )


def _rows(values: Tensor, fields: Tensor) -> Tensor:
    """Of values that images share in rows, those of the first image of each field."""
    return values[:: len(values) // len(fields)]


def _recolour(images: Tensor, level: TaskAugmentation | ImageAugmentation, draws: Draws) -> None:
    """Change grey values of (n, H, W), in place."""
    adjust, blur, noise = level.brightness_contrast, level.blur, level.noise
    draws.apply(adjusted, images, adjust.probability, adjust.brightness, adjust.contrast)
    draws.apply(
        lambda own, sigma: blurred(own, sigma, blur.kernel), images, blur.probability, blur.sigma
    )
    is_noisy, ranges = draws.draw(noise.probability, noise.mean, noise.std)
    # Of a task, the strength: no two scans have the same noise.
    fields = draws.normal_fields(is_noisy, *images.shape[1:])
    replace(lambda own, mean, std: noisy(own, fields, mean, std), images, is_noisy, *ranges)
    draws.apply(sharpened, images, level.sharpness.probability, level.sharpness.factor)
