"""Where the pixels of a moved image are read.

Positions are (n, H, W, 2): for each pixel of the result, the x and y that it is read at, in pixels
from the centre, y pointing down. Movements are composed on the positions, the last movement first,
so that pixels are interpolated only once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from universeg.training.augmentation.filters import gaussian

FIELD = 128  # pixels across the field that an elastic deformation is drawn on


def unmoved(height: int, width: int, device: torch.device) -> Tensor:
    """The positions (1, H, W, 2) of pixels that stay where they are."""
    x, y = (torch.arange(length, device=device) - (length - 1) / 2 for length in (width, height))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]


def bent(positions: Tensor, noise: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Positions after an elastic deformation; none within the border is moved beyond it.

    Args:
        positions: (n, H, W, 2).
        noise: (k, 2, FIELD, FIELD) in [-1, 1]; each field is for n / k positions in a row.
        alpha: (k, 1, 1) in halves of the image's side.
        sigma: (k, 1, 1) in pixels of the noise.
    """
    count, height, width, _ = positions.shape
    weights = gaussian(sigma, FIELD, reach=5 * sigma)
    weights /= weights.sum(-1, keepdim=True).amax(-2, keepdim=True)  # zeros beyond the border
    field = alpha[:, None] * (weights[:, None] @ noise @ weights[:, None].mT)
    size = torch.tensor([width, height], device=positions.device)
    border = (size - 1) / 2
    inside = positions.clamp(-border, border)
    shift = functional.grid_sample(
        field,
        (inside / border).view(len(field), -1, width, 2),
        padding_mode="border",
        align_corners=True,
    )
    shift = shift.view(len(field), 2, -1, height, width).permute(0, 2, 3, 4, 1)
    moved = inside + shift.reshape(count, height, width, 2) * size / 2
    return positions - inside + moved.clamp(-border, border)


def placed(
    positions: Tensor, degrees: Tensor, scale: Tensor, right: Tensor, down: Tensor
) -> Tensor:
    """Positions after the image was turned anticlockwise and scaled about its centre, then shifted.

    Parameters are (n, 1, 1); shifts are shares of the width and of the height.
    """
    height, width = positions.shape[1:3]
    x, y = positions[..., 0] - right * width, positions[..., 1] - down * height
    angle = torch.deg2rad(degrees)
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)


def read_at(planes: Tensor, positions: Tensor, outside: Tensor) -> Tensor:
    """Interpolate linearly.

    Args:
        planes: (n, C, H, W) in [0, 1].
        positions: (n, H, W, 2), or (1, H, W, 2) for all.
        outside: (n, C, 1, 1), or (C, 1, 1) for all: what lies beyond the border.
    """
    count, _, height, width = planes.shape
    size = torch.tensor([width, height], device=planes.device)
    read = functional.grid_sample(
        planes - outside,
        (positions * 2 / size).expand(count, -1, -1, -1),
        padding_mode="zeros",
        align_corners=False,
    )
    return (read + outside).clamp(0, 1)
