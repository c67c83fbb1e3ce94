"""What is drawn for an episode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Range = tuple[float, float]


class Draws:
    """Draws for a task, one for all of its images, or for images, one for each.

    Single numbers are drawn on the CPU, so that a seed means the same operations on every device;
    fields of noise are drawn on the device of the images.
    """

    def __init__(self, numbers: np.random.Generator, fields: torch.Generator, count: int) -> None:
        """Draw `count` at a time: 1 for a task, else as many as there are images."""
        self.count = count
        self._numbers = numbers
        self._fields = fields

    def apply(
        self,
        operation: Callable[..., Tensor],
        stack: Tensor,
        probability: float,
        *ranges: Range,
    ) -> Tensor:
        """Apply an operation, in place, to those of a stack that it is drawn for.

        Numbers are drawn whether or not they are used, so that what follows does not depend on it.

        Args:
            operation: takes the part of the stack, and (n, 1, 1) of each range.
            stack: (n, H, W, ...).
            probability: that the operation is drawn.
            ranges: of its parameters.

        Returns:
            (count,) of true and false: whether it was drawn, on the CPU.
        """
        drawn = self._happens(probability)
        replace(operation, stack, drawn, *(self._uniform(*ends) for ends in ranges))
        return drawn

    def uniform_field(self, *shape: int) -> Tensor:
        """Independent numbers between -1 and 1."""
        field = torch.rand(shape, generator=self._fields, device=self._fields.device)
        return field.mul_(2).sub_(1)

    def normal_field(self, *shape: int) -> Tensor:
        """Independent numbers of mean 0 and standard deviation 1."""
        return torch.randn(shape, generator=self._fields, device=self._fields.device)

    def _happens(self, probability: float) -> Tensor:
        return torch.from_numpy(self._numbers.random(self.count) < probability)

    def _uniform(self, low: float, high: float) -> Tensor:
        values = self._numbers.uniform(low, high, (self.count, 1, 1)).astype(np.float32)
        return torch.from_numpy(values).to(self._fields.device, non_blocking=True)


def replace(
    operation: Callable[..., Tensor], stack: Tensor, drawn: Tensor, *values: Tensor
) -> None:
    """Put what an operation makes of a part of a stack in its place; the rest is not touched.

    Args:
        operation: takes the part, and as much of the values.
        stack: (n, ...).
        drawn: (n,), or (1,) for all or nothing, on the CPU.
        values: (n, ...) each, or (1, ...) that all share.
    """
    if not drawn.any():
        return
    if len(drawn) == 1:
        stack.copy_(operation(stack, *values))
        return
    part = drawn.nonzero().squeeze(1).to(stack.device, non_blocking=True)
    stack[part] = operation(stack[part], *(value[part] for value in values))
