"""A command that was started, as a terminal starts it; what it says is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
OPEN = "The desk is open"  # it would stay so


class Started:
    """A command at work; what it says on stdout and stderr comes into files of this name."""

    def __init__(self, line: Sequence[str | Path], log: Path) -> None:
        self.files = {kind: log.with_suffix(f".{kind}") for kind in ("said", "told")}
        with self.files["said"].open("w") as said, self.files["told"].open("w") as told:
            self.run = subprocess.Popen(
                [sys.executable, *line],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=told,
                env=environment(),
                start_new_session=True,
            )
        self.process = psutil.Process(self.run.pid)

    @property
    def said(self) -> str:
        """On stdout."""
        return self.files["said"].read_text(errors="replace")

    @property
    def told(self) -> str:
        """On stderr."""
        return self.files["told"].read_text(errors="replace")

    @property
    def is_open(self) -> bool:
        """Whether it is a desk that would stay open."""
        return self.run.poll() is None and OPEN in self.said

    @property
    def below(self) -> list[psutil.Process]:
        """What it has started."""
        with suppress(psutil.Error):
            return self.process.children(recursive=True)
        return []

    @property
    def computed(self) -> float:
        """Seconds of a core that it and what it has started have had."""
        seconds = 0.0
        for process in (self.process, *self.below):
            with suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:4])
        return seconds


def environment() -> dict[str, str]:
    """With this project on the path, one thread, and no proxy before a server of this machine."""
    own = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return {**os.environ, "PYTHONPATH": own, "OMP_NUM_THREADS": "1", "NO_PROXY": "*"}
