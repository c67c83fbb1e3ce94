"""One archive, unpacked by two processes at once: one does it, the other finds it done."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from megamedical.unpacking.archives import unpack

TWO = """
import sys
from pathlib import Path
from megamedical.unpacking import archives
fill, told = archives._fill, []

def slowly(*given):
    print("unpacking", flush=True)
    sys.stdin.readline()
    fill(*given)

archives._fill = slowly
print("ready", flush=True)
sys.stdin.readline()
archive, folder = map(Path, sys.argv[1:])
archives.unpack(archive, folder, digest="x", tell=lambda line: print(line, flush=True))
print("done", flush=True)
"""


@pytest.fixture
def archive(tmp_path) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as content:
        for number in range(60):
            content.writestr(f"{number % 7}/{number}", bytes(number))
    return tmp_path / "a.zip"


@pytest.fixture
def start(archive, tmp_path):
    """A process that is ready to unpack, and does each step when it gets a line."""
    started = []

    def run() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", TWO, str(archive), str(tmp_path / "raw" / "a")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def go_on(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def sizes(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("[0-9]*") if p.is_file()
    }


def test_the_second_waits_is_told_for_whom_and_finds_it_done(archive, start, tmp_path):
    first, second = start(), start()
    go_on(first)
    assert first.stdout.readline() == "unpacking\n"
    go_on(second)
    said = second.stdout.readline()
    assert said.startswith("waiting for the folder ")
    assert f"unpacking a.zip, process {first.pid} of " in said
    go_on(first)
    assert first.stdout.readline() == "done\n"
    assert second.stdout.readline() == "done\n"
    unpack(archive, tmp_path / "alone", digest="x")
    assert sizes(tmp_path / "raw" / "a") == sizes(tmp_path / "alone")


def test_after_one_that_was_killed_the_other_begins_anew(archive, start, tmp_path):
    first, second = start(), start()
    go_on(first)
    assert first.stdout.readline() == "unpacking\n"
    go_on(second)
    assert second.stdout.readline().startswith("waiting for ")
    first.kill()
    assert second.stdout.readline() == "unpacking\n"
    go_on(second)
    assert second.stdout.readline() == "done\n"
    assert len(sizes(tmp_path / "raw" / "a")) == 60
    names = sorted(path.name for path in (tmp_path / "raw").iterdir())
    assert names == [".a.lock", "a"]
