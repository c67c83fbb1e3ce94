"""Who does the work: this process, workers on this machine, or those of a scheduler elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import distributed
import pandas as pd
import psutil
import pytest
from miniatures import build_miniatures, contents
from places import ROOT
from work_to_do import (
    die_always,
    die_once,
    double,
    fail_unsendably,
    hang,
    hang_or_process,
    place_of_work,
    process_or_die,
    say_for_whom,
    take_what_nobody_has,
)

from megamedical.building import build as pipeline
from megamedical.building import processes
from megamedical.building.workers import workers
from megamedical.errors import MegaMedicalError


@pytest.fixture(scope="class")
def crew():
    with workers(2) as two:
        yield two


def an_hour_passes_when(marker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.monotonic
    monkeypatch.setattr(processes, "monotonic", lambda: clock() + (3600 if marker.exists() else 0))


class TestThisProcess:
    def test_does_the_work_here(self):
        with workers(0) as crew:
            assert dict(crew.run(place_of_work, [1])) == {1: os.getpid()}

    def test_gives_results_and_errors(self):
        with workers(0) as crew:
            assert_gives_results_and_errors(crew)


class TestProcesses:
    def test_does_the_work_elsewhere(self, crew):
        assert os.getpid() not in dict(crew.run(place_of_work, range(4))).values()

    def test_gives_results_and_errors(self, crew):
        assert_gives_results_and_errors(crew)

    def test_has_nothing_to_do(self, crew):
        assert list(crew.run(double, [])) == []

    def test_does_the_work_of_a_worker_that_died(self, crew, tmp_path):
        items = [(number, tmp_path / "died") for number in range(8)]
        assert dict(crew.run(die_once, items)) == {item: item[0] for item in items}
        assert (tmp_path / "died").exists()

    def test_blame_only_what_they_die_of(self, crew):
        results = dict(crew.run(die_always, range(8)))
        assert "its worker died" in str(results.pop(3))
        assert results == {number: number for number in range(8) if number != 3}

    def test_are_stopped_over_what_takes_too_long(self, tmp_path, monkeypatch):
        marker = tmp_path / "hangs"
        an_hour_passes_when(marker, monkeypatch)
        with workers(1) as crew:
            items = [(number, marker) for number in range(6)]
            results = dict(crew.run(hang, items, minutes=30))
            assert str(results.pop((3, marker))) == "it took longer than 30 minutes"
            assert list(results.values()) == [0, 1, 2, 4, 5]
        assert not [each for each in psutil.Process().children(True) if each.name() == "sleep"]

    def test_are_stopped_over_what_takes_too_much(self, tmp_path, monkeypatch):
        marker = tmp_path / "hangs"
        monkeypatch.setattr(processes, "free_memory", lambda: 0 if marker.exists() else 1 << 60)
        monkeypatch.setattr(processes._Worker, "memory", property(lambda _: 1 << 60))
        with workers(2) as crew:
            (error,) = dict(crew.run(hang, [(3, marker)])).values()
        assert "of which too little was left" in str(error)

    def test_cannot_take_more_memory_than_there_is(self, crew):
        (error,) = dict(crew.run(take_what_nobody_has, [0])).values()
        assert isinstance(error, MemoryError)

    def test_say_what_an_error_says_that_cannot_be_sent(self, crew):
        (error,) = dict(crew.run(fail_unsendably, [1])).values()
        assert str(error) == "AnUnsendableError: 1 and 2"

    def test_that_do_not_start_are_an_error(self, monkeypatch):
        monkeypatch.setattr(processes, "_MODULE", "megamedical.nothing")
        with workers(1) as crew, pytest.raises(MegaMedicalError, match="do not start"):
            list(crew.run(double, range(5)))

    def test_may_be_left_in_the_middle(self, crew):
        for _ in crew.run(place_of_work, range(100)):
            break
        assert dict(crew.run(double, [1, 2])) == {1: 2, 2: 4}


def assert_gives_results_and_errors(crew):
    results = dict(crew.run(double, range(6)))
    error = results.pop(3)
    assert results == {0: 0, 1: 2, 2: 4, 4: 8, 5: 10}
    assert isinstance(error, ValueError)
    assert str(error) == "three is too many"


def test_a_subject_that_kills_its_workers_is_one_failure(mirror, tmp_path, monkeypatch):
    """And those that waited behind it at the only worker are none."""
    monkeypatch.setattr(pipeline, "process", process_or_die)
    store = tmp_path / "store"
    report = build_miniatures("wbc", store=store, mirror=mirror, workers_count=1)
    (failure,) = report.failures
    assert (failure.group, failure.subject, failure.stage) == ("jtsc", "002", "process")
    assert failure.file == "segmentation_WBC-master/Dataset 1/002.bmp"
    assert "worker died" in failure.reason
    assert len(pd.read_parquet(store / "manifests" / "failures.parquet")) == 1
    assert len(pd.read_parquet(store / "manifests" / "subjects.parquet")) == 8


def test_a_subject_that_takes_too_long_is_one_failure(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "process", hang_or_process)
    an_hour_passes_when(tmp_path / "raw" / "stare" / "staged" / "32" / "hangs", monkeypatch)
    report = build_miniatures("stare/vk", store=tmp_path / "store", mirror=mirror, workers_count=1)
    (failure,) = report.failures
    assert (failure.subject, failure.stage) == ("im0002", "process")
    assert failure.reason == "it took longer than 30 minutes"
    assert report.groups[0].subjects == 3


class TestAScheduler:
    def test_lends_its_workers_wherever_they_are(self, mirror, tmp_path, monkeypatch):
        for name in ("here", "there"):
            (tmp_path / name).mkdir()
        with distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as cluster:
            with distributed.Client(cluster) as client:
                client.run(os.chdir, tmp_path / "there")
            monkeypatch.chdir(tmp_path / "here")
            build_miniatures(
                "wbc", store="store", mirror=mirror, scheduler=cluster.scheduler_address
            )
        build_miniatures("wbc", store=tmp_path / "alone" / "store", mirror=mirror)
        assert contents(tmp_path / "here" / "store") == contents(tmp_path / "alone" / "store")
        assert list((tmp_path / "there").iterdir()) == []

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "tcp://nowhere"])
    def test_that_does_not_answer_is_an_error(self, address, monkeypatch):
        client = distributed.Client

        def impatient(address: str, timeout: str) -> distributed.Client:
            assert timeout == "10s"
            return client(address, timeout="0.3s")

        monkeypatch.setattr(distributed, "Client", impatient)
        with (
            pytest.raises(MegaMedicalError, match="No Dask scheduler answers at") as error,
            workers(scheduler=address),
        ):
            pass
        assert address in error.value.problem
        assert "dask scheduler" in error.value.remedy


@pytest.mark.parametrize("count", [0, 1])
def test_what_work_says_is_told_where_it_was_given_out(count):
    told: list[str] = []
    with workers(count) as crew:
        assert list(crew.run(say_for_whom, ["a", "b"], tell=told.append)) == [
            ("a", "a"),
            ("b", "b"),
        ]
    assert told == ["waiting for a", "waiting for b"]


def test_a_build_without_workers_needs_no_posix(tmp_path):
    """As on a system that has neither shared locks nor limits of resources."""
    script = """
import sys
sys.modules["fcntl"] = sys.modules["resource"] = None
import filelock
import megamedical

report = megamedical.build(
    "synthetic", store=sys.argv[1], tasks=1, subjects=2, resolution=32, workers_count=0
)
assert report.is_complete
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "store"], check=True, cwd=ROOT)
