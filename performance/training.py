"""Where the time of a training step goes: the whole loop beside the network alone.

    python performance/training.py [--device cuda] [--toy]

For each size, steps are taken on one batch that is there already, and then as `universeg train`
takes them: read, completed with drawn tasks, augmented by the paper's table, learnt from. Both
begin with steps that do not count; a figure is the median of rounds by turns. Ends within three
minutes on a GPU. `--toy` takes sizes that a CPU manages in seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests/fixtures")]
from tiny_store import Discs, write_store  # noqa: E402

from megamedical.store.sampling.episodes import EpisodeSampler  # noqa: E402
from megamedical.store.sampling.tasks import choose_tasks  # noqa: E402
from megamedical.store.store import Store  # noqa: E402
from universeg.training.allocator import keep_freed_memory  # noqa: E402
from universeg.training.clock import Clock  # noqa: E402
from universeg.training.config import Config, resolve  # noqa: E402
from universeg.training.data.loading import Batch, Loader  # noqa: E402
from universeg.training.data.opening import open_reading  # noqa: E402
from universeg.training.data.steps import step_of  # noqa: E402
from universeg.training.learner import Learner  # noqa: E402
from universeg.training.team import Team, joined  # noqa: E402

SIZES = ((64, 8), (16, 32))  # labelled slices and episodes of a step
TOY = ((4, 2), (2, 4))
TOY_SETTINGS = ["resolution=32", "architecture={encoder_blocks: [8, 8], decoder_blocks: [8]}"]
WARM = 5  # steps
ROUNDS = 4


def settings(support: int, batch: int, drawn: float, toy: bool, compiled: bool) -> Config:
    sizes = [f"support_size={support}", f"batch_size={batch}", f"drawn.share={drawn}"]
    return resolve(
        "v1", changes=[*sizes, f"compile={str(compiled).lower()}", *(TOY_SETTINGS if toy else [])]
    )


def measure(config: Config, store: Store, team: Team, steps: int) -> None:
    tasks = choose_tasks(store, config.tasks).train
    groups = {task.group for task in tasks}
    reading = open_reading(config, store, groups, team, lambda _: None)
    loader = Loader(
        EpisodeSampler(tasks, config.support_size, config.seed, config.tasks),
        reading.reader,
        config.augmentation,
        config.seed,
        reading.workers,
        reading.ahead,
    )
    learner = Learner(config, team)
    clock = Clock(team.device)
    total = WARM + ROUNDS * steps
    batches = loader.batches((step_of(config, number, team) for number in range(total)), clock)
    for number in range(WARM):
        batch = next(batches)
        learner.learn(batch, number)
    alone, whole = [], []
    clock.__init__(team.device)  # what came before does not count
    for _ in range(ROUNDS):
        with clock.stopped():
            alone.append(
                rate(team, steps * config.batch_size, lambda: repeat(learner, batch, steps))
            )
        whole.append(
            rate(team, steps * config.batch_size, lambda: take(learner, batches, clock, steps))
        )
    network, loop = statistics.median(alone), statistics.median(whole)
    parts = ", ".join(f"{share:.1%} {phase}" for phase, share in clock.shares.items() if share)
    print(
        f"S {config.support_size:3}, batch {config.batch_size:3}, drawn {config.drawn.share:.0%}: "
        f"network alone {network:.1f} episodes/s, whole loop {loop:.1f}: {loop / network:.1%}   "
        f"({parts})   load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def repeat(learner: Learner, batch: Batch, steps: int) -> None:
    for number in range(steps):
        learner.learn(batch, number)


def take(learner: Learner, batches, clock: Clock, steps: int) -> None:
    for number in range(steps):
        batch = next(batches)
        learner.learn(batch, number)
        clock.mark("network")
        clock.tick(len(batch.images))


def rate(team: Team, episodes: int, work) -> float:
    begun = time.perf_counter()
    work()
    if team.device.type == "cuda":
        torch.cuda.synchronize(team.device)
    return episodes / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--compile", action="store_true", help="the network, a minute each time")
    parser.add_argument("--steps", type=int, help="of a round")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, joined(asked.device) as team:
        if team.device.type == "cpu":
            keep_freed_memory()
        name = torch.cuda.get_device_name() if team.device.type == "cuda" else "CPU"
        print(f"PyTorch {torch.__version__}, {name}, {torch.get_num_threads()} threads")
        groups = [Discs(name, patients=(80, 2, 0), scans=1) for name in ("one", "two", "three")]
        store = write_store(Path(folder) / "store", *groups, size=32 if asked.toy else 128)
        steps = asked.steps or (10 if team.device.type == "cuda" else 3)
        for support, batch in TOY if asked.toy else SIZES:
            for drawn in (0.0, 0.5):
                config = settings(support, batch, drawn, asked.toy, asked.compile)
                measure(config, store, team, steps)


if __name__ == "__main__":
    main()
