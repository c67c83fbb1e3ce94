"""What a network makes of some queries, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from torch import nn

from megamedical.files.writing import whole_file
from megamedical.store.contact_sheet import FAINT, GAP, OUTLINES, PAPER, TILE, font, outlined_tile
from megamedical.store.sampling.episodes import Episode
from universeg.training.data.loading import Reader
from universeg.training.evaluation import predict

_COLUMNS = 3  # pairs beside each other
_PAIR = 2 * TILE + 3 * GAP
_ROW = TILE + 26


def draw_predictions(
    model: nn.Module, reader: Reader, episodes: Sequence[Episode], path: Path
) -> None:
    """Draw queries in pairs: at the left the true outline, at the right what was found."""
    if not episodes:
        return
    rows = -(-len(episodes) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _PAIR + GAP, rows * _ROW + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, episode in enumerate(episodes):
        left = GAP + number % _COLUMNS * _PAIR
        top = GAP + number // _COLUMNS * _ROW
        batch = reader.read([episode])
        for place, masks in enumerate((batch.truth, predict(model, batch))):
            image, mask = (plane.cpu().numpy() for plane in (batch.images[0, 0], masks[0, 0]))
            tile = Image.fromarray(outlined_tile(image, mask, OUTLINES[place]))
            sheet.paste(tile, (left + place * (TILE + GAP), top))
        title = f"{episode.task.name.split('/', 2)[-1]} {episode.subject}"
        draw.text((left, top + TILE + 4), title, font=font(12), fill=FAINT)
    with whole_file(path) as unfinished:
        sheet.save(unfinished, format="PNG")
