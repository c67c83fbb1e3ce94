"""Operations on feature maps of shape (..., H, W, C).

Any leading axes are maps side by side. Channels are innermost, because oneDNN convolves that layout
twice as fast as (C, H, W), and because it stays unambiguous for a single map: one map of shape
(1, C, H, W) in PyTorch's channels-last format is easily taken for the other, 30 times slower, one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional


def convolve(maps: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve (..., H, W, C) with (D, C, k, k), k odd, zeros around: (..., H, W, D)."""
    return _each(maps, lambda stack: functional.conv2d(stack, weight, bias, padding="same"))


def convolve_parts(
    parts: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor | None = None
) -> Tensor:
    """Convolve the concatenation of maps along their channels, without making it.

    Args:
        parts: (..., H, W, C_p) each.
        weights: (D, C_p, k, k) each.
        bias: (D,).
    """
    total = convolve(parts[0], weights[0], bias)
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total += convolve(part, weight)
    return total


def neighbourhoods(maps: Tensor) -> Tensor:
    """The 3×3 pixels around each, zeros beyond the border: (..., H, W, C) to (..., H, W, 9C)."""
    channels = maps.shape[-1]
    taps = torch.eye(9 * channels, dtype=maps.dtype, device=maps.device)
    return convolve(maps, taps.view(-1, channels, 3, 3))


def fold(first: Tensor, second: Tensor) -> Tensor:
    """The one weight that, on `neighbourhoods`, does what two 3×3 convolutions do in a row.

    What the first would give beyond the border counts as zero, exactly as the padding of the second
    has it: the neighbourhoods of pixels beyond the border are themselves zero.

    Args:
        first: (M, C, 3, 3).
        second: (D, M, 3, 3).

    Returns:
        (D, 9C, 3, 3).
    """
    return torch.einsum("dmyx,mcij->dcijyx", second, first).flatten(1, 3)


def activate(maps: Tensor) -> Tensor:
    """LeakyReLU(0.01), in place."""
    return functional.leaky_relu_(maps, 0.01)


def halve(maps: Tensor) -> Tensor:
    """The largest of each 2×2 pixels: (..., H, W, C) to (..., H/2, W/2, C)."""
    return _each(maps, lambda stack: functional.max_pool2d(stack, 2))


def double(maps: Tensor) -> Tensor:
    """Interpolate linearly, corners on corners: (..., H, W, C) to (..., 2H, 2W, C)."""
    return _each(
        maps,
        lambda stack: functional.interpolate(
            stack, scale_factor=2, mode="bilinear", align_corners=True
        ),
    )


def _each(maps: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Do to (..., H, W, C) what is defined for (N, C, H, W)."""
    stack = maps.flatten(0, -4).permute(0, 3, 1, 2)
    result = operation(stack).permute(0, 2, 3, 1).contiguous()
    return result.view(*maps.shape[:-3], *result.shape[1:])
