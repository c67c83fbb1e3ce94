"""Commands that are killed over and over: what they come to is what undisturbed ones come to.

    python performance/kills.py [--kills 100] [--seed 0] [--only build,train] [--toy]

Each of build, download, unpack, train and benchmark works on data that are made here. It is run
once undisturbed. Then it is started and killed at a moment anywhere in the time that this took,
one to four times in a row, and given again until it ends; and that anew, until so many kills have
met a command at work. Seven in ten are SIGKILL, the others SIGTERM and SIGINT; six in ten go to all
of its processes, the others to the command alone, or to one of its workers alone.

What is right: at last it ends with exit code 0, all that it made is the same to the byte (rows of
a benchmark but for seconds and memory), there is no file more than in the undisturbed folder, no
lock is held, no process is left, and `verify` finds nothing. Whatever is not is printed, and the
exit code is 1.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/fixtures")]
from killed import data, models  # noqa: E402
from killed.act import Act, Moment, names  # noqa: E402

ACTS = {
    "build": data.build,
    "download": data.download,
    "unpack": data.unpack,
    "train": models.train,
    "benchmark": models.benchmark,
}
SIGNALS = {signal.SIGKILL: 0.7, signal.SIGTERM: 0.15, signal.SIGINT: 0.15}
TARGETS = {"all": 0.6, "command": 0.25, "worker": 0.15}
IN_A_ROW = 4
PATIENCE = 20.0  # seconds for processes to go that have nobody to work for


@dataclass
class Found:
    """What came of the kills of a command."""

    stages: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    same: int = 0
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Running:
    """A command at work in a folder."""

    def __init__(self, act: Act, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.act, self.folder = act, folder
        self.log = folder.with_name(f"{folder.name}.log")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_PROXY": "*", "no_proxy": "*"}
        environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        with self.log.open("w") as log:
            self.started = subprocess.Popen(
                [sys.executable, *act.line(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self.process = psutil.Process(self.started.pid)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def below(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return self.process.children(recursive=True)
        return []

    def end(self) -> int:
        """Let it come to its end."""
        return self.started.wait(600)

    def kill(self, number: signal.Signals, target: str) -> tuple[str, list[psutil.Process]] | None:
        """Kill it; in which stage it was, and what was below it. None where it had ended."""
        below = self.below()
        if self.started.poll() is not None:
            return None
        stage = self.act.stage(Moment(self.folder, self.said, self.process, below))
        with suppress(psutil.Error, ProcessLookupError):
            if target == "all":
                os.killpg(self.started.pid, number)
            elif target == "worker" and below:
                below[0].kill()
            else:
                self.started.send_signal(number)
        return stage, below


def trouble(act: Act, folder: Path, right: tuple[dict[str, str], set[str]]) -> Iterator[str]:
    """What is not as in an undisturbed folder."""
    result, there = right
    if (came := act.result(folder)) != result:
        differing = [name for name in {*came, *result} if came.get(name) != result.get(name)]
        yield f"another result: {sorted(differing)[:5]}"
    if (now := names(folder)) != there:
        yield f"left over: {sorted(now - there)[:5]}, missing: {sorted(there - now)[:5]}"
    for lock in folder.rglob("*.lock"):
        with lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield f"still held: {lock.relative_to(folder)}"
    yield from act.problems(folder)


def run_with_kills(
    act: Act, folder: Path, kills: int, seconds: float, rng: np.random.Generator, found: Found
) -> Iterator[str]:
    """One run, broken off up to so many times and taken up again; whatever is wrong with it."""
    left: list[psutil.Process] = []
    for _ in range(kills):
        running = Running(act, folder)
        time.sleep(rng.uniform(0, seconds))
        number = signal.Signals(rng.choice(list(SIGNALS), p=list(SIGNALS.values())))
        target = str(rng.choice(list(TARGETS), p=list(TARGETS.values())))
        killed = running.kill(number, target)
        begun = time.monotonic()
        code = running.end()
        if killed is None:
            break
        stage, below = killed
        left += below
        only_worker = target == "worker" and bool(below)
        found.stages[stage] += 1
        found.sent["worker" if only_worker else f"{number.name[3:]} {target[:1]}"] += 1
        found.ended[f"{code} after {'a worker' if only_worker else number.name[3:]}"] += 1
        if number != signal.SIGKILL and not only_worker:
            found.slowest = max(found.slowest, time.monotonic() - begun)
        if "Traceback" in running.said:
            yield f"a traceback after {number.name} to {target} while it {stage}:\n{running.said}"
    running = Running(act, folder)
    if code := running.end():
        yield f"exit code {code} at the end:\n{running.said}"
    _, alive = psutil.wait_procs(left, timeout=PATIENCE)
    for process in alive:
        yield f"still there: {process}"
        process.kill()


def measure(act: Act, place: Path, kills: int, seed: int) -> Found:
    """Kill a command so many times."""
    undisturbed, found = place / "undisturbed", Found()
    begun = time.monotonic()
    running = Running(act, undisturbed)
    if running.end():
        raise SystemExit(running.said)
    seconds = time.monotonic() - begun
    right = act.result(undisturbed), names(undisturbed)
    assert not act.problems(undisturbed)
    rng = np.random.default_rng(seed)
    while found.stages.total() < kills:
        folder = place / "broken-off"
        row = min(int(rng.integers(1, IN_A_ROW + 1)), kills - found.stages.total())
        wrong = list(run_with_kills(act, folder, row, seconds, rng, found))
        wrong += trouble(act, folder, right)
        found.runs += 1
        found.same += not wrong
        found.wrong += wrong
        shutil.rmtree(folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(ACTS), help="commands, with commas between")
    parser.add_argument("--toy", action="store_true", help="two kills of a download")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # `&` of a shell has it ignored
    kills, only = (2, "download") if given.toy else (given.kills, given.only)
    print(f"{'command':10s} kills  runs  right  slowest  while it")
    wrong = []
    for name in only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "world").mkdir()
            act = ACTS[name](Path(folder) / "world", toy=given.toy)
            found = measure(act, Path(folder), kills, given.seed)
        stages = ", ".join(f"{stage} {found.stages[stage]}" for stage in act.stages)
        counts = f"{found.stages.total():5d} {found.runs:5d}  {found.same:5d}"
        print(f"{name:10s} {counts}  {found.slowest:5.1f} s  {stages}")
        for what, counted in (("sent", found.sent), ("exit codes", found.ended)):
            said = ", ".join(f"{key}: {count}" for key, count in sorted(counted.items()))
            print(f"{'':10s} {what}: {said}", flush=True)
        wrong += [f"{name}: {each}" for each in found.wrong]
    print(*wrong, sep="\n")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
