"""From annotation files to labels: the registry that `mask.decode` of a manifest names.

A decoder takes the group and a function that reads the label values of one of the mask's patterns,
or of a part of its file that has a name or a number, and gives a `Segmentation` on their grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.catalogue.group import FileGroup
from megamedical.errors import SubjectError
from megamedical.reading.scan import LabelMap, Layers, Segmentation

Read = Callable[..., NDArray[Any]]
Decoder = Callable[[FileGroup, Read], Segmentation]


def values(group: FileGroup, read: Read) -> Segmentation:
    """One file of integers; every label is one value of it or several. Other values are ignored."""
    return LabelMap(read(group.mask.patterns[0]), group.label_values)


def threshold(group: FileGroup, read: Read) -> Segmentation:
    """One file; all that is above `mask.above` is the group's one label."""
    (label,) = group.label_values
    return Layers({label: read(group.mask.patterns[0]) > group.mask.above})


def drawn(group: FileGroup, read: Read) -> Segmentation:
    """One file, drawn on a ground of one grey; all that differs from its corners is the label.

    Raises:
        SubjectError: its corners are not of one grey.
    """
    (label,) = group.label_values
    values = read(group.mask.patterns[0])
    corners = values[tuple(slice(None, None, max(1, length - 1)) for length in values.shape)]
    ground = corners.flat[0]
    if (corners != ground).any():
        said = ", ".join(f"{grey:g}" for grey in np.unique(corners))
        raise SubjectError("decode", "", f"the mask's corners are not of one grey: {said}")
    return Layers({label: values != ground})


def files(group: FileGroup, read: Read) -> Segmentation:
    """One file per label; all that is not zero in it is the label. Labels may overlap."""
    return _layers((label, read(group.mask.files[label])) for label in group.label_values)


def contours(group: FileGroup, read: Read) -> Segmentation:
    """One file per label, what lies inside its line; of those inside one another the last one."""
    within = {label: read(pattern) != 0 for label, pattern in group.mask.files.items()}
    drawn = np.zeros(next(iter(within.values())).shape, np.int32)
    for label, mask in within.items():
        drawn[mask] = group.label_values[label][0]
    return LabelMap(drawn, group.label_values)


def channels(group: FileGroup, read: Read) -> Segmentation:
    """One file with a channel per label, which the label's value counts from 1; as `files`."""
    (pattern,) = group.mask.patterns
    return _layers(
        (label, read(pattern, value - 1)) for label, (value, *_) in group.label_values.items()
    )


def entries(group: FileGroup, read: Read) -> Segmentation:
    """One file that holds a mask per label, under the label's name; as `files`."""
    (pattern,) = group.mask.patterns
    return _layers((label, read(pattern, label)) for label in group.label_values)


def _layers(masks: Iterator[tuple[str, NDArray[Any]]]) -> Layers:
    """Labels by what is not zero; one mask at a time is in memory as a whole."""
    shapes = set()

    def layers() -> Iterator[tuple[str, NDArray[np.bool_]]]:
        for label, values in masks:
            shapes.add(values.shape)
            yield label, values != 0

    found = Layers(layers())
    if len(shapes) > 1:
        raise SubjectError("decode", "", f"its masks differ in shape: {sorted(shapes)}")
    return found


DECODERS: Mapping[str, Decoder] = {
    "values": values,
    "threshold": threshold,
    "drawn": drawn,
    "files": files,
    "contours": contours,
    "channels": channels,
    "entries": entries,
}


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
