"""Every command, asked to end at moments anywhere in its work, by Ctrl-C and by SIGTERM.

    python performance/interrupted.py [--moments 10] [--seed 0] [--only build,desk] [--toy]

Each command is run once undisturbed, for the time that it takes. Then it is asked to end at moments
drawn from that time: by SIGINT to all of its processes, as a terminal sends it, or by SIGTERM to
the command alone, as a cluster does. What is right: one line that says so, exit code 130, nobody
left behind, and no longer than `--seconds`, where a core is free for it; what its processes
computed after they were asked is shown, too, since that does not depend on who else computes. A
signal that came before Python had come to this project's code is counted as early, and nothing is
asked of it. Whatever is not right is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/fixtures")]
from killed.started import Started  # noqa: E402
from killed.world import Line, World  # noqa: E402

STAYS = 3.0  # seconds that it is left open
PATIENCE = 20.0  # seconds for processes to go that have nobody to work for


@dataclass
class Found:
    """What came of asking a command to end."""

    counted: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    computed: float = 0.0
    wrong: list[str] = field(default_factory=list)


def undisturbed(line: Line, folder: Path) -> float:
    """The seconds that a command takes, a desk until it has been open for a while."""
    begun, running = time.monotonic(), start(line, folder)
    while running.run.poll() is None and not running.is_open:
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    if running.is_open:
        running.run.terminate()
        running.run.wait(60)
        return seconds + STAYS
    if running.run.returncode:
        raise SystemExit(running.said + running.told)
    return seconds


def start(line: Line, folder: Path) -> Started:
    """A command in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Started(line(folder), folder.with_name("log"))


def hears(process: int) -> bool:
    """Whether this project's code has asked for SIGTERM."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def ask(line: Line, folder: Path, moment: float, number: signal.Signals, found: Found) -> None:
    """Start a command, ask it to end at a moment, and look at what comes of it."""
    running = start(line, folder)
    time.sleep(moment)
    below, process = running.below, running.run
    if process.poll() is not None:
        found.counted["had ended"] += 1
        return
    heard, before, asked = hears(process.pid), running.computed, time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, status, used = os.wait4(process.pid, 0)
    seconds, computed = time.monotonic() - asked, used.ru_utime + used.ru_stime - before
    code = process.returncode = os.waitstatus_to_exitcode(status)
    _, alive = psutil.wait_procs(below, timeout=PATIENCE)
    for each in alive:
        each.kill()
    told = running.told.splitlines()
    lines = [each for each in told if each.startswith("Interrupted. ")]
    if (code, len(lines), told[-1:]) == (130, 1, lines) and not alive:
        found.counted[number.name] += 1
        found.slowest, found.computed = max(found.slowest, seconds), max(found.computed, computed)
    elif not heard:
        found.counted["early"] += 1
    elif code == 0 and not lines:
        found.counted["had ended"] += 1
    else:
        said = f"exit code {code}, still there: {alive}, said:\n{running.told[-3000:]}"
        found.wrong.append(f"{number.name} after {moment:.2f} s: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=10, help="for each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2.0, help="longest that it may take")
    parser.add_argument("--only", default="", help="commands, with commas between")
    parser.add_argument("--toy", action="store_true", help="one moment of two commands")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # `&` of a shell has it ignored
    wrong: list[str] = []
    print(f"{'command':18s} SIGINT SIGTERM  early  ended  slowest  computed")
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place) / "world")
        only = "list,verify" if given.toy else given.only
        rng = np.random.default_rng(given.seed)
        for name in only.split(",") if only else world.lines:
            line, folder = world.lines[name], Path(place) / "at work"
            seconds, found = undisturbed(line, folder), Found()
            for turn in range(1 if given.toy else given.moments):
                number = (signal.SIGINT, signal.SIGTERM)[turn % 2]
                ask(line, folder, rng.uniform(0, seconds), number, found)
            if found.slowest > given.seconds:
                found.wrong.append(f"it took {found.slowest:.1f} s")
            counts = [found.counted[key] for key in ("SIGINT", "SIGTERM", "early", "had ended")]
            times = f"{found.slowest:5.1f} s {found.computed:7.2f} s"
            print(
                f"{name:18s} {counts[0]:6} {counts[1]:7} {counts[2]:6} {counts[3]:6}  {times}",
                flush=True,
            )
            wrong += [f"{name}: {each}" for each in found.wrong]
            print(*found.wrong, sep="\n", end="\n" * bool(found.wrong), flush=True)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
