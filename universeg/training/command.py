"""What `universeg train` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from megamedical.reporting.console import say, terminal
from megamedical.reporting.progress import Listener, Silence, listener
from megamedical.store.preview import save_preview
from megamedical.store.store import open_store
from universeg.training.allocator import keep_freed_memory
from universeg.training.augmentation.sheet import augmentation_sheet
from universeg.training.config import resolve
from universeg.training.data.cache import open_arrays
from universeg.training.data.episodes import EpisodeSampler
from universeg.training.data.loading import Reader
from universeg.training.data.tasks import choose_tasks
from universeg.training.run import Outcome, train
from universeg.training.team import joined


def preview(
    store: str, path: Path, preset: str, config: Path | None, changes: Sequence[str]
) -> None:
    """Draw what the augmentation of these settings makes of the first episode.

    Raises:
        MegaMedicalError: see `resolve`, `open_store` and `choose_tasks`.
    """
    settings = resolve(preset, config, changes)
    opened = open_store(store)
    tasks = choose_tasks(opened, settings.tasks).train
    episode = EpisodeSampler(tasks, settings.support_size, settings.seed, settings.tasks)[0]
    arrays = open_arrays(opened, [episode.task.group])
    batch = Reader(arrays, torch.device("cpu")).read([episode])
    sheet = augmentation_sheet(
        batch.images[0], batch.masks[0], settings.augmentation, settings.seed
    )
    save_preview(Image.fromarray(sheet), path)
    say(terminal(), f"Drawn: {path}")


def run(
    store: str,
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
        outcome = train(settings, open_store(store), out, team, heard)
        if team.leads:
            say(
                console,
                f"{outcome.examples:.1f} episodes/s; {outcome.waited:.1%} of the time was spent "
                "waiting for slices.",
            )
            say(console, f"Dice on the dev split of {outcome.judged}:")
            say(console, f"  {outcome.dice:.3f} of the network")
            say(console, f"  {outcome.mean_mask:.3f} of the mean mask of the support")
            say(console, f"Weights: {outcome.weights}")
    return outcome
