"""What pays in training: a row for each change of the recipe, with as much time for each.

    python performance/ablations.py --store STORE [--store ...] --work DIR [--minutes 10]
    python performance/ablations.py --toy

A row is the mean Dice on the dev split of datasets of role train and its 95 % interval over three
seeds, beside that of the recipe: the preset `base`, made as small as a CPU manages. Held-out
datasets are never seen. Each run leaves its folder in the work folder and goes on where it was, so
the command may be given again after it was broken off; the table is printed whenever a row is
there. Another program that works beside it takes time from a run: leave it alone.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from tempfile import TemporaryDirectory

from megamedical import build
from universeg.training.drawn.families import FAMILIES

SEEDS = (0, 1, 2)
STUDENT = 4.303  # of the t distribution with two degrees of freedom, at 95 %
SMALL = [
    "architecture={encoder_blocks: [32, 32, 32, 32], decoder_blocks: [32, 32, 32]}",
    "resolution=64",
    "support_size=8",
    "support_sizes={1: 0.1, 2: 0.1, 4: 0.25, 8: 0.35, 16: 0.2}",
    "pairs=32",
    "batch_size=8",
    "optimiser.warm_up=100",
    "running_mean=0.995",
    "tasks.roles=[train]",
    "evaluation={every: 1000000, tasks: 60, queries: 2, pictures: 0}",
    "workers=0",
]
TINY = [
    "architecture={encoder_blocks: [4, 4], decoder_blocks: [4]}",
    "minutes=null",
    "steps=2",
    "pairs=4",
    "support_size=2",
    "support_sizes={2: 1}",
    "tasks.roles=[train, extra]",
    "evaluation={every: 1, tasks: 1, queries: 1, pictures: 0}",
]
WIDER = "architecture={encoder_blocks: [48, 48, 48, 48], decoder_blocks: [48, 48, 48]}"
NARROWER = "architecture={encoder_blocks: [16, 16, 16, 16], decoder_blocks: [16, 16, 16]}"


def rows() -> dict[str, list[str]]:
    """The changes of each row, by its name."""
    without = {f"without {family}": [f"drawn.{family}=0"] for family in FAMILIES}
    only = {
        f"only {family}": [f"drawn.{other}={float(other == family)}" for other in FAMILIES]
        for family in FAMILIES
    }
    return {
        "the recipe": [],
        "nothing drawn": ["drawn.share=0"],
        "a quarter drawn": ["drawn.share=0.25"],
        "three quarters drawn": ["drawn.share=0.75"],
        "all support of one size": ["support_sizes={}"],
        "no running mean": ["running_mean=0"],
        "no augmentation": ["augmentation=none"],
        "width 16": [NARROWER],
        "width 48": [WIDER],
        "normalised": ["architecture.normalise=true"],
        "attention": ["architecture.attention_heads=4"],
        "both": ["architecture.normalise=true", "architecture.attention_heads=4"],
        **without,
        **only,
    }


def train(changes: list[str], seed: int, stores: list[str], out: Path, minutes: float) -> float:
    """The Dice of a run, trained if it has not been."""
    log = out / "log.jsonl"
    finished = out / "finished"
    if not finished.exists():
        given = [part for store in stores for part in ("--store", store)]
        program = "from universeg.cli import app; app()"
        settings = [*SMALL, *changes, f"seed={seed}", f"minutes={minutes}"]
        command = [sys.executable, "-c", program, "train", "--preset", "base", "--device", "cpu"]
        subprocess.run([*command, *given, "--out", str(out), *settings], check=True)
        finished.touch()
    lines = map(json.loads, log.read_text().splitlines())
    return [line["dev_dice"] for line in lines if "dev_dice" in line][-1]


def interval(values: list[float]) -> str:
    half = STUDENT * stdev(values) / math.sqrt(len(values))
    return f"{100 * fmean(values):.1f} ± {100 * half:.1f}"


def table(found: dict[str, list[float]]) -> str:
    """Rows whose seeds are all there; the difference is taken seed by seed."""
    recipe = found["the recipe"]
    lines = ["| | dev Dice | beside the recipe |", "|---|---|---|"]
    for name, scores in found.items():
        own = [score - other for score, other in zip(scores, recipe, strict=True)]
        beside = interval(own) if name != "the recipe" else ""
        lines.append(f"| {name} | {interval(scores)} | {beside} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", action="append")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--minutes", type=float, default=10, help="of each run")
    parser.add_argument("--row", action="append", help="may be repeated (default: all)")
    parser.add_argument("--toy", action="store_true", help="one row of two steps, on drawn tasks")
    asked = parser.parse_args()
    if asked.toy:
        with TemporaryDirectory() as folder:
            store = f"{folder}/store"
            build("synthetic", store=store, tasks=4, subjects=8, resolution=64, workers_count=0)
            compare([store], Path(folder), ["both"], minutes=1, smallest=TINY)
    elif asked.store and asked.work:
        compare(asked.store, asked.work, asked.row or [*rows()], asked.minutes)
    else:
        parser.error("give --store and --work, or --toy")


def compare(
    stores: list[str],
    work: Path,
    names: list[str],
    minutes: float,
    smallest: Sequence[str] = (),
) -> None:
    """Train every row with every seed, and print the table of what is finished."""
    chosen = {name: [*rows()[name], *smallest] for name in ["the recipe", *names]}
    found: dict[str, list[float]] = {}
    for name, changes in chosen.items():
        out = work / name.replace(" ", "-")
        found[name] = [train(changes, seed, stores, out / str(seed), minutes) for seed in SEEDS]
        print(table(found), flush=True)


if __name__ == "__main__":
    main()
