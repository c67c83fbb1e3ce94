"""Something for every command to work on, small, made here; and how each is called."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from tiny_store import Discs, write_store

from killed import data
from universeg.network.universeg import UniverSeg
from universeg.weights.models import save

Line = Callable[[Path], Sequence[str | Path]]
LABELS = [f"disc-{number}" for number in range(4)]
SETTINGS = (
    "resolution=32",
    "batch_size=2",
    "support_size=4",
    "workers=1",
    "steps=60",
    "save_every=5",
    "evaluation.every=30",
    "evaluation.tasks=2",
    "architecture={encoder_blocks: [8, 8], decoder_blocks: [8]}",
)
CALLED = {"m": "megamedical", "u": "universeg", "b": "benchmark"}


class World:
    """A folder with archives, a server, manifests, two stores, pictures, weights and results.

    Attributes:
        lines: what is run after `python` for each command, for the folder that it may write to.
    """

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        self._write_archives()
        group = Discs("discs", labels=LABELS, patients=(8, 4, 4))
        write_store(place / "slices", group, size=32)
        suite = {"id": "discs", "version": 1, "title": "Discs", "resolution": 32, "draws": 3}
        suite |= {"support_sizes": [4], "tasks": [name for name, _ in group.tasks]}
        (place / "suite.yaml").write_text(yaml.safe_dump(suite))
        self._write_pictures()
        self.lines = self._lines()
        for command in ("benchmark run", "benchmark pack"):
            self._prepare(command)

    def _write_archives(self) -> None:
        self.place.joinpath("manifests").mkdir()
        files = {}
        for seed, (dataset, name) in enumerate([("discs", "a.zip"), ("rings", "b.tar.gz")]):
            (self.place / "mirror" / dataset).mkdir(parents=True)
            files[name] = data.archive(name, data.pictures(40, seed))
            (self.place / "mirror" / dataset / name).write_bytes(files[name])
        server = data.SlowServer(files)
        for dataset, name in (("discs", "a.zip"), ("rings", "b.tar.gz")):
            archive = f'  - {{name: {name}, urls: ["{server.url}/{name}"]}}'
            text = data.MANIFEST.format(id=dataset, archives=archive, subjects=40)
            (self.place / "manifests" / f"{dataset}.yaml").write_text(text)

    def _write_pictures(self) -> None:
        for number, (name, content) in enumerate(sorted(data.pictures(12, 2).items())):
            kind, file = name.split("/")
            folder = self.place / ("examples" if number % 12 < 4 else "scans") / kind
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        save(UniverSeg((8, 8), (8,)), self.place / "tiny.safetensors")

    def _lines(self) -> dict[str, Line]:
        p = self.place
        manifests = ["--manifests", p / "manifests"]
        mirror = [*manifests, "--mirror", p / "mirror"]
        slices = ["--store", p / "slices"]
        weights = ["--weights", p / "tiny.safetensors", "--support-size", "4"]
        learn = ["--support", p / "examples", *weights, "--device", "cpu"]
        found = ["--query", p / "scans/images", *learn, "--no-expect"]
        suite = ["--suite", p / "suite.yaml"]
        results, trained = p / "made/results", ["--preset", "demo", "--device", "cpu"]

        def lines(name: str, *given: object, out: str = "", place: str = "") -> Line:
            module, command = CALLED[name[0]], name[2:].split()

            def line(folder: Path) -> list[str | Path]:
                said = ["-m", module, *command, *map(str, given)]
                return [*said, *([out, str(folder / place)] if out else [])]

            return line

        build = [*mirror, "--offline", "--workers", 2, "--resolution", 32]
        return {
            "list": lines("m list", "--role", "train"),
            "plan": lines("m plan", "discs", *mirror, out="--raw", place="raw"),
            "download": lines("m download", "discs", *manifests, out="--raw", place="raw"),
            "adopt": lines("m adopt", p / "mirror", *manifests, out="--raw", place="raw"),
            "build": lines("m build", "discs", "rings", *build, out="--store", place="store"),
            "verify": lines("m verify", *slices),
            "info": lines("m info", *slices),
            "preview": lines("m preview", *slices, out="--out", place="preview.png"),
            "licences": lines("m licences", *slices, *manifests, out="--bibtex", place="a.bib"),
            "check": lines(
                "m check", p / "manifests/discs.yaml", "--sample", 0, "--mirror", p / "mirror"
            ),
            "new": lines("m new", "cells", "--files", p / "examples", out="--out"),
            "train": lines("u train", *slices, *trained, *SETTINGS, out="--out", place="run"),
            "train --preview": lines(
                "u train", *slices, "--preset", "demo", out="--preview-tasks", place="tasks.png"
            ),
            "predict": lines("u predict", *found, out="--out", place="found"),
            "predict --budget": lines(
                "u predict", *found, "--budget", 2, out="--out", place="found"
            ),
            "tune": lines("u tune", *learn, "--budget", 2, out="--out", place="t.safetensors"),
            "universeg info": lines("u info", p / "tiny.safetensors"),
            "desk": lines(
                "u desk", p / "scans/images", *learn, "--no-browser", out="--out", place="desk"
            ),
            "benchmark methods": lines("b methods"),
            "benchmark run": lines(
                "b run",
                *slices,
                *suite,
                "--workers",
                1,
                "--method",
                "mean-mask",
                "--method",
                "nearest",
                out="--out",
                place="results",
            ),
            "leaderboard": lines(
                "b leaderboard", results, *slices, *suite, out="--html", place="board.html"
            ),
            "benchmark pack": lines("b pack", results, *suite, out="--out", place="s.zip"),
            "benchmark check": lines("b check", p / "made/s.zip", *suite),
        }

    @property
    def build_discs(self) -> Line:
        """The build of one of the two datasets."""
        return lambda folder: [each for each in self.lines["build"](folder) if each != "rings"]

    @property
    def run_mean(self) -> Line:
        """The benchmark of one of the two methods."""
        return lambda folder: [
            *self.lines["benchmark run"](folder)[:3],
            *("--method", "mean-mask", "--store", str(self.place / "slices")),
            *("--suite", str(self.place / "suite.yaml"), "--out", str(folder / "results")),
        ]

    @property
    def unpack(self) -> Line:
        """The unpacking of an archive."""
        archives = str(self.place / "mirror/rings")
        return lambda folder: ["-c", data.UNPACK, archives, str(folder / "unpacked")]

    def _prepare(self, command: str) -> None:
        line = self.lines[command](self.place / "made")
        ended = subprocess.run([sys.executable, *line], check=False, capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"{command}: {ended.stdout}{ended.stderr}")
