"""What `universeg train` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from megamedical.reporting.console import say, terminal
from megamedical.reporting.progress import Listener, Silence, listener
from megamedical.store.preview import save_preview
from megamedical.store.sampling.episodes import EpisodeSampler
from megamedical.store.sampling.tasks import choose_tasks
from megamedical.store.store import Store, open_store
from universeg.training.allocator import keep_freed_memory
from universeg.training.augmentation.sheet import augmentation_sheet
from universeg.training.config import resolve
from universeg.training.data.cache import open_arrays
from universeg.training.data.loading import Reader
from universeg.training.data.stores import joined as joined_stores
from universeg.training.drawn.canvas import Canvas
from universeg.training.drawn.families import draw
from universeg.training.drawn.sheet import task_sheet
from universeg.training.run import Outcome, train
from universeg.training.team import joined

_ROWS, _SHOWN = 3, 8  # tasks of each family, and images of each task


def preview(
    stores: Sequence[str], path: Path, preset: str, config: Path | None, changes: Sequence[str]
) -> None:
    """Draw what the augmentation of these settings makes of the first episode.

    Raises:
        MegaMedicalError: see `resolve`, `open_store` and `choose_tasks`.
    """
    settings = resolve(preset, config, changes)
    opened = _opened(stores)
    tasks = choose_tasks(opened, settings.tasks).train
    episode = EpisodeSampler(tasks, settings.support_size, settings.seed, settings.tasks)[0]
    arrays = open_arrays(opened, [episode.task.group])
    batch = Reader(arrays, torch.device("cpu")).read([episode])
    sheet = augmentation_sheet(
        batch.images[0], batch.masks[0], settings.augmentation, settings.seed
    )
    save_preview(Image.fromarray(sheet), path)
    say(terminal(), f"Drawn: {path}")


def preview_tasks(
    stores: Sequence[str], path: Path, preset: str, config: Path | None, changes: Sequence[str]
) -> None:
    """Draw some tasks of the store, and of each family that these settings draw.

    Raises:
        MegaMedicalError: see `resolve`, `open_store` and `choose_tasks`.
    """
    settings = resolve(preset, config, changes)
    opened = _opened(stores)
    tasks = choose_tasks(opened, settings.tasks).train
    sampler = EpisodeSampler(tasks, _SHOWN - 1, settings.seed, settings.tasks)
    episodes = [sampler[number] for number in range(_ROWS)]
    arrays = open_arrays(opened, {episode.task.group for episode in episodes})
    batch = Reader(arrays, torch.device("cpu")).read(episodes)
    rows = [("store", *pair) for pair in zip(batch.images, batch.masks, strict=True)]
    for number, family in enumerate(settings.drawn.shares):
        canvas = Canvas(opened.resolution, torch.device("cpu"), (settings.seed, number))
        drawn = draw(canvas, family, _ROWS, _SHOWN, (batch.images, batch.masks))
        rows += [(family, *pair) for pair in zip(*drawn, strict=True)]
    save_preview(Image.fromarray(task_sheet(rows)), path)
    say(terminal(), f"Drawn: {path}")


def run(
    stores: Sequence[str],
    out: Path,
    preset: str,
    config: Path | None,
    changes: Sequence[str],
    device: str,
) -> Outcome:
    """Train as asked, and say what came of it.

    Raises:
        MegaMedicalError: see `train`, `resolve` and `open_store`.
    """
    settings = resolve(preset, config, changes)
    console = terminal()
    with joined(device) as team:
        if team.device.type == "cpu":
            keep_freed_memory()
        heard: Listener = listener(console) if team.leads else Silence()
        outcome = train(settings, _opened(stores), out, team, heard)
        if team.leads:
            say(
                console,
                f"{outcome.examples:.1f} episodes/s; of the time "
                + ", ".join(f"{share:.1%} {phase}" for phase, share in outcome.shares.items())
                + ".",
            )
            say(console, f"Dice on the dev split of {outcome.judged}:")
            say(console, f"  {outcome.dice:.3f} of the network")
            say(console, f"  {outcome.mean_mask:.3f} of the mean mask of the support")
            say(console, f"Weights: {outcome.weights}")
    return outcome


def _opened(stores: Sequence[str]) -> Store:
    return joined_stores(open_store(store) for store in stores)
