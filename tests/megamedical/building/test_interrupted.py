"""Ctrl-C or SIGTERM in the middle of a build: it ends at once, and says one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

MOMENTS: dict[str, Callable[[Path], bool]] = {
    "workers start": lambda folder: any(workers_of(folder)),
    "subjects are processed": lambda folder: any((folder / "raw").rglob("*.npz")),
}


def workers_of(folder: Path) -> list[psutil.Process]:
    """What a build into a folder has started."""
    return [
        below
        for each in psutil.Process().children()
        if str(folder / "store") in each.cmdline()
        for below in each.children(recursive=True)
    ]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    "sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_a_build_ends_with_all_its_processes(tmp_path, moment, sent):
    """The signal goes to all of them, as a terminal sends it."""
    command = [sys.executable, "-m", "megamedical", "build", "synthetic", "--workers", "2"]
    command += ["--tasks", "24", "--subjects", "8", "--resolution", "32"]
    command += ["--store", str(tmp_path / "store"), "--raw", str(tmp_path / "raw")]
    build = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    while not MOMENTS[moment](tmp_path):
        with pytest.raises(subprocess.TimeoutExpired):
            build.wait(0.2)
    started = [psutil.Process(build.pid), *workers_of(tmp_path)]
    assert len(started) > 1
    assert not any(listening(each) for each in started)
    os.killpg(build.pid, sent)

    _, said = build.communicate(timeout=60)

    gone, alive = psutil.wait_procs(started, timeout=10)
    assert (len(gone), alive) == (len(started), [])
    if sent == signal.SIGINT:
        assert build.returncode == 130
        assert said.decode().strip().startswith("Interrupted.")
    assert len(said.decode().split("\n")) <= 3
    assert "Traceback" not in said.decode()
    if sent == signal.SIGINT:
        assert not list(tmp_path.rglob("*.unfinished"))


def listening(process: psutil.Process) -> list[object]:
    """The sockets at which anybody could reach a process."""
    try:
        return [found for found in process.net_connections("all") if found.laddr]
    except psutil.Error:
        return []
