"""What this project does where the system has not all that POSIX has."""

from __future__ import annotations

import subprocess
import sys

from places import ROOT

from megamedical.files.linking import linked_folder

WITHOUT = """
import os, select, signal, sys
from importlib import import_module
from pathlib import Path
import psutil  # which knows its way on each system

for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for module, names in {
    os: "fork register_at_fork getuid",
    signal: "pthread_kill pthread_sigmask SIGKILL",
    select: "poll",
}.items():
    for name in names.split():
        delattr(module, name)
"""

EVERY_MODULE = """
for package in ("megamedical", "universeg", "benchmark"):
    for path in sorted(Path(package).rglob("*.py")):
        name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        if not name.endswith("__main__"):
            import_module(name)
print("all")
"""

A_COMMAND = """
sys.argv = ["megamedical", "list"]
import megamedical.__main__
megamedical.__main__.main()
"""

MEMORY = """
from benchmark.machine.peak_memory import forget_peak, peak_memory
forget_peak()
assert peak_memory() > 2**20
"""


def run(code: str, others: str = "") -> str:
    ended = subprocess.run(
        [sys.executable, "-c", others + WITHOUT + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_module_is_imported_without_what_only_posix_has():
    assert (
        run(EVERY_MODULE, "import filelock, torch, distributed, monai, sklearn\n").strip() == "all"
    )


def test_commands_hear_that_they_are_to_end_all_the_same():
    assert "acdc" in run(A_COMMAND)


def test_memory_is_told_without_the_resources_of_a_process():
    run(MEMORY)


def test_a_folder_that_cannot_be_linked_is_said_to_be_not(tmp_path, monkeypatch):
    def refuse(_link, _target, target_is_directory):
        raise OSError("a required privilege is not held by the client")

    (tmp_path / "folder").mkdir()
    assert linked_folder(tmp_path / "folder", tmp_path / "link")
    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    assert not linked_folder(tmp_path / "folder", tmp_path / "other")
