"""What is drawn for the episodes of a batch.

Every episode has a seed of its own and draws from nothing else, so that it is augmented alike
whatever batch it is in. Single numbers are drawn on the CPU, all of an episode at once, so that a
seed means the same operations on every device; fields of noise are drawn on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Range: TypeAlias = tuple[float, float]
Seed: TypeAlias = int | tuple[int, ...]

_NUMBERS = 32  # that a task or an image may ask for
_FIELDS = 2  # kinds of them at each level


class Draws:
    """Draws for tasks, one for all images of each, or for images, one for each.

    Rows are tasks or images, `each` is how many images a row stands for.
    """

    def __init__(
        self,
        numbers: NDArray[np.float64],
        seeds: NDArray[np.int64],
        each: int,
        device: torch.device,
    ) -> None:
        """Take what was drawn.

        Args:
            numbers: in [0, 1), (B, rows of an episode, most that a row may ask for).
            seeds: of the fields of each episode, (B, kinds of fields).
            each: images of a row.
            device: where fields and numbers are wanted.
        """
        episodes, rows, most = numbers.shape
        self._episodes = episodes
        self._each = each
        self._numbers = torch.from_numpy(numbers.reshape(episodes * rows, most))
        self._there = self._numbers.float().repeat_interleave(each, 0).to(device, non_blocking=True)
        self._seeds = seeds
        self._generator = torch.Generator(device)
        self._used = 0

    def draw(self, probability: float, *ranges: Range) -> tuple[Tensor, list[Tensor]]:
        """Draw whether an operation happens, and its parameters.

        Numbers are drawn whether or not they are used, so that what follows does not depend on it.

        Returns:
            (n,) of true and false for the n images, on the CPU; and of each range (n, 1, 1) on the
            device.
        """
        drawn = self._numbers[:, self._used] < probability
        first = self._used + 1
        self._used = first + len(ranges)
        values = [
            (low + (high - low) * self._there[:, first + place]).view(-1, 1, 1)
            for place, (low, high) in enumerate(ranges)
        ]
        return drawn.repeat_interleave(self._each), values

    def apply(
        self,
        operation: Callable[..., Tensor],
        stack: Tensor,
        probability: float,
        *ranges: Range,
    ) -> Tensor:
        """Apply an operation, in place, to those of a stack (n, ...) that it is drawn for.

        Args:
            operation: takes the part of the stack, and (part, 1, 1) of each range.
            stack: (n, H, W, ...).
            probability: that the operation is drawn.
            ranges: of its parameters.

        Returns:
            (n,) of true and false: whether it was drawn, on the CPU.
        """
        drawn, values = self.draw(probability, *ranges)
        replace(operation, stack, drawn, *values)
        return drawn

    def uniform_fields(self, drawn: Tensor, *shape: int) -> Tensor:
        """Independent numbers between -1 and 1: (rows that are drawn, *shape)."""
        rows = drawn.view(-1, self._each)[:, 0]
        return self._fields(rows, shape, 0, lambda own, by: own.uniform_(-1, 1, generator=by))

    def normal_fields(self, drawn: Tensor, *shape: int) -> Tensor:
        """Independent numbers of mean 0 and standard deviation 1: (images drawn, *shape)."""
        return self._fields(drawn, shape, 1, lambda own, by: own.normal_(generator=by))

    def _fields(
        self,
        drawn: Tensor,
        shape: Sequence[int],
        kind: int,
        fill: Callable[[Tensor, torch.Generator], Tensor],
    ) -> Tensor:
        counts = drawn.view(self._episodes, -1).sum(1).tolist()
        fields = torch.empty(sum(counts), *shape, device=self._generator.device)
        for own, seed in zip(
            torch.split(fields, counts), self._seeds[:, kind].tolist(), strict=True
        ):
            if len(own):
                fill(own, self._generator.manual_seed(seed))
        return fields


def drawn_from(seeds: Sequence[Seed], images: int, device: torch.device) -> tuple[Draws, Draws]:
    """The draws for the tasks of some episodes, and for each of their images."""
    numbers, fields = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        numbers.append(rng.random((1 + images, _NUMBERS)))
        fields.append(rng.integers(2**63, size=2 * _FIELDS))
    of_all, of_fields = np.stack(numbers), np.stack(fields)
    return (
        Draws(of_all[:, :1], of_fields[:, :_FIELDS], images, device),
        Draws(of_all[:, 1:], of_fields[:, _FIELDS:], 1, device),
    )


def replace(
    operation: Callable[..., Tensor], stack: Tensor, drawn: Tensor, *values: Tensor
) -> None:
    """Put what an operation makes of a part of a stack in its place; the rest is not touched.

    Args:
        operation: takes the part, and as much of the values.
        stack: (n, ...).
        drawn: (n,), on the CPU.
        values: (n, ...) each.
    """
    if drawn.all():
        stack.copy_(operation(stack, *values))
    elif drawn.any():
        part = drawn.nonzero().squeeze(1).to(stack.device, non_blocking=True)
        stack[part] = operation(stack[part], *(value[part] for value in values))
