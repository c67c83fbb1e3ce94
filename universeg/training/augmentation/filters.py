"""Smoothing, and the slope of what is smooth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def gaussian(sigma: Tensor, size: int, reach: Tensor | int) -> Tensor:
    """Smoothing along an axis as a product with a matrix, so that each image has its own sigma.

    Args:
        sigma: (n, 1, 1) in pixels.
        size: the length of the axis.
        reach: pixels after which the kernel is cut off.

    Returns:
        (n, size, size): 1 on the diagonal, to be divided by the sum of the kernel.
    """
    places = torch.arange(size, device=sigma.device)
    kernel = torch.exp(-0.5 * (places / sigma) ** 2) * (places <= reach)
    return kernel[:, 0, (places[:, None] - places).abs()]


def edges(labels: Tensor) -> Tensor:
    """The length of the Sobel gradient of (n, H, W), in [0, 1]: 1 along an edge from 0 to 1."""
    padded = functional.pad(labels[:, None], (1, 1, 1, 1), mode="replicate").squeeze(1)
    by_rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    by_columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    across = by_rows[..., 2:] - by_rows[..., :-2]
    down = by_columns[:, 2:] - by_columns[:, :-2]
    return (torch.hypot(across, down) / 4).clamp(max=1)
