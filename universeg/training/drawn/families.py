"""The families of tasks that can be drawn, and how often each is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from universeg.training.drawn.canvas import Canvas, Pair
from universeg.training.drawn.cells import cells
from universeg.training.drawn.objects import objects
from universeg.training.drawn.pieces import pieces
from universeg.training.drawn.places import places
from universeg.training.drawn.repainted import repainted
from universeg.training.drawn.shapes import shapes
from universeg.training.drawn.textures import textures
from universeg.training.drawn.trees import trees
from universeg.training.drawn.tubes import tubes

# Drawn from nothing, given the number of tasks and of images in each.
FROM_NOTHING: Mapping[str, Callable[[Canvas, int, int], Pair]] = {
    "shapes": shapes,
    "tubes": tubes,
    "trees": trees,
    "cells": cells,
    "objects": objects,
    "textures": textures,
    "places": places,
}
# Made of episodes of the store, given their images and masks.
FROM_EPISODES: Mapping[str, Callable[[Canvas, Tensor, Tensor], Pair]] = {
    "pieces": pieces,
    "repainted": repainted,
}
FAMILIES = (*FROM_NOTHING, *FROM_EPISODES)

_Weight = Annotated[float, Field(ge=0)]


class DrawnTasks(BaseModel):
    """How many of the episodes are drawn, and how often each family is among them.

    The numbers of the families count against each other: twice as large is twice as often.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    share: float = Field(default=0, ge=0, le=1)
    """Of all episodes; the others are of the store."""
    shapes: _Weight = 0.3
    """Regions that each subject bends in its own way."""
    tubes: _Weight = 0.1
    """Thin curves, each image's own."""
    trees: _Weight = 0.1
    """Branches that fork and taper."""
    cells: _Weight = 0.15
    """Scattered blobs of two kinds, their cores or their rims."""
    objects: _Weight = 0.05
    """Several of one form among others of another form."""
    textures: _Weight = 0.05
    """Regions that only their grain tells apart."""
    places: _Weight = 0.05
    """Told by where they are in a body, and by nothing else."""
    pieces: _Weight = 0.15
    """A region of a real image, and copies of it, moved and recoloured."""
    repainted: _Weight = 0.05
    """Real masks and regions, painted anew."""

    @property
    def shares(self) -> dict[str, float]:
        """Of each family that is drawn at all, its share of what is drawn."""
        weights = {name: getattr(self, name) for name in FAMILIES}
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items() if weight > 0}


def draw(
    canvas: Canvas, family: str, tasks: int, images: int, real: tuple[Tensor, Tensor] | None = None
) -> Pair:
    """Tasks of a family, (tasks, images, H, W) each.

    Args:
        canvas: draws all of it.
        family: its name.
        tasks: how many.
        images: of each.
        real: images and masks of so many episodes of the store, for what is made of them.
    """
    if family in FROM_NOTHING:
        return FROM_NOTHING[family](canvas, tasks, images)
    assert real is not None  # noqa: S101
    return FROM_EPISODES[family](canvas, *real)
