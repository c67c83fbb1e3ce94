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

SLOPE = 0.01  # of the LeakyReLU below zero

_HAS_FUSED = torch._C._has_mkldnn and hasattr(
    torch.ops.mkldnn, "_convolution_pointwise_"
)  # what `torch.compile` makes of convolutions on a CPU, without its minutes


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
        if is_fused(part) and part.shape[:-1] == total.shape[:-1]:
            _add_convolved(total, part, weight)
        else:
            total += convolve(part, weight)
    return total


def convolve_actively(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve, and activate what comes of it; see `convolve` and `activate`."""
    if not is_fused(maps):
        return activate(convolve(maps, weight, bias))
    fused = torch.ops.mkldnn._convolution_pointwise
    return _each(
        maps,
        lambda stack: fused(stack, weight, bias, *_same(weight), "leaky_relu", [SLOPE], ""),
    )


def is_fused(maps: Tensor) -> bool:
    """Whether oneDNN convolves these maps and does in the same pass what follows.

    It does the same in the same order, and saves one reading and writing of all maps. Gradients are
    not known to it.
    """
    return (
        _HAS_FUSED
        and maps.device.type == "cpu"
        and maps.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


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
    """LeakyReLU, in place."""
    return functional.leaky_relu_(maps, SLOPE)


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


def _add_convolved(total: Tensor, maps: Tensor, weight: Tensor) -> None:
    """Add a convolution to maps (..., H, W, D) that lie in one piece, in the same pass."""
    stacks = (each.flatten(0, -4).permute(0, 3, 1, 2) for each in (total, maps))
    fused = torch.ops.mkldnn._convolution_pointwise_
    fused.binary(*stacks, weight, None, *_same(weight), "add", 1.0, None, [], None)


def _same(weight: Tensor) -> tuple[list[int], list[int], list[int], int]:
    """Zeros around, steps, gaps and groups of a convolution that keeps the size of its maps."""
    return [side // 2 for side in weight.shape[-2:]], [1, 1], [1, 1], 1


def _each(maps: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Do to (..., H, W, C) what is defined for (N, C, H, W)."""
    stack = maps.flatten(0, -4).permute(0, 3, 1, 2)
    result = operation(stack).permute(0, 2, 3, 1).contiguous()
    return result.view(*maps.shape[:-3], *result.shape[1:])
