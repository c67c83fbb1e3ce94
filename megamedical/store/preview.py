"""A contact sheet of a store: for each task a few slices with the mask as a coloured outline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw

from megamedical.errors import MegaMedicalError, StoreError, nearest
from megamedical.files.writing import whole_file
from megamedical.spread import spread
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
from megamedical.store.store import Store

_TITLE = 34  # pixels above a row of tiles
_MARGIN = 18


def preview(
    store: Store,
    *,
    tasks: Sequence[str] = (),
    per_task: int = 6,
    most: int = 24,
    columns: int = 2,
) -> Image.Image:
    """Draw a contact sheet.

    The subjects of a task are those with the smallest, the largest and evenly spread areas between,
    so that odd ones are seen.

    Args:
        store: an open store.
        tasks: ids of tasks, or how they begin; by default tasks spread over all of the store.
        per_task: slices of each task.
        most: draw no more than so many tasks, spread evenly.
        columns: tasks beside each other.

    Raises:
        StoreError: no task begins like that, or the store has none.
    """
    among = _chosen(store, tasks)
    chosen = among.iloc[spread(range(len(among)), most)]
    if chosen.empty:
        raise StoreError(
            f"No task of {store.location} begins with {', '.join(tasks) or 'anything'}",
            nearest(tasks[0], sorted(set(store.tasks["dataset"]))) if tasks else "",
        )
    strip = (per_task * (TILE + GAP) - GAP, _TITLE + TILE + _MARGIN)
    rows = -(-len(chosen) // columns)
    sheet = Image.new(
        "RGB",
        (columns * (strip[0] + _MARGIN) + _MARGIN, rows * strip[1] + _MARGIN),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    colours = {label: n for n, label in enumerate(sorted(set(store.tasks["label"])))}
    for number, task in enumerate(chosen.itertuples()):
        left = _MARGIN + number % columns * (strip[0] + _MARGIN)
        top = _MARGIN + number // columns * strip[1]
        colour = OUTLINES[colours[task.label] % len(OUTLINES)]
        _write_title(draw, (left, top), task, colour)
        for place, example in enumerate(_typical(store, task.task, per_task).itertuples()):
            image, mask = store.read(task.task, example.subject)
            tile = outlined_tile(image, mask, colour)
            corner = (left + place * (TILE + GAP), top + _TITLE)
            sheet.paste(Image.fromarray(tile), corner)
            draw.text(
                (corner[0] + 4, corner[1] + TILE - 15),
                f"{example.subject} · {example.split}{'' if example.area else ' · no pixel here'}",
                font=font(11),
                fill=(255, 255, 255),
                stroke_width=1,
                stroke_fill=(0, 0, 0),
            )
    return sheet


def save_preview(sheet: Image.Image, path: Path) -> None:
    """Write a sheet, whole or not at all, in the format that the file's name says.

    Raises:
        MegaMedicalError: pictures are not written to such files.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise MegaMedicalError(f"{path} does not say what picture it is to be", "Name it .png.")
    with whole_file(path) as unfinished:
        sheet.save(unfinished, format=kind)


def _chosen(store: Store, beginnings: Sequence[str]) -> pd.DataFrame:
    tasks = store.tasks
    if not beginnings:
        return tasks
    fits = tasks["task"].map(
        lambda task: any(task == b or task.startswith(b.rstrip("/") + "/") for b in beginnings)
    )
    return tasks[fits]


def _typical(store: Store, task: str, count: int) -> pd.DataFrame:
    examples = store.examples[store.examples["task"] == task]
    by_area = examples.sort_values(["area", "subject"])
    return by_area.iloc[spread(range(len(by_area)), count)]


def _write_title(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], task: object, colour: tuple[int, int, int]
) -> None:
    left, top = corner
    draw.rectangle((left, top + 3, left + 10, top + 13), fill=colour)
    draw.text((left + 16, top), task.label, font=font(14), fill=INK)  # type: ignore[attr-defined]
    counts = f"{task.train} train, {task.dev} dev, {task.test} test"  # type: ignore[attr-defined]
    draw.text((left, top + 17), f"{task.task}   {counts}", font=font(11), fill=FAINT)  # type: ignore[attr-defined]
