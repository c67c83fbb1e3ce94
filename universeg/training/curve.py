"""The learning curve of a run as a picture: the loss, and the Dice on the dev split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw

from megamedical.files.writing import whole_file
from megamedical.store.contact_sheet import FAINT, INK, OUTLINES, PAPER, Colour, font

Points: TypeAlias = Sequence[tuple[float, float]]  # steps and values
Line: TypeAlias = tuple[str, Colour, Points]

_SIZE = (560, 340)  # pixels of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 54, 40
_TICKS = 4  # parts of an axis


def draw_curve(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw what a log has so far, whole or not at all; nothing if it has nothing yet.

    Args:
        rows: of the log, each with its `step`.
        path: the picture.
    """
    losses: list[Line] = [("loss", OUTLINES[1], _points(rows, "loss"))]
    scores: list[Line] = [
        ("dev Dice", OUTLINES[0], _points(rows, "dev_dice")),
        ("of the mean mask", FAINT, _points(rows, "mean_mask_dice")),
    ]
    panels = [
        (title, [line for line in lines if line[2]], top)
        for title, lines, top in (("Loss", losses, None), ("Dice on the dev split", scores, 1.0))
    ]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return
    sheet = Image.new("RGB", (_SIZE[0] * len(panels), _SIZE[1]), PAPER)
    for place, (title, lines, top) in enumerate(panels):
        _panel(ImageDraw.Draw(sheet), place * _SIZE[0], title, lines, top)
    with whole_file(path) as unfinished:
        sheet.save(unfinished, format="PNG")


def _panel(
    draw: ImageDraw.ImageDraw, left: int, title: str, lines: Sequence[Line], top: float | None
) -> None:
    """One chart; its values go from 0 to `top`, or as high as they are."""
    steps = [step for *_, points in lines for step, _ in points]
    values = [value for *_, points in lines for _, value in points]
    last, most = max(*steps, 1.0), top or max(*values, 1e-6) * 1.05
    least = min(0.0, *values)
    width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM

    def at(step: float, value: float) -> tuple[float, float]:
        share = (value - least) / (most - least)
        return left + _LEFT + width * step / last, _TOP + height * (1 - share)

    draw.text((left + _LEFT, 10), title, font=font(15), fill=INK)
    for tick in range(_TICKS + 1):
        value, step = least + (most - least) * tick / _TICKS, last * tick / _TICKS
        (x0, y), (x1, _) = at(0, value), at(last, value)
        draw.line((x0, y, x1, y), fill=(225, 225, 222))
        draw.text((x0 - 6, y), f"{value:.2f}", font=font(11), fill=FAINT, anchor="rm")
        x, _ = at(step, least)
        draw.text(
            (x, _SIZE[1] - _BOTTOM + 6), f"{step:,.0f}", font=font(11), fill=FAINT, anchor="ma"
        )
    draw.text((left + _LEFT + width, _SIZE[1] - 14), "step", font=font(11), fill=FAINT, anchor="rm")
    x = left + _LEFT
    for name, colour, points in lines:
        where = [at(*point) for point in points]
        if len(where) > 1:
            draw.line(where, fill=colour, width=2, joint="curve")
        for px, py in where if len(where) <= 40 else where[-1:]:
            draw.ellipse((px - 3, py - 3, px + 3, py + 3), fill=colour)
        said = f"{name} {points[-1][1]:.3f}"
        draw.rectangle((x, 37, x + 10, 40), fill=colour)
        draw.text((x + 15, 32), said, font=font(11), fill=INK)
        x += 34 + int(draw.textlength(said, font=font(11)))


def _points(rows: Sequence[Mapping[str, float]], name: str) -> Points:
    return [(row["step"], row[name]) for row in rows if name in row]
