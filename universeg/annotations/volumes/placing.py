"""Label maps on one grid in the patient, brought to the grid of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.volume import Volume

_OFF = 1e-2  # voxels that a grid may be off and still be the same


def placed(labels: Volume, image: Volume) -> tuple[NDArray[Any], bool]:
    """The label of each voxel of an image: the nearest one, and 0 where there is none.

    Returns:
        (k, j, i) on the axes of the image; and whether the two have the same voxels.
    """
    way = np.linalg.inv(affine_of(labels)) @ affine_of(image)
    if _is_aligned(way, image.voxels.shape[::-1]):
        return _copied(labels.voxels, np.rint(way).astype(np.int64), image.voxels.shape), True
    from scipy.ndimage import affine_transform

    found = affine_transform(
        labels.voxels,
        way[:3, :3][::-1, ::-1],
        offset=way[:3, 3][::-1] + 1e-6,  # what lies between two is given to one of them, always
        output_shape=image.voxels.shape,
        order=0,
        mode="grid-constant",
        cval=0,
    )
    return found, False


def affine_of(volume: Volume) -> NDArray[np.float64]:
    """From voxels (i, j, k) to mm, LPS: (4, 4)."""
    affine = np.eye(4)
    affine[:3, :3] = volume.directions * volume.spacing
    affine[:3, 3] = volume.origin
    return affine


def _is_aligned(way: NDArray[np.float64], size: tuple[int, ...]) -> bool:
    """Whether voxels fall on voxels, all along an image of a size (i, j, k)."""
    corners = np.array(np.meshgrid(*((0, length - 1) for length in size), indexing="ij"))
    points = np.vstack([corners.reshape(3, -1), np.ones(8)])
    rounded = np.rint(way)
    steps = np.abs(rounded[:3, :3])
    is_turned = bool((steps.sum(axis=0) == 1).all() and (steps.sum(axis=1) == 1).all())
    return is_turned and float(np.abs((way - rounded) @ points).max()) < _OFF


def _copied(labels: NDArray[Any], way: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[Any]:
    """The labels of voxels that fall on voxels."""
    found = np.zeros(shape, dtype=labels.dtype)
    axes = np.abs(way[:3, :3]).argmax(axis=0)  # of the labels, for each axis i, j, k of the image
    here, there = [], []
    for own, axis in enumerate(axes.tolist()):
        places = way[axis, own] * np.arange(shape[2 - own]) + way[axis, 3]
        is_inside = (places >= 0) & (places < labels.shape[2 - axis])
        here.append(np.flatnonzero(is_inside))
        there.append(places[is_inside])
    turned = labels.transpose([2 - int(axis) for axis in axes[::-1]])
    found[np.ix_(*here[::-1])] = turned[np.ix_(*there[::-1])]
    return found
