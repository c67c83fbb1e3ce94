"""Locks between real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from megamedical.files.locking import InUseError, held

HOLD = """
import sys, time
from pathlib import Path
from megamedical.files.locking import held
with held(Path(sys.argv[1]), what="the store", doing="building wbc"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_refused_with_who_holds_it_and_since_when(holder, tmp_path):
    with (
        pytest.raises(InUseError) as refused,
        held(tmp_path / "lock", what="the store", doing="building stare", wait=False),
    ):
        pass
    said = refused.value.problem
    assert said.startswith("the store is in use: building wbc, process ")
    assert f"process {holder.pid} of " in said
    assert " since 2" in said


def test_one_that_waits_is_told_for_whom_and_then_has_it(holder, tmp_path):
    told = []

    def tell(line):
        told.append(line)
        holder.stdin.close()

    with held(tmp_path / "lock", what="the store", doing="building stare", tell=tell):
        assert holder.wait(30) == 0
    assert len(told) == 1
    assert told[0].startswith("waiting for the store: building wbc, process ")


def test_a_dead_one_holds_nothing(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(30)
    with held(tmp_path / "lock", what="the store", doing="building stare", wait=False):
        pass


def test_a_holder_that_has_not_said_who_it_is_is_refused_all_the_same(holder, tmp_path):
    (tmp_path / "lock.holder").write_text("{")
    with (
        pytest.raises(InUseError, match="has not said who it is"),
        held(tmp_path / "lock", what="the store", doing="building stare", wait=False),
    ):
        pass
