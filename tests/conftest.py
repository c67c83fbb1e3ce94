"""What several tests share: a mirror of miniature datasets, and one store built from it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from click.testing import Result
from miniatures import DATASETS, build_miniatures, write_mirror
from typer.testing import CliRunner

from megamedical import BuildReport
from megamedical.cli import app

# How long an example takes depends on who else computes.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

# Each process of pytest-xdist has a core; threads of PyTorch would fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _interrupts_are_heard() -> Iterator[None]:
    """Also where the tests run in the background of a shell, and so are told to ignore them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Built:
    """A store with all miniatures and two synthetic tasks, which no test may change."""

    store: Path
    raw: Path
    report: BuildReport


@pytest.fixture(scope="session")
def mirror(tmp_path_factory) -> Path:
    """A folder with the archives of all miniatures, which no test may change."""
    folder = tmp_path_factory.mktemp("mirror")
    return write_mirror(folder, {name: archives() for name, archives in DATASETS.items()})


@pytest.fixture(scope="session")
def built(mirror, tmp_path_factory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    store, raw = folder / "store", folder / "raw"
    return Built(store, raw, build_miniatures(store=store, raw=raw, mirror=mirror))


@pytest.fixture
def store(built, tmp_path) -> Path:
    """A copy of the built store, to be changed."""
    return shutil.copytree(built.store, tmp_path / "store")


@pytest.fixture(scope="session")
def megamedical():
    """The command, in this process: called with its arguments, it gives a `Result`."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
