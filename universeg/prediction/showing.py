"""Scans and masks as a network is shown them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.images import whole_numbers
from megamedical.reading.luma import luma
from megamedical.reading.scan import Scan
from universeg.prediction.frame import Frame, planes_of
from universeg.tuning.support import Example, SupportError

_MOST = 64  # labels; more are grey values, not labels


def shown(scan: Scan, mask: NDArray[Any], frame: Frame) -> Example:
    """A labelled scan as the network sees it.

    `mask` has the label values of the scan; where labels overlap, one axis more, along which each
    label is in one of several masks.

    Raises:
        SubjectError: the mask is of another size than the scan, or holds no label values.
    """
    expect_same_size(scan, mask)
    labels = label_values(mask)
    images = [frame.image(values) for values in planes_of(scan.voxels, frame.plane)]
    sheets = mask.reshape(-1, *scan.voxels.shape)
    of_sheets = [
        np.stack([frame.masks(values, labels) for values in planes_of(sheet, frame.plane)], axis=1)
        for sheet in sheets
    ]
    of_labels = np.maximum.reduce(of_sheets).astype(np.float16)
    return Example(
        np.stack(images).astype(np.float16),
        {label: soft for label, soft in zip(labels, of_labels, strict=True) if soft.any()},
    )


def label_values(mask: NDArray[Any]) -> tuple[int, ...]:
    """The values of the labels in a mask, in order; none if it is empty.

    Raises:
        SubjectError: one is negative, or there are so many that they are shades of grey.
    """
    values = [int(value) for value in np.unique(mask) if value]
    if values and values[0] < 0:
        raise SubjectError("decode", "", f"its mask holds {values[0]}, labels are above 0")
    if len(values) > _MOST:
        raise SubjectError(
            "decode",
            "",
            f"its mask holds {len(values)} values, which are shades of grey and not labels: "
            "save it with one value a label, as PNG and not as JPEG",
        )
    return tuple(values)


def layers_of(mask: NDArray[Any], shape: tuple[int, ...]) -> dict[int, NDArray[np.bool_]]:
    """Where each label of a mask is, on a scan of a shape; see `shown`.

    Raises:
        SubjectError: see `label_values`.
    """
    sheets = mask.reshape(-1, *shape)
    return {value: (sheets == value).any(axis=0) for value in label_values(mask)}


def expect_same_size(scan: Scan, mask: NDArray[Any]) -> None:
    """Make sure that a mask, or each of several, lies on the grid of its scan.

    Raises:
        SubjectError: it does not.
    """
    own = mask.shape[1:] if mask.ndim > scan.voxels.ndim else mask.shape
    if own != scan.voxels.shape:
        sizes = (" x ".join(map(str, shape)) for shape in (mask.shape, scan.voxels.shape))
        said = "its mask is {}, the image {}: draw it on this image".format(*sizes)
        raise SubjectError("match", "", said)


def labelled_pictures(
    images: Sequence[NDArray[Any]], masks: Sequence[NDArray[Any]]
) -> list[tuple[Scan, NDArray[Any]]]:
    """Arrays as scans in grey, each with its label values.

    Raises:
        SupportError: there are not as many of both.
        SubjectError: one is no picture, or holds no whole numbers.
    """
    if len(images) != len(masks):
        raise SupportError(
            f"{len(images)} images came with {len(masks)} masks",
            "Give each image its mask, in the same order.",
        )
    return [
        (picture(image), whole_numbers(np.asarray(mask), Path(f"mask {number}")))
        for number, (image, mask) in enumerate(zip(images, masks, strict=True))
    ]


def picture(image: NDArray[Any]) -> Scan:
    """A grey or colour array as a scan in grey."""
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 3:
        image = luma(image)
    if image.ndim != 2:
        raise SubjectError("read", "", f"has shape {image.shape}, not (H, W) or (H, W, 3)")
    return Scan(image, (1.0, 1.0))
