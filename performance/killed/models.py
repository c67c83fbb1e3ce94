"""Training a tiny network, and evaluating two methods: on stores of discs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from tiny_store import Discs, write_store

from killed.act import Act, Moment, digests

MEASURED = ("seconds", "memory")  # columns of rows that no two runs have alike


def train(place: Path, *, toy: bool) -> Act:
    """A network of two levels, with a process that reads ahead."""
    labels = [f"disc-{number}" for number in range(4)]
    write_store(place / "store", Discs("discs", labels=labels, patients=(8, 4, 4)), size=32)
    settings = ["resolution=32", "batch_size=2", "support_size=4", "workers=1"]
    settings += ["steps=12", "save_every=3"] if toy else ["steps=90", "save_every=5"]
    settings += ["evaluation.every=6" if toy else "evaluation.every=30", "evaluation.tasks=2"]
    settings += ["architecture={encoder_blocks: [8, 8], decoder_blocks: [8]}"]

    def line(folder: Path) -> list[str]:
        given = ["--store", str(place / "store"), "--out", str(folder / "run")]
        given += ["--preset", "demo", "--device", "cpu"]
        return ["-m", "universeg", "train", *given, *settings]

    def stage(moment: Moment) -> str:
        if not moment.holds("run/.lock.holder"):
            return "ends" if "Weights:" in moment.said else "starts"
        return "writes" if moment.has_file("run/**/.*.unfinished") else "learns"

    def result(folder: Path) -> dict[str, str]:
        return digests(folder / "run", "*.safetensors") | digests(folder / "run", "pictures/*.png")

    return Act("train", ("starts", "learns", "writes", "ends"), line, stage, result)


def benchmark(place: Path, *, toy: bool) -> Act:
    """Two methods on tasks of a store, with one worker."""
    labels = [f"disc-{number}" for number in range(2 if toy else 6)]
    group = Discs("discs", labels=labels, patients=(6, 1, 2 if toy else 10))
    write_store(place / "store", group, size=32)
    suite = {"id": "discs", "version": 1, "title": "Discs", "resolution": 32, "draws": 3}
    suite |= {"support_sizes": [4], "tasks": [name for name, _ in group.tasks]}
    (place / "suite.yaml").write_text(yaml.safe_dump(suite))

    def line(folder: Path) -> list[str]:
        given = ["--suite", place / "suite.yaml", "--store", place / "store", "--workers", "1"]
        given += ["--out", folder / "results", "--method", "mean-mask", "--method", "nearest"]
        return ["-m", "benchmark", "run", *map(str, given)]

    def stage(moment: Moment) -> str:
        if "nearest: " in moment.said:
            return "ends"
        if moment.has_file("results/**/.*.unfinished"):
            return "writes"
        return "evaluates" if moment.below else "starts"

    def result(folder: Path) -> dict[str, str]:
        found = {}
        for path in sorted((folder / "results").rglob("*.parquet")):
            found[path.name] = rows(path)
        return found | digests(folder / "results", "**/*.json")

    return Act("benchmark", ("starts", "evaluates", "writes", "ends"), line, stage, result)


def rows(path: Path) -> str:
    """The SHA-256 of rows of a benchmark, but for what was measured."""
    kept = pq.read_table(path).drop_columns(MEASURED)
    return hashlib.sha256(str(kept.to_pylist()).encode()).hexdigest()
