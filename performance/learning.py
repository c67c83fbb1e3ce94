"""What learning from the labelled slices brings, on the dev split of datasets of role train.

    python performance/learning.py --weights FILE --store STORE [--size 8] [--budget 60]
    python performance/learning.py --toy

A row is a task: the Dice of the network as it is and of what was chosen, and what was expected. The
labelled slices are of the train split, the queries of the dev split; held-out datasets are left
out. `--cpu-seconds` counts the time of the processor in place of that on the wall, for machines
on which other programs work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from megamedical import build, catalog, open_store
from universeg.network.universeg import UniverSeg
from universeg.training.losses import dice_score
from universeg.tuning import clock, fitting
from universeg.tuning.finder import sigmoid
from universeg.tuning.support import Support
from universeg.weights.models import load_model, save

QUERIES = 10
HELD_OUT = ("heldout",)


def cases(
    location: str, size: int, asked: list[str] | None
) -> Iterator[tuple[str, tuple[np.ndarray, ...]]]:
    """Of each task its labelled slices and its queries, each images and masks (N, H, W)."""
    store = open_store(location)
    roles = {dataset.id: dataset.role for dataset in catalog().values()}
    for task, rows in store.examples[store.examples["area"] > 0].groupby("task"):
        dataset, group, *_ = task.split("/")
        if roles.get(dataset) in HELD_OUT or (asked and task not in asked):
            continue
        images, masks = store.slices(f"{dataset}/{group}")
        drawn = []
        for split, count in (("train", size), ("dev", QUERIES)):
            own = rows[rows["split"] == split].sort_values("subject")
            own = own.iloc[np.random.default_rng(0).permutation(len(own))[:count]]
            drawn.append(images.read(own["image"].tolist()).astype(np.float32))
            drawn.append(masks.read(own["mask"].tolist()).astype(np.float32) / 255)
        if len(drawn[0]) == size and len(drawn[2]):
            yield task, tuple(drawn)


def row(
    network: torch.nn.Module, slices: tuple[np.ndarray, ...], budget: float
) -> dict[str, float]:
    """The Dice of the network as it is, of what was chosen, and what was expected."""
    images, masks, queries, truth = slices
    support = Support.of_pictures(images, masks)
    shown = fitting.InContext(network, support, size=min(len(images), 16))
    fitted = fitting.fit(network, support, budget=budget)
    found = {"in context": shown.logits(queries)[:, 0]}
    found[" + ".join(fitted.chosen)] = fitted.finder.logits(queries)[:, 0]
    real = torch.from_numpy(truth)
    scores = {
        name: dice_score(torch.from_numpy(sigmoid(logits)), real).mean().item()
        for name, logits in found.items()
    }
    expected = next(iter(fitted.expected.values()), None)
    return scores | ({"expected": expected.dice} if expected else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="megamedical-base")
    parser.add_argument("--store", action="append", default=[])
    parser.add_argument("--task", action="append", help="by default all")
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--cpu-seconds", action="store_true")
    parser.add_argument("--toy", action="store_true", help="in seconds: does it still work?")
    given = parser.parse_args()
    if given.cpu_seconds:
        clock.Clock.__init__.__defaults__ = (time.process_time,)
    with TemporaryDirectory() as folder:
        if given.toy:
            given.size, given.budget = 4, 0.5
            store = Path(folder) / "store"
            build("synthetic", store=store, tasks=1, subjects=12, resolution=32, workers_count=0)
            given.store = [str(store)]
            given.weights = Path(folder) / "tiny.safetensors"
            save(UniverSeg((4, 4), (4,)), given.weights)
        network = load_model(given.weights)
        for location in given.store:
            for task, slices in cases(location, given.size, given.task):
                scores = row(network, slices, given.budget)
                print(
                    task, *(f"{name} {100 * dice:.1f}" for name, dice in scores.items()), sep=" | "
                )


if __name__ == "__main__":
    main()
