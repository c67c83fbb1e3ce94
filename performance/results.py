"""Every figure of docs/results.md, from the archives.

    python performance/results.py --mirror DIR --work DIR
    python performance/results.py --toy

Builds the held-out store, runs the released weights and the other methods on it, and writes the
tables into the document between its `<!-- table: NAME -->` marks; the words around them are written
by hand. `--train` trains networks before, on stores of their own, which takes hours without a GPU,
and ranks them too. Each stage leaves what the next one reads and goes on where it was, so the
command may be given again after it was broken off. `--toy` does all of it with the miniatures of
the tests and a few steps, in a folder of its own, and shows that it still works. What it needs:
`pip install -e '.[universeg,benchmark]'`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd

from benchmark.board import wording
from benchmark.board.tables import markdown_table
from benchmark.judging.labels import with_labels
from benchmark.ranking import leaderboard
from benchmark.results import ENSEMBLE, read_results
from benchmark.standings import Leaderboard
from megamedical.catalogue.datasets import catalog
from universeg.weights.files import read_card

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "results.md"
HELD_OUT = ["acdc", "stare", "wbc"]
LARGE = ["resolution=128", "batch_size=2", "optimiser.learning_rate=0.0005",
         "optimiser.warm_up=100", "evaluation.every=500"]  # fmt: skip
SIZES = (1, 4, 16, 64)
NETWORKS = ["universeg", "panet", "alpnet", "senet"]
RELEASED = ["megamedical-base", "megamedical-mini"]
MANY_SIZES = ["pixel-forest", "mean-mask", "nearest"]  # and UniverSeg


@dataclass(frozen=True)
class Scale:
    """How large it all is.

    Attributes:
        trained_on: datasets, beside the synthetic one.
        tasks: synthetic ones.
        subjects: of each of them.
        unseen: tasks that are not trained on, by which weights are chosen.
        weights: how often each dataset is drawn from.
        settings: of every training.
        methods: those that are not trained here.
        released: weights of UniverSeg.
        limit: of the queries of a task.
        workers: of a build.
    """

    trained_on: Sequence[str]
    tasks: int
    subjects: int
    unseen: str
    weights: str
    settings: Sequence[str]
    methods: Sequence[str]
    released: Sequence[str]
    limit: Sequence[str]
    workers: int


FULL = Scale(
    trained_on=["drive", "msd/hippocampus", "mouse-brain-atlas"],
    tasks=300,
    subjects=20,
    unseen='["synthetic/task-029*", "mouse-brain-atlas/*thalamus", '
    '"mouse-brain-atlas/*cerebellum", "mouse-brain-atlas/*olfactory-bulb"]',
    weights="{synthetic: 3, mouse-brain-atlas: 2}",
    settings=[],
    methods=[
        *("mean-mask", "nearest", "pixel-forest", "universeg:megamedical-base+forest"),
        *("registration", "supervised"),
    ],
    released=RELEASED,
    limit=[],
    workers=os.cpu_count() or 1,
)
TOY = Scale(
    trained_on=["drive", "msd/hippocampus"],
    tasks=4,
    subjects=8,
    unseen='["synthetic/task-0003*"]',
    weights="{synthetic: 3}",
    settings=["steps=2", "evaluation.every=1", "evaluation.tasks=2"],
    methods=["mean-mask", "nearest"],
    released=[],
    limit=["--limit", "1"],
    workers=0,
)

# Dice at S = 64 and its 95 % interval, as the paper has it (DOI 10.1109/ICCV51070.2023.01960).
PUBLISHED = {
    "universeg": {"acdc": (71.1, 3.0), "stare": (48.3, 2.0), "wbc": (90.5, 1.1)},
    "senet": {"acdc": (40.1, 2.0), "stare": (35.6, 2.2), "wbc": (70.9, 1.3)},
    "alpnet": {"acdc": (34.6, 2.4), "stare": (17.7, 1.9), "wbc": (76.3, 1.1)},
    "panet": {"acdc": (27.3, 4.3), "stare": (20.8, 3.2), "wbc": (54.7, 1.6)},
    "supervised": {"acdc": (82.5, 2.3), "stare": (65.5, 1.1), "wbc": (95.1, 0.7)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirror", type=Path, help="archives, as DATASET/FILE")
    parser.add_argument("--work", type=Path, help="for stores, weights and rows")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument(
        "--train", choices=NETWORKS, action="append", help="a network, before; may be repeated"
    )
    parser.add_argument("--toy", action="store_true", help="all of it, tiny and in no time")
    given = parser.parse_args()
    if given.toy:
        with TemporaryDirectory() as folder:
            work = Path(folder)
            document = work / DOCUMENT.name
            document.write_bytes(DOCUMENT.read_bytes())
            make(miniatures(work / "mirror"), work, document, given.train or ["universeg"], TOY)
    elif given.mirror and given.work:
        networks = given.train or []
        make(given.mirror.resolve(), given.work.resolve(), given.document, networks, FULL)
    else:
        parser.error("give --mirror and --work, or --toy")


def make(mirror: Path, work: Path, document: Path, networks: Sequence[str], scale: Scale) -> None:
    """Everything, from the archives to the tables of the document."""
    build_stores(mirror, work, scale, is_trained=bool(networks))
    weights = {name: train(name, work, scale) for name in networks}
    evaluate(weights, work, scale, document.with_suffix(".csv"))
    text = document.read_text(encoding="utf-8")
    for name, table in tables(weights, work):
        text = replaced(text, name, table)
    document.write_text(text, encoding="utf-8")


def miniatures(mirror: Path) -> Path:
    """A mirror of tiny archives, as the tests have it."""
    sys.path.append(str(ROOT / "tests" / "fixtures"))
    from miniatures import DATASETS, write_mirror  # noqa: PLC0415

    return write_mirror(mirror, {name: archives() for name, archives in DATASETS.items()})


def build_stores(mirror: Path, work: Path, scale: Scale, *, is_trained: bool) -> None:
    """The store that is held out; before it those that are trained on, in two resolutions."""
    for name, resolution, datasets in (
        ("store64", 64, scale.trained_on),
        ("store128", 128, scale.trained_on),
        ("heldout", 128, HELD_OUT),
    ):
        where = ["--store", work / name, "--raw", work / "raw", "--resolution", resolution,
                 "--workers", scale.workers]  # fmt: skip
        if name != "heldout" and not is_trained:
            continue
        if name != "heldout":
            drawn = ["--tasks", scale.tasks, "--subjects", scale.subjects]
            call("megamedical", "build", "synthetic", *drawn, *where)
        # A mirror may hold a part of an archive: 3 says that not all could be had.
        call("megamedical", "build", *datasets, *where, "--mirror", mirror, accepted=(0, 3))


def train(model: str, work: Path, scale: Scale) -> Path:
    """Train a network on slices of 64 pixels, then of 128; its weights."""
    small, large = work / "runs" / f"{model}-64", work / "runs" / f"{model}-128"
    choice = [
        "tasks.roles=[train, extra]",
        f"tasks.unseen={scale.unseen}",
        f"tasks.weights={{dataset: {scale.weights}}}",
    ]
    asked = ["--preset", "mini", *choice, *([] if model == "universeg" else [f"model={model}"])]
    fewer = [] if model == "universeg" else ["steps=4000", "optimiser.warm_up=200"]
    call(
        "universeg",
        "train",
        *asked,
        *fewer,
        *scale.settings,
        "--store",
        work / "store64",
        "--out",
        small,
    )
    steps = 3000 if model == "universeg" else 1000
    begin = f"begin_with={small / 'best.safetensors'}"
    call("universeg", "train", *asked, *LARGE, f"steps={steps}", begin, *scale.settings,
         "--store", work / "store128", "--out", large)  # fmt: skip
    return large / "best.safetensors"


def evaluate(weights: dict[str, Path], work: Path, scale: Scale, table: Path) -> None:
    """The rows of all methods with 64 labelled slices, and of UniverSeg with fewer."""
    asked = ["--store", work / "heldout", "--out", work / "results", *scale.limit]
    accepted = (0, 3)  # 3: the suite has tasks that the store lacks
    trained = [f"{name}:{path}" for name, path in weights.items()]
    for method in [*scale.methods, *trained]:
        call("megamedical-benchmark", "run", "--method", method, "--support-size", 64, *asked,
             accepted=accepted)  # fmt: skip
    universeg = [asked for asked in trained if asked.startswith("universeg:")]
    universeg += [f"universeg:{name}" for name in scale.released]
    for method in [*universeg, *(name for name in MANY_SIZES if name in scale.methods)]:
        sizes = [part for size in SIZES for part in ("--support-size", size)]
        call("megamedical-benchmark", "run", "--method", method, *sizes, *asked,
             accepted=accepted)  # fmt: skip
    call("megamedical-benchmark", "leaderboard", work / "results", "--store", work / "heldout",
         "--html", work / "board.html", "--csv", table)  # fmt: skip


def tables(weights: dict[str, Path], work: Path) -> Iterator[tuple[str, str]]:
    """The tables of the document, by name."""
    rows, provenance = read_results(work / "results")
    board = leaderboard(rows, provenance)
    made_of = caption(board)
    if weights:
        yield "training", markdown_table(*training(weights))
    yield "methods", markdown_table(*methods(board)) + made_of
    yield "sizes", markdown_table(*sizes(board)) + made_of
    yield "published", markdown_table(*published(board)) + made_of
    yield "time", markdown_table(*times(with_labels(rows, provenance), board)) + made_of
    said = [f"- {name}: {value}" for name, value in wording.origin(board)]
    yield "origin", "\n".join(said)


def caption(board: Leaderboard) -> str:
    """What the figures of a table depend on, in short."""
    made = [said for entry in board.methods.values() for said in entry.provenance]
    stores = ", ".join(sorted({said.store_fingerprint[:12] for said in made}))
    machines = "; ".join(sorted({said.hardware for said in made}))
    seed = board.settings.seed if board.settings else "unknown"
    return f"\n\nStore {stores}, protocol {board.protocol[:12]}, seed {seed}, {machines}."


def training(weights: dict[str, Path]) -> tuple[list[str], list[list[str]]]:
    """What each network saw, how long it took, and its Dice on unseen tasks of the dev split."""
    found = []
    for model, path in weights.items():
        for run in (path.parents[1] / f"{model}-64", path.parent):
            card = read_card(run / "best.safetensors")
            log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
            speeds = [row["examples_per_second"] for row in log if "examples_per_second" in row]
            reading = [row["reading"] for row in log if "reading" in row]
            settings = card.settings
            episodes = settings["steps"] * settings["batch_size"]
            hours = episodes / median(speeds) / 3600
            found.append(
                [
                    model,
                    f"{settings['resolution']}",
                    f"{card.tasks:,}",
                    f"{episodes:,}",
                    f"{hours:.2f} h",
                    f"{median(speeds):.1f}",
                    f"{100 * median(reading):.1f} %",
                    f"{100 * card.scores['dev Dice']:.1f}",
                    f"{100 * card.scores['dev Dice of the mean mask']:.1f}",
                    f"{card.store[:12]}, seed {settings['seed']}",
                ]
            )
    columns = ["Network", "Pixels", "Tasks", "Episodes", "Time", "Episodes/s", "Waiting for data"]
    return [*columns, "Dev Dice", "of the mean mask", "Store"], found


def methods(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Every method with 64 labelled slices."""
    ranking = next(ranking for ranking in board.rankings if ranking.support_size == 64)
    return (
        ["Rank", "Method", "Mean", *ranking.datasets, "Single draws", "Time / query", "Memory"],
        [
            [
                wording.rank(one.rank),
                one.method,
                wording.with_interval(one.dice),
                *(wording.with_interval(each) for each in one.datasets.values()),
                wording.dice(one.draws),
                wording.duration(one.seconds),
                wording.memory(one.memory),
            ]
            for one in ranking.standings
        ],
    )


def sizes(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Dice with ever more labelled slices."""
    found = []
    for ranking in reversed(board.rankings):
        for one in ranking.standings:
            if one.method.split()[0] in ("universeg", *MANY_SIZES):
                dice = map(wording.with_interval, [one.dice, *one.datasets.values()])
                found.append([str(ranking.support_size), one.method, *dice])
    return ["Labelled slices", "Method", "Mean", *board.rankings[0].datasets], found


def published(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """What the paper reports, and what was measured here, on fewer patients of ACDC."""
    ranking = next(ranking for ranking in board.rankings if ranking.support_size == 64)
    found = []
    for one in ranking.standings:
        paper = PUBLISHED.get(one.method.split()[0])  # behind it stands the name of weights
        if paper:
            pairs = (("{} ± {}".format(*paper[n]), one.datasets[n]) for n in ranking.datasets)
            cells = [cell for said, here in pairs for cell in (said, wording.with_interval(here))]
            found.append([one.method, *cells])
    columns = [part for name in ranking.datasets for part in (f"{name}, paper", f"{name}, here")]
    return ["Method", *columns], found


def times(rows: pd.DataFrame, board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """What a run took, and what it would take for the test splits of all six datasets."""
    whole = catalog()
    groups = [task.split("/")[:2] for task in (*board.data, *board.missing)]
    in_all = sum(whole[dataset].groups[group].subjects / 5 for dataset, group in groups)
    ensembles = rows[rows["draw"] == ENSEMBLE]
    spent = ensembles.groupby(["method", "support_size", "dataset"])["seconds"]
    spent = spent.agg(["mean", "size"]).reset_index()
    shared = ensembles.groupby(["method", "support_size", "task"])["fit_seconds"].max().fillna(0)
    found = []
    for (method, size), of_method in spent[spent["support_size"].isin([0, 64])].groupby(
        ["method", "support_size"]
    ):
        seconds = (of_method["mean"] * of_method["size"]).sum() + shared[method, size].sum()
        queries = int(of_method["size"].sum())
        each = seconds / queries
        found.append([method, str(size or "pool"), f"{queries:,}", f"{seconds / 60:.1f} min",
                      f"{in_all * each / 60:.0f} min"])  # fmt: skip
    return ["Method", "Labelled slices", "Queries", "Time", "All six datasets, at most"], found


def replaced(document: str, name: str, table: str) -> str:
    """The document with a table in its place."""
    marks = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not marks.search(document):
        raise SystemExit(f"The document has no place for the table {name}")
    return marks.sub(lambda found: f"{found[1]}{table}\n{found[2]}", document)


def call(command: str, *arguments: object, accepted: Sequence[int] = (0,)) -> None:
    """Run a command of this project; stop where it fails."""
    line = [str(Path(sys.executable).parent / command), *map(str, arguments)]
    print("$", " ".join([command, *line[1:]]), flush=True)
    status = subprocess.run(line, check=False).returncode
    if status not in accepted:
        raise SystemExit(f"{command} ended with {status}")


if __name__ == "__main__":
    main()
