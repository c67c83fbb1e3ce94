"""The drawn part of a batch, put beside what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair
from universeg.training.drawn.families import FROM_EPISODES, draw


@torch.no_grad()
def with_drawn(
    images: Tensor, masks: Tensor, families: Mapping[str, int], seed: Sequence[int]
) -> Pair:
    """Draw tasks of some families, beside episodes of the store.

    Args:
        images: (B, N, H, W); the last of them are what families of `FROM_EPISODES` are made of, in
            the order of the families.
        masks: likewise.
        families: how many tasks of each.
        seed: of all that is drawn.

    Returns:
        Images and masks of the episodes that remain, then of each family: (B', N, H, W) each.
    """
    if not families:
        return images, masks
    canvas = Canvas(images.shape[-1], images.device, seed)
    taken = sum(count for family, count in families.items() if family in FROM_EPISODES)
    start = len(images) - taken
    parts = [(images[:start], masks[:start])]
    for family, count in families.items():
        real = None
        if family in FROM_EPISODES:
            real = images[start : start + count], masks[start : start + count]
            start += count
        parts.append(draw(canvas, family, count, images.shape[1], real))
    of_images, of_masks = zip(*parts, strict=True)
    return torch.cat(of_images), torch.cat(of_masks).clamp(0, 1)
