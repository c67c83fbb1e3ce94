"""Who does the work: this process, workers on this machine, or those of a scheduler elsewhere."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import distributed
import pandas as pd
import pytest
from miniatures import build_miniatures, contents

from megamedical.building import build as pipeline
from megamedical.building.subject_job import Job, process
from megamedical.building.workers import workers
from megamedical.errors import MegaMedicalError
from megamedical.subjects.subject import Failure

# Work is a function that workers can import from here.


def double(number: int) -> int:
    if number == 3:
        raise ValueError("three is too many")
    return 2 * number


def place_of_work(_: int) -> int:
    return os.getpid()


def die_once(item: tuple[int, Path]) -> int:
    number, marker = item
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def process_or_die(job: Job) -> Failure | None:
    if (job.group_name, job.subject.name) == ("jtsc", "002"):
        os.kill(os.getpid(), signal.SIGKILL)
    return process(job)


@pytest.fixture(scope="class")
def crew():
    with workers(2) as two:
        yield two


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
