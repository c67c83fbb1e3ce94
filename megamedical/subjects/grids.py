"""Whether a mask lies where its image does, and its voxels in the order of the image's.

A mask may be stored along other axes than its image, or along the same ones the other way round. It
is turned to those of its image, and then the n-th voxel of both must lie in the same place.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.dicom import Plane
from megamedical.reading.formats import reader_of
from megamedical.reading.library_errors import blaming
from megamedical.reading.volume import SHEAR, Volume

# Headers are rounded to single precision, to quaternions, or to a few decimals, which moves the far
# corners of a large volume most. Below half a voxel, each voxel of a mask is still nearest to its
# own of the image.
NEAR = 0.5  # voxels of the image
ALIKE = 0.005  # difference of two spacings, as a share: corners show little of a few slices
_STRAIGHT = 1e-3  # largest component of an axis across the body's, which is not worth a word


def on_grid_of(image: Volume, mask: Volume) -> Volume:
    """A mask along the axes of its image, and in its place: a view, no voxel is copied.

    A mask of another shape is turned and given back: that it is of another grid can be seen.

    Raises:
        SubjectError: a corner of the mask lies `NEAR` voxels from that of the image or farther, or
            its spacing is another.
    """
    turned = _along(image, mask)
    if turned.voxels.shape != image.voxels.shape:
        return turned
    apart = _corners(turned) - _corners(image)
    with np.errstate(all="ignore"):  # of headers that say nothing, which are far from everything
        voxels_apart = np.abs(apart @ image.directions / image.spacing).max()
        unlike = np.abs(np.divide(turned.spacing, image.spacing) - 1).max()
    if voxels_apart < NEAR and unlike < ALIKE:
        return Volume(turned.voxels, image.directions, image.spacing, image.origin)
    raise SubjectError(
        "decode",
        "",
        f"the mask does not lie on the grid of its image: it has {described(mask)}, the image "
        f"{described(image)}; where headers are known to be wrong, say `mask: {{place: voxels}}`",
    )


def expect_same_facing(image: Path, mask: Path) -> None:
    """Make sure that a mask is not mirrored or turned, where two pictures say how they lie.

    Raises:
        SubjectError: a row or a column of the mask points elsewhere than that of the image.
    """
    one, other = (_facing(path) for path in (image, mask))
    if one is None or other is None:
        return
    alike = np.diagonal(one.T @ other)[:2]
    if not (alike > np.sqrt(0.5)).all():
        raise SubjectError(
            "decode",
            mask.name,
            f"the mask lies along the axes {_axes(other)}, its image along {_axes(one)}; where "
            "headers are known to be wrong, say `mask: {place: voxels}`",
        )


def _facing(path: Path) -> NDArray[np.float64] | None:
    with blaming(path):
        return reader_of(path).facing(path)


def expect_same_plane(image: Plane, mask: Plane, between: float, name: str) -> None:
    """Make sure that the DICOM file of a mask says that it lies where the slice of its image does.

    Args:
        image: where the slice lies.
        mask: where its mask does.
        between: how far slices of the image lie apart, in mm.
        name: of the mask's file.

    Raises:
        SubjectError: it lies `NEAR` voxels from it or farther, or points elsewhere.
    """
    axes = np.column_stack([image.axes, image.normal])
    with np.errstate(all="ignore"):  # of headers that say nothing, which are far from everything
        apart = np.abs((mask.position - image.position) @ axes / (*image.spacing, between)).max()
        turned = np.abs(mask.axes - image.axes).max()
        unlike = np.abs(np.divide(mask.spacing, image.spacing) - 1).max()
    if apart < NEAR and turned < SHEAR and unlike < ALIKE:
        return
    places = [" ".join(f"{mm:.6g}" for mm in plane.position) for plane in (mask, image)]
    raise SubjectError(
        "decode",
        name,
        f"the mask lies at {places[0]}, the slice of its image at {places[1]} (mm, LPS), or is "
        "turned against it; where headers are known to be wrong, say `mask: {place: voxels}`",
    )


def described(volume: Volume) -> str:
    """The grid of a volume, in words."""
    spacing = " x ".join(f"{length:.6g}" for length in volume.spacing)
    first = ", ".join(f"{place + 0.0:.6g}" for place in volume.origin)
    return f"voxels of {spacing} mm from LPS ({first}), axes {_axes(volume.directions)}"


def _axes(directions: NDArray[np.float64]) -> str:
    """The letters of axes that run along the body's, or their directions."""
    columns = directions.T
    if not np.isfinite(columns).all():
        return "that point nowhere"
    if (np.sort(np.abs(columns), axis=1)[:, :2] < _STRAIGHT).all():
        mains = np.abs(columns).argmax(axis=1)
        return "".join(
            ("LPS" if axis[main] > 0 else "RAI")[main]
            for main, axis in zip(mains, columns, strict=True)
        )
    return " ".join("(" + ", ".join(f"{part:.3f}" for part in axis) + ")" for axis in columns)


def _along(image: Volume, mask: Volume) -> Volume:
    """A mask with its axes in the order of the image's, and each in the same sense."""
    cosines = np.nan_to_num(image.directions.T @ mask.directions)
    order = np.abs(cosines).argmax(axis=1)  # which axis of the mask runs along i, j, k of the image
    if len({*order.tolist()}) < len(order):
        order = np.arange(len(order))
    senses = np.where(cosines[np.arange(len(order)), order] < 0, -1, 1)
    spacing = np.array(mask.spacing)[order]
    directions = mask.directions[:, order]
    voxels = mask.voxels.transpose(*(2 - order[::-1]))
    last = (np.array(voxels.shape[::-1]) - 1) * (senses < 0)  # the voxel that becomes the first
    origin = mask.origin + directions @ (last * spacing)
    voxels = voxels[tuple(slice(None, None, int(sense)) for sense in senses[::-1])]
    return Volume(voxels, directions * senses, tuple(spacing.tolist()), tuple(origin.tolist()))


def _corners(volume: Volume) -> NDArray[np.float64]:
    """(8, 3): where the corner voxels lie, in mm, LPS."""
    ends = [(0, length - 1) for length in volume.voxels.shape[::-1]]
    steps = np.array([*product(*ends)]) * volume.spacing
    return volume.origin + steps @ volume.directions.T
