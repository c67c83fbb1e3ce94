"""The published processing, written out plainly: whole volumes, SciPy and nibabel, no shortcuts.

It is the yardstick for `megamedical.slicing`, which never makes a whole volume. Axes are always
(Z, Y, X), and nibabel is told their spacing by an affine.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.affines import rescale_affine
from nibabel.processing import resample_from_to
from numpy.typing import NDArray
from scipy import ndimage

OUTSIDE = -1e4


def resample(array: NDArray, spacing: tuple[float, ...], order: int) -> NDArray:
    """To 1 mm isotropic: cubic for images, nearest for labels."""
    image = nib.Nifti1Image(array.astype(np.float32), np.diag([*spacing, 1.0]))
    shape = tuple(max(round(n * s), 1) for n, s in zip(array.shape, spacing, strict=True))
    affine = rescale_affine(image.affine, array.shape, (1, 1, 1), shape)
    outside = OUTSIDE if order else 0
    return resample_from_to(image, (shape, affine), order=order, cval=outside).get_fdata()


def clip_and_scale(
    image: NDArray, percentiles: tuple[float, float] | None, window: tuple[float, float] | None
) -> NDArray:
    known = image[image > OUTSIDE]
    low, high = window or (known.min(), known.max())
    if percentiles:
        low, high = np.percentile(image[image > 0], percentiles)
    clipped = np.clip(image, max(low, known.min()), min(high, known.max()))
    return (clipped - clipped.min()) / (clipped.max() - clipped.min())


def square(array: NDArray) -> NDArray:
    size = max(array.shape)
    return np.pad(array, [((size - n) // 2, size - n - (size - n) // 2) for n in array.shape])


def resize(array: NDArray, resolution: int, order: int) -> NDArray:
    size = array.shape[0]
    blurred = ndimage.gaussian_filter(array.astype(np.float32), 0.25 * size / resolution)
    return ndimage.zoom(blurred, resolution / size, order=order)


def whole(
    image: NDArray,
    labels: NDArray,
    values: tuple[int, ...],
    resolution: int,
    *,
    spacing: tuple[float, ...] | None = None,
    percentiles: tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
) -> tuple[NDArray, dict[int, NDArray]]:
    """The resized image and the resized soft mask of each label, all of them whole."""
    masks = {value: (labels == value).astype(np.float32) for value in values}
    if spacing:
        image = resample(image, spacing, 3)
        masks = {value: resample(mask, spacing, 0) for value, mask in masks.items()}
    scaled = clip_and_scale(image.astype(np.float64), percentiles, window)
    resized = {value: resize(square(mask), resolution, 0) for value, mask in masks.items()}
    return resize(square(scaled), resolution, 1), resized
