"""Grey values of images (n, H, W) in [0, 1]; parameters are (n, 1, 1), or (1, 1, 1) for all."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from universeg.training.augmentation.filters import gaussian


def adjusted(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Black stays black under contrast, as the padding around a scan should."""
    return (contrast * images + brightness).clamp(0, 1)


def blurred(images: Tensor, sigma: Tensor, kernel: int) -> Tensor:
    """Gaussian blur; what is beyond the border has no weight."""
    rows, columns = (
        functional.normalize(gaussian(sigma, size, reach=kernel // 2), p=1, dim=-1)
        for size in images.shape[-2:]
    )
    return (rows @ images @ columns.mT).clamp(0, 1)


def noisy(images: Tensor, noise: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Gaussian noise, from noise of mean 0 and standard deviation 1."""
    return (images + mean + std * noise).clamp(0, 1)


def sharpened(images: Tensor, factor: Tensor) -> Tensor:
    """Sharpness as PIL and torchvision define it; the outermost pixels stay as they are."""
    inner = images[:, 1:-1, 1:-1]
    by_rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    around = by_rows[..., :-2] + by_rows[..., 1:-1] + by_rows[..., 2:]
    smooth = (around + 4 * inner) / 13
    sharp = images.clone()
    sharp[:, 1:-1, 1:-1] = smooth + factor * (inner - smooth)
    return sharp.clamp(0, 1)
