"""Shapes: a map of regions that each subject bends in its own way; one or two of them are meant."""

from __future__ import annotations

import torch

from universeg.training.drawn.canvas import Canvas, Pair, as_tasks, each, read
from universeg.training.drawn.painting import painted

_FEWEST, _MOST = 4, 16  # regions
_ALONE = 0.75  # how often one region alone is meant


def shapes(canvas: Canvas, tasks: int, images: int) -> Pair:
    """Regions where one of several clouds is the highest (paper, synthetic tasks)."""
    count = int(canvas.numbers.integers(_FEWEST, _MOST + 1))
    clouds = canvas.clouds(tasks * count).view(tasks, count, canvas.size, -1)
    rough = canvas.bends(canvas.uniform(2, 10, tasks), (4, 8, 16))
    regions = read(clouds.argmax(1).float(), rough, "nearest", "border")
    own = each(canvas.uniform(1, 12, tasks), images) * canvas.uniform(0.3, 1, tasks * images)
    labels = read(each(regions, images), canvas.bends(own), "nearest").round().long()
    first = labels.view(tasks, images, -1)[:, 0]
    meant = first.gather(1, canvas.one_of(first.shape[1], tasks, 2))
    is_alone = canvas.happens(_ALONE, tasks)
    one = meant[:, :1, None]
    other = torch.where(is_alone[:, None, None], one, meant[:, 1:, None])
    masks = (labels == each(one, images)) | (labels == each(other, images))
    return as_tasks(painted(canvas, labels, count, tasks), masks, tasks)
