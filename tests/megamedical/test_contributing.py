"""CONTRIBUTING.md, followed to the letter on a folder of drawn cells."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from miniatures.files import picture
from PIL import Image
from places import ROOT

from megamedical import open_store

PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"^```(console|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANYTHING = "…"


def draw_cells(folder: Path) -> None:
    """The folder of the page: twelve cells, and a note that is no part of the data."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((48, 64))
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(1, 13):
        distance = np.hypot(rows - 20 - number % 5, columns - 30 - number)
        values = np.uint8(distance < 12) + np.uint8(distance < 6)
        shades = (60 * values + rng.integers(0, 40, values.shape)).astype(np.uint8)
        (folder / f"images/cell_{number:02d}.png").write_bytes(picture(shades, "png"))
        (folder / f"masks/cell_{number:02d}.png").write_bytes(picture(values, "png"))
    (folder / "README.txt").write_text("Drawn.")


def commands_in(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines it is said to print."""
    told: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            told.append((line[2:], []))
        elif line.strip():
            told[-1][1].append(line.rstrip())
    return told


def fits(printed: list[str], told: list[str]) -> bool:
    """Whether lines are as told, where `…` is anything: some text, or alone, some lines."""
    lines = [r"(.*\n)*?" if line == ANYTHING else f"{_open(line)}\n" for line in told]
    return bool(re.fullmatch("".join(lines), "".join(f"{line}\n" for line in printed)))


def _open(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split(ANYTHING))


def test_the_page_does_what_it_says(megamedical, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_cells(tmp_path / "cells")
    for kind, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "diff":
            mend(tmp_path / "my-manifests/my-cells.yaml", block)
            continue
        for command, told in commands_in(block):
            printed = run(megamedical, command)
            assert fits(printed, told), "\n".join([command, *printed])
    tasks = open_store(tmp_path / "store").tasks
    assert set(tasks["label"]) == {"cytoplasm", "nucleus"}
    with Image.open(tmp_path / "preview.png") as sheet:
        assert sheet.size == (2418, 262)


def mend(path: Path, block: str) -> None:
    """Change a file as a block of `-` and `+` lines says."""
    sides = {
        sign: "".join(f"{line[1:]}\n" for line in block.splitlines() if line.startswith(sign))
        for sign in "-+"
    }
    text = path.read_text(encoding="utf-8")
    assert text.count(sides["-"]) == 1, f"the draft does not say {sides['-']}"
    path.write_text(text.replace(sides["-"], sides["+"]), encoding="utf-8")


def run(megamedical, command: str) -> list[str]:
    """The lines that a command prints, without empty ones."""
    if command.startswith("megamedical "):
        name, *arguments = shlex.split(command)[1:]
        alone = ("--workers", "0", "--offline") if name == "build" else ()
        result = megamedical(name, *arguments, *alone)
        assert result.exit_code == 0, result.output
        printed = result.output
    else:
        python = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(  # noqa: S602  (the page's own lines)
            command, shell=True, check=True, capture_output=True, text=True, env=python
        )
        printed = done.stdout
    return [line.rstrip() for line in printed.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("printed", "told", "is_so"),
    [
        (["a: 1 s", "b"], ["a: …", "b"], True),
        (["x", "y", "b"], ["…", "b"], True),
        (["b"], ["…", "b"], True),
        (["a", "b"], ["b"], False),
        (["a.b"], ["a+b"], False),
        (["a", "c"], ["a", "b"], False),
    ],
)
def test_what_is_left_out_may_be_anything(printed, told, is_so):
    assert fits(printed, told) is is_so


def test_every_file_the_page_points_to_is_there():
    text = PAGE.read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert linked
    assert all((PAGE.parent / path).exists() for path in linked)
