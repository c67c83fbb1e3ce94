"""What leaves the first block, which is as large as the images: summed and halved, and forgotten.

Nothing is multiplied here, so all that counts is how often memory is read. Where nobody asks for
gradients, a strip of rows goes through everything before the next one does, and stays in the cache
of a core meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from universeg.network.maps import halve

_STRIP = 512 * 1024  # bytes
_TOGETHER = 16  # maps whose strips are done one after another


def summed_and_halved(
    previews: Iterable[Tensor], added: Tensor, finish: Callable[[Tensor], Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The sum of `finish(preview + added)` over all maps, and each of them halved.

    Args:
        previews: chunks of maps, (B, s, H, W, D), H and W even; B may be 1 for all queries.
        added: to each of them, (B, 1, H, W, D).
        finish: does the same at every pixel, and may do it in place.

    Returns:
        (B, H, W, D), and chunks of (B, s, H/2, W/2, D).
    """
    total = torch.zeros_like(added[:, 0])
    if added.device.type == "cpu" and not torch.is_grad_enabled():
        return total, [_in_strips(some, added, total, finish) for some in _together(previews)]
    halves = []
    for preview in previews:
        maps = finish(preview + added)
        for own in maps.unbind(1):
            total += own
        halves.append(halve(maps))
    return total, halves


def _together(previews: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Maps (B, H, W, D) that are worked on together.

    Of those that are made as they are asked for, no more than one chunk is there at a time.
    """
    if isinstance(previews, Sequence):
        maps = [own for chunk in previews for own in chunk.unbind(1)]
        for start in range(0, len(maps), _TOGETHER):
            yield maps[start : start + _TOGETHER]
    else:
        for chunk in previews:
            yield [*chunk.unbind(1)]


def _in_strips(
    maps: Sequence[Tensor], added: Tensor, total: Tensor, finish: Callable[[Tensor], Tensor]
) -> Tensor:
    """Each map finished and halved, (B, s, H/2, W/2, D), and added to the total."""
    queries, height, width, features = total.shape
    rows = 2 * max(1, _STRIP // (2 * queries * width * features * total.element_size()))
    halves = total.new_empty(queries, len(maps), height // 2, width // 2, features)
    strip = total.new_empty(queries, min(rows, height), width, features)
    for top in range(0, height, rows):
        cut = slice(top, min(top + rows, height))
        own = strip[:, : cut.stop - top]
        for number, each in enumerate(maps):
            torch.add(each[:, cut], added[:, 0, cut], out=own)
            done = finish(own)
            total[:, cut] += done
            higher = torch.maximum(done[:, ::2], done[:, 1::2])
            into = halves[:, number, top // 2 : cut.stop // 2]
            torch.maximum(higher[:, :, ::2], higher[:, :, 1::2], out=into)
    return halves
