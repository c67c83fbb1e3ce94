"""A contact sheet of augmentation: what each operation makes of an image, and all of an episode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from megamedical.store.contact_sheet import (
    FAINT,
    GAP,
    INK,
    OUTLINES,
    PAPER,
    TILE,
    font,
    outlined_tile,
)
from universeg.training.augmentation import Augmentation, augment

_TEXT = 210  # pixels beside the rows
_COLUMNS = 7
_EPISODES = 3  # seeds that a whole episode is shown with


@dataclass(frozen=True, eq=False)
class _Row:
    """Images (n, H, W), their labels, and what is written beside them."""

    title: str
    facts: tuple[str, ...]
    images: Tensor
    labels: Tensor


def augmentation_sheet(
    images: Tensor, labels: Tensor, settings: Augmentation, seed: int
) -> NDArray[np.uint8]:
    """Draw what augmentation makes of an episode.

    First the episode as it is. Then, for each operation that has a probability, its query as it is,
    and six draws of that operation alone. Last the episode after all that is drawn for its task,
    all that is drawn for its images, and both, as in training.

    Args:
        images: (N, H, W) float32 in [0, 1], the query and its support; seven are shown.
        labels: (N, H, W) float32 in [0, 1], tinted, with an outline at 0.5.
        settings: what to show.
        seed: of the first draw, not negative; the next are those that follow.

    Returns:
        (height, width, 3) pixels.
    """
    images, labels = images[:_COLUMNS], labels[:_COLUMNS]
    rows = [
        _Row("episode", ("query, then support",), images, labels),
        *_operations(images[:1], labels[:1], settings, seed),
        *_episodes(images, labels, settings, seed),
    ]
    height, width = len(rows) * (TILE + GAP) + GAP, _TEXT + _COLUMNS * (TILE + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    for number, row in enumerate(rows):
        _draw(sheet, GAP + number * (TILE + GAP), row)
    return np.asarray(sheet)


def _operations(image: Tensor, label: Tensor, settings: Augmentation, seed: int) -> Iterator[_Row]:
    """For each operation, an image (1, H, W) as it is and after draws of that operation alone."""
    for level, title in (("task", "task"), ("image", "in-task")):
        for name, operation in getattr(settings, level):
            if operation.probability == 0:
                continue
            nothing = Augmentation.none()
            certain = {name: operation.model_copy(update={"probability": 1.0})}
            alone = nothing.model_copy(
                update={level: getattr(nothing, level).model_copy(update=certain)}
            )
            draws = [augment(image, label, alone, seed + draw) for draw in range(_COLUMNS - 1)]
            images, labels = zip((image, label), *draws, strict=True)
            yield _Row(
                f"{title}: {name.replace('_', ' ')}",
                tuple(_fact(name, value) for name, value in operation),
                torch.cat(images),
                torch.cat(labels),
            )


def _episodes(images: Tensor, labels: Tensor, settings: Augmentation, seed: int) -> Iterator[_Row]:
    """An episode after the draws of each level, and of both."""
    nothing = Augmentation.none()
    for title, chosen in (
        ("all of the task", settings.model_copy(update={"image": nothing.image})),
        ("all in-task", settings.model_copy(update={"task": nothing.task})),
        ("as in training", settings),
    ):
        for draw in range(seed, seed + _EPISODES):
            yield _Row(title, (f"seed {draw}",), *augment(images, labels, chosen, draw))


def _fact(name: str, value: Any) -> str:  # noqa: ANN401
    return f"{name} {value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f"{name} {value}"


def _draw(sheet: Image.Image, top: int, row: _Row) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, top + GAP), row.title, font=font(14), fill=INK)
    draw.text((GAP, top + 28), "\n".join(row.facts), font=font(12), fill=FAINT)
    for column, (image, label) in enumerate(zip(row.images, row.labels, strict=True)):
        tile = _tinted(image.cpu().numpy(), label.cpu().numpy())
        sheet.paste(tile, (_TEXT + column * (TILE + GAP), top))


def _tinted(image: NDArray[np.float32], label: NDArray[np.float32]) -> Image.Image:
    """An image with its label outlined and tinted: an outline does not tell inside from outside."""
    tile = Image.fromarray(outlined_tile(image, label, OUTLINES[0]))
    tint = Image.fromarray((label * 64).astype(np.uint8)).resize(tile.size)
    return Image.composite(Image.new("RGB", tile.size, OUTLINES[0]), tile, tint)
