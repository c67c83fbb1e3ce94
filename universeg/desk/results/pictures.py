"""Scans of a desk as pictures for its report, and what is to be known of them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from megamedical.processing.slicing import AXIS_OF_PLANE
from universeg.desk.masks import Masks, seen
from universeg.desk.showing import Shown
from universeg.results.drawing import Size, outlined
from universeg.results.labels import Label
from universeg.results.measures import Measure, findings

_SIZE = Size(360, 360)
_LOW = 0.7  # expected Dice under which somebody should look


def picture_of(shown: Shown, masks: Masks, labels: Sequence[Label], plane: str) -> bytes:
    """A scan with the outlines of its labels, as PNG; of a volume the slice that shows most."""
    index = 0
    if len(shown.shape) == 3:
        drawn = sum(
            np.moveaxis(masks.layer(each.value), AXIS_OF_PLANE[plane], 0) for each in labels
        )
        index = int(np.count_nonzero(drawn, axis=(1, 2)).argmax()) if labels else 0
    cut = (plane, index)
    pixels = shown.colours if shown.colours is not None else _grey(shown, cut)
    mm = [each for axis, each in enumerate(shown.scan.spacing) if axis != AXIS_OF_PLANE.get(plane)]
    layers = {label.value: masks.shown(label.value, cut) for label in labels}
    stream = io.BytesIO()
    picture = Image.fromarray(outlined(pixels, layers, labels, _SIZE, mm))
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def flags(
    state: str, expected: float | None, found: Sequence[Measure], *, overlap: bool
) -> list[str]:
    """What somebody who reads the report should know of a scan."""
    said = []
    if state == "predicted":
        said.append("nobody looked at it")
        if expected is not None and expected < _LOW:
            said.append("expected to be poor")
    if state == "begun":
        said.append("not finished")
    said += findings(found)
    if overlap:
        said.append("labels overlap: in its one mask the last of them is seen")
    return said


def _grey(shown: Shown, cut: tuple[str, int]) -> NDArray[np.uint8]:
    low, high = shown.window
    values = (seen(shown.scan.voxels, cut).astype(np.float32) - low) / (high - low)
    return (values.clip(0, 1) * 255).astype(np.uint8)
