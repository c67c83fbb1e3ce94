"""Two commands at once in one folder: what both come to is what they come to one after the other.

    python performance/pairs.py [--times 5] [--seed 0] [--only "build + build,desk + desk"] [--toy]

Each pair is run once one after the other, in an empty folder. Then the second is started at a
moment drawn from the first half of the time that the first takes. What is right: each ends with
exit code 0, or is refused with a sentence that names the process that holds what it wants, and one
of them is not refused; the files are the same to the byte as one after the other (rows of a
benchmark but for seconds and memory; what was learnt by the clock is whole), and none is more; and
a reader sees the store as it was or as it is. Whatever is not right is printed, and the exit code
is 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/fixtures")]
from killed.act import digests, names  # noqa: E402
from killed.models import rows  # noqa: E402
from killed.started import Started  # noqa: E402
from killed.world import Line, World  # noqa: E402

READS = """
import sys, time
from pathlib import Path
from megamedical import open_store
store, stop = Path(sys.argv[1]), time.monotonic() + float(sys.argv[2])
count = 0
while time.monotonic() < stop:
    if (store / "zarr.json").exists():
        opened = open_store(store)
        for row in opened.examples.iloc[:: max(1, len(opened.examples) // 5)].itertuples():
            opened.read(row.task, row.subject)
        count += len(opened.examples) > 0
print(count, "times")
"""
COMPARED = (
    "store/**/*",
    "other/**/*",
    "raw/*/archives/*",
    "raw/*/unpacked/**/*",
    "raw/*/staged/**/*.npz",
    "unpacked/**/*",
    "run/*.safetensors",
    "run/pictures/*.png",
    "results/**/*.json",
    "found/**/*",
    "*.yaml",
)
REFUSED = "refused"
NAMED = re.compile(r"process \d+ of ")


@dataclass(frozen=True)
class Pair:
    """Two commands at once, and what was done before; whether the second only looks."""

    first: Line
    second: Line
    before: Line | None = None
    is_look: bool = False


@dataclass
class Found:
    """How often all was right, one was refused, and what was wrong."""

    right: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


def pairs(world: World) -> dict[str, Pair]:
    """Whatever two people, or two jobs of a cluster, may do at once."""
    line = world.lines
    build, run, download, adopt = (
        line[name] for name in ("build", "benchmark run", "download", "adopt")
    )
    train, predict, tune, desk = (line[name] for name in ("train", "predict", "tune", "desk"))
    discs, one, unpack = world.build_discs, world.run_mean, world.unpack

    def build_into(store: str, *more: str) -> Line:
        return lambda folder: [*build(folder)[:-1], str(folder / store), *more]

    def at(command: str, **options: str) -> Line:
        def given(folder: Path) -> list[str]:
            places = ((f"--{name}", str(folder / place)) for name, place in options.items())
            return ["-m", *command.split(), *chain(*places)]

        return given

    def beside_build(second: Line) -> Pair:
        return Pair(build, second, discs, is_look=True)

    def beside_run(second: Line) -> Pair:
        return Pair(run, second, one, is_look=True)

    return {
        "build + build": Pair(build, build),
        "build + part of it": Pair(build, discs),
        "build + other store": Pair(build, build_into("other")),
        "build + other seed": Pair(build, build_into("other", "--seed", "1")),
        "build + reader": beside_build(lambda folder: ["-c", READS, str(folder / "store"), "8"]),
        "build + verify": beside_build(at("megamedical verify", store="store")),
        "build + info": beside_build(at("megamedical info", store="store")),
        "build + preview": beside_build(at("megamedical preview", store="store", out="a.png")),
        "build + licences": beside_build(at("megamedical licences", store="store")),
        "download + download": Pair(download, download),
        "adopt + adopt": Pair(adopt, adopt),
        "unpack + unpack": Pair(unpack, unpack),
        "train + train": Pair(train, train),
        "run + run": Pair(run, run),
        "run + leaderboard": beside_run(
            lambda folder: ["-m", "benchmark", "leaderboard", str(folder / "results")]
        ),
        "run + pack": beside_run(
            lambda folder: ["-m", "benchmark", "pack", f"{folder}/results", "--out", f"{folder}/z"]
        ),
        "predict + predict": Pair(predict, predict),
        "tune + tune": Pair(tune, tune),
        "desk + desk": Pair(desk, desk),
    }


def settle(running: Started) -> None:
    """Wait until a command has ended, or a desk is open."""
    while running.run.poll() is None and not running.is_open:
        time.sleep(0.05)


def end(running: Started) -> int:
    """The exit code of a command; a desk that is open is closed."""
    settle(running)
    if running.run.poll() is None:
        running.run.terminate()
        return running.run.wait(60) and 0
    return running.run.returncode


def result(folder: Path) -> dict[str, str]:
    """All that must be the same."""
    found = {}
    for pattern in COMPARED:
        found |= digests(folder, pattern)
    found |= {path.name: rows(path) for path in (folder / "results").rglob("*.parquet")}
    return {name: each for name, each in found.items() if "/." not in f"/{name}"}


def one_after_the_other(pair: Pair, folder: Path) -> tuple[float, dict[str, str], set[str]]:
    """The seconds of the first, and what there is in the end."""
    seconds = 0.0
    for line in filter(None, (pair.before, pair.first, pair.second)):
        begun, running = time.monotonic(), Started(line(folder), folder.with_name("log"))
        if end(running):
            raise SystemExit(running.said + running.told)
        if line is pair.first:
            seconds = time.monotonic() - begun
    return seconds, result(folder), names(folder)


def at_once(
    pair: Pair, folder: Path, delay: float, right: tuple[dict[str, str], set[str]]
) -> Iterator[str]:
    """Run both, the second so many seconds after the first.

    Yields:
        "refused", where one was; and whatever is wrong.
    """
    if pair.before:
        end(Started(pair.before(folder), folder.with_name("log")))
    first = Started(pair.first(folder), folder.with_name("log-1"))
    time.sleep(delay)
    second = Started(pair.second(folder), folder.with_name("log-2"))
    settle(first)
    settle(second)
    codes = end(first), end(second)
    both = list(zip(codes, (first, second), strict=True))
    refused = [each for code, each in both if code == 1 and NAMED.search(each.told)]
    if len(refused) == 1 and not pair.is_look:
        yield REFUSED
    elif any(codes):
        yield f"exit codes {codes}"
    for each in (first, second):
        if "Traceback" in each.told or (each.run.returncode == 1 and each not in refused):
            yield each.said[-500:] + each.told[-3000:]
    result_of_both, there = right
    if (came := result(folder)) != result_of_both:
        differing = [n for n in {*came, *result_of_both} if came.get(n) != result_of_both.get(n)]
        yield f"another result: {sorted(differing)[:5]}"
    if (now := names(folder)) != there:
        yield f"left over: {sorted(now - there)[:5]}, missing: {sorted(there - now)[:5]}"


def measure(pair: Pair, place: Path, times: int, rng: np.random.Generator) -> Found:
    """Run a pair so many times."""
    folder, found = place / "at work", Found()
    folder.mkdir()
    seconds, *right = one_after_the_other(pair, folder)
    for _ in range(times):
        shutil.rmtree(folder)
        folder.mkdir()
        delay = float(rng.uniform(0, seconds / 2))
        (*wrong,) = at_once(pair, folder, delay, (right[0], right[1]))
        found.refused += REFUSED in wrong
        wrong = [each for each in wrong if each != REFUSED]
        found.right += not wrong
        found.wrong += [f"{delay:.2f} s: {each}" for each in wrong]
    shutil.rmtree(folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="of each pair")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="pairs, with commas between")
    parser.add_argument("--toy", action="store_true", help="one pair of downloads")
    given = parser.parse_args()
    wrong = 0
    print(f"{'pair':20s} times  right  one of them refused")
    with tempfile.TemporaryDirectory() as place:
        every = pairs(World(Path(place) / "world"))
        only = "download + download" if given.toy else given.only
        rng = np.random.default_rng(given.seed)
        for name in only.split(",") if only else every:
            times = 1 if given.toy else given.times
            found = measure(every[name], Path(place), times, rng)
            print(f"{name:20s} {times:5d} {found.right:6d} {found.refused:6d}", flush=True)
            print(*found.wrong, sep="\n", end="\n" * bool(found.wrong), flush=True)
            wrong += len(found.wrong)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
