"""From annotation files to labels: the registry that `mask.decode` of a manifest names.

A decoder takes the group and a function that reads one file of label values, and gives a
`Segmentation` on the grid of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.manifest import FileGroup
from megamedical.scan import LabelMap, Layers, Segmentation

Read = Callable[[str], NDArray[Any]]
Decoder = Callable[[FileGroup, Read], Segmentation]


def values(group: FileGroup, read: Read) -> Segmentation:
    """One file of integers; every label is one value of it or several. Other values are ignored."""
    return LabelMap(read(group.mask.patterns[0]), group.label_values)


def threshold(group: FileGroup, read: Read) -> Segmentation:
    """One file; all that is above `mask.above` is the group's one label."""
    (label,) = group.label_values
    return Layers({label: read(group.mask.patterns[0]) > group.mask.above})


def files(group: FileGroup, read: Read) -> Segmentation:
    """One file per label; all that is not zero in it is the label. Labels may overlap."""
    layers = {label: read(group.mask.files[label]) != 0 for label in group.label_values}
    shapes = {layer.shape for layer in layers.values()}
    if len(shapes) > 1:
        raise SubjectError("decode", "", f"its masks differ in shape: {sorted(shapes)}")
    return Layers(layers)


DECODERS: Mapping[str, Decoder] = {"values": values, "threshold": threshold, "files": files}


def decode(group: FileGroup, read: Read, shape: tuple[int, ...]) -> Segmentation:
    """The labels of one subject, on the grid of its image.

    Raises:
        SubjectError: the annotation has another shape than the image, or none of the labels.
    """
    segmentation = DECODERS[group.mask.decode](group, read)
    if segmentation.shape != shape:
        raise SubjectError(
            "decode", "", f"the mask is {_by(segmentation.shape)}, the image {_by(shape)}"
        )
    if not segmentation.boxes():
        raise SubjectError("decode", "", "the mask is empty: it holds none of the group's labels")
    return segmentation


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(length) for length in np.array(shape))
