"""Runs: rows that can be made again by hand, whatever breaks, whoever does the work."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import own_methods
import pandas as pd
import pytest
from places import FIXTURES, ROOT
from tiny_store import SIZE, Discs, write_store

from benchmark.cases import CaseReader, draw_shared_support, draw_support, find_cases
from benchmark.evaluation import RunReport, run
from benchmark.machine.peak_memory import peak_memory
from benchmark.method import MethodError
from benchmark.results import ENSEMBLE, POOL, Provenance, read_results, unpacked
from benchmark.suite import Suite, SuiteError
from megamedical.building.workers import workers
from megamedical.files.locking import InUseError
from megamedical.reporting.progress import Silence

TASKS = ("one/discs/mri/axial/mid/disc", "two/discs/mri/axial/mid/disc")
GONE = "acdc/challenge2017/mri/axial/mid/myocardium"
SUITE = Suite(
    id="small",
    version=1,
    title="Two tasks, and one that is nowhere",
    resolution=SIZE,
    draws=3,
    support_sizes=(3,),
    tasks=(*TASKS, GONE),
)
PATIENTS = (4, 0, 3)  # who have two subjects each
COSTS = ["seconds", "memory"]


def altered(**changes):
    return Suite.model_validate({**SUITE.model_dump(), **changes})


def groups(**of_two):
    return Discs("one", patients=PATIENTS), Discs("two", **{"patients": PATIENTS, **of_two})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("tiny") / "store", *groups())


@pytest.fixture(autouse=True)
def _installed(tmp_path, monkeypatch):
    own_methods.install(tmp_path, own_methods.NAMES)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("Told", "Also", "Greedy", "Tuned", "Hopeless"):
        monkeypatch.setattr(getattr(own_methods, name), "shown", [])


class Listening(Silence):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said = []

    def say(self, line):
        self.said.append(line)


@pytest.fixture
def run_small(store, tmp_path):
    """A run in this process: what it says at its end, its rows, and what a listener hears."""

    def make(method="told", suite=SUITE, store=store, limit=None, crew=0, out="out"):
        listener = Listening()
        with workers(crew) as team:
            report = run(suite, store, method, tmp_path / out, team, listener, limit)
        return report, rows_of(report), listener.said

    return make


def rows_of(report: RunReport) -> pd.DataFrame:
    rows, _ = read_results(report.folder)
    return rows


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found.drop(columns=COSTS), expected.drop(columns=COSTS))


# What a row says


def test_every_row_can_be_made_again_by_hand(run_small, store):
    """The mean mask of each draw, its Dice, and that of the mean of all draws."""
    report, rows, _ = run_small("mean-mask")
    assert report.rows == len(rows) == 2 * 6 * (3 + 1)
    assert not rows["failure"].any()
    for task in find_cases(SUITE, store).tasks:
        reader = CaseReader(store, task.group)
        for query in task.queries:
            own = rows[(rows["task"] == task.task) & (rows["subject"] == query.subject)]
            assert own["draw"].tolist() == [0, 1, 2, ENSEMBLE]
            assert set(own["patient"]) == {query.patient}
            shown = [draw_support(SUITE, task, query, draw, 3) for draw in range(3)]
            means = [reader.support(examples).masks.mean(axis=0) for examples in shown]
            truth = store.read(task.task, query.subject)[1] > 0.5
            expected = [dice(mean > 0.5, truth) for mean in (*means, np.mean(means, axis=0))]
            assert own["dice"].tolist() == pytest.approx(expected)
            found = unpacked(own["mask"].iloc[-1], (SIZE, SIZE))
            np.testing.assert_array_equal(found, np.mean(means, axis=0) > 0.5)
            assert own["mask"].iloc[:-1].isna().all()


def dice(found, truth):
    return 2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets the peak of a process")
def test_memory_is_not_that_of_what_was_run_before(run_small):
    before = peak_memory() + 300_000_000
    taken = np.ones(before // 8)
    assert peak_memory() > before
    del taken
    _, rows, _ = run_small("mean-mask")
    assert rows["memory"].max() < before


def test_rows_say_what_they_are_of(run_small, store):
    report, rows, _ = run_small("mean-mask")
    assert set(rows["protocol"]) == {SUITE.protocol}
    assert set(rows["support_size"]) == {3}
    assert set(zip(rows["task"], rows["data"], strict=True)) == {
        (row.task, row.fingerprint) for row in store.tasks.itertuples()
    }
    assert (rows["seconds"] > 0).all()
    assert (rows["memory"] > 1e6).all()
    assert sorted(path.name for path in report.folder.glob("*.parquet")) == [
        f"{task.replace('/', '--')}-s3.parquet" for task in TASKS
    ]
    said = Provenance.load(report.folder)
    assert (said.asked, said.about.name) == ("mean-mask", "mean-mask")
    assert said.store_fingerprint == store.attributes.fingerprint
    assert report.missing == tuple(said.missing) == (GONE,)


def test_all_methods_see_the_same(run_small):
    for method in ("told", "also"):
        run_small(method)
    first, second = own_methods.Told.shown, own_methods.Also.shown
    assert len(first) == len(second) == 2 * 6 * 3
    for (one, seed), (other, same_seed) in zip(first, second, strict=True):
        assert seed == same_seed
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.masks, other.masks)


def test_each_support_size_has_rows_of_its_own(run_small):
    _, rows, _ = run_small(suite=altered(support_sizes=[1, 5]))
    assert rows.groupby("support_size").size().to_dict() == {1: 48, 5: 48}
    assert {len(support.images) for support, _ in own_methods.Told.shown} == {1, 5}


def test_a_method_of_the_pool_is_fitted_once_for_a_task(run_small, store):
    _, rows, _ = run_small("greedy")
    assert len(rows) == 2 * 6
    assert set(rows["support_size"]) == {POOL}
    assert [len(support.images) for support, _ in own_methods.Greedy.shown] == [8, 8]
    with pytest.raises(MethodError, match="trained on all of the test split, which small eval"):
        run_small("greedy", suite=altered(support="test"), out="other")


def test_what_is_dear_is_fitted_once_for_each_size_and_draw_of_a_task(run_small, store):
    _, rows, _ = run_small("tuned", suite=altered(support_sizes=[2, 5], shared_draws=2))
    fits = own_methods.Tuned.shown
    assert [(len(support.images), seed) for support, seed in fits] == [
        (size, draw) for _ in TASKS for size in (2, 5) for draw in (0, 1)
    ]
    for few, many in ((0, 2), (1, 3)):
        np.testing.assert_array_equal(fits[many][0].masks[:2], fits[few][0].masks)
    for task in find_cases(SUITE, store).tasks:
        own = rows[(rows["task"] == task.task) & (rows["support_size"] == 5)]
        drawn = [draw_shared_support(SUITE, task, draw, 5) for draw in range(2)]
        assert not {each.patient for each in drawn[0]} & set(own["patient"])
        reader = CaseReader(store, task.group)
        means = [reader.support(examples).masks.mean(axis=0) for examples in drawn]
        for query in task.queries:
            truth = store.read(task.task, query.subject)[1] > 0.5
            expected = [dice(mean > 0.5, truth) for mean in (*means, np.mean(means, axis=0))]
            found = own[own["subject"] == query.subject]
            assert found["draw"].tolist() == [0, 1, ENSEMBLE]
            assert found["dice"].tolist() == pytest.approx(expected)
            hoped = [mean.mean() for mean in (*means, np.mean(means, axis=0))]
            assert found["expected"].tolist() == pytest.approx(hoped)
    assert (rows["fit_seconds"] > 0).all()


def test_rows_say_whose_the_support_was_and_what_became_of_weights(run_small):
    for method, said in (
        ("told", ("in context", "query", 3)),
        ("tuned", ("tuned", "task", 3)),
        ("greedy", ("in context", "pool", 1)),
    ):
        _, rows, _ = run_small(method)
        found = rows[["track", "support", "draws"]].drop_duplicates()
        assert list(found.itertuples(index=False, name=None)) == [said]
        assert set(rows["device"]) == {"cpu"}
        assert (rows["fit_seconds"] > 0).all() == (method != "told")


def test_what_shares_a_support_is_not_mixed_with_other_numbers_of_draws(run_small):
    _, before, _ = run_small("tuned")
    report, after, _ = run_small("tuned", suite=altered(shared_draws=2))
    assert all("made with another number of draws" in reason for _, reason in report.failures)
    assert len(report.failures) == len(TASKS)
    pd.testing.assert_frame_equal(after, before)
    with pytest.raises(MethodError, match="trained on slices of the test split, which small eval"):
        run_small("tuned", suite=altered(support="test"), out="other")


def test_two_workers_make_the_rows_that_one_process_makes(run_small):
    _, alone, _ = run_small("nearest", out="alone")
    _, together, _ = run_small("nearest", crew=2, out="together")
    assert_same(together, alone)


# What goes wrong


def test_a_failure_is_a_row_with_its_reason_and_the_rest_goes_on(run_small, monkeypatch):
    """Of one group, only four subjects count: two for supports, and two queries."""
    suite = altered(only={"two/discs": "00[0145]-0"})
    report, rows, _ = run_small("picky", suite=suite)
    others, failed = (rows[rows["dataset"] == name] for name in ("one", "two"))
    assert len(failed) == 2 * 4
    assert set(failed["failure"]) == {"RuntimeError: two images are too few for me"}
    assert failed[["dice", "hd95", "assd", "surface_dice", "mask"]].isna().all(axis=None)
    assert others["dice"].notna().all()
    assert set(report.failures) == {(TASKS[1], "RuntimeError: two images are too few for me")}
    monkeypatch.setattr(own_methods.Picky, "is_mended", True)
    report, mended, _ = run_small("picky", suite=suite)
    assert report.failures == ()
    assert_same(mended, run_small("picky", suite=suite, out="anew")[1])
    pd.testing.assert_frame_equal(mended[mended["dataset"] == "one"], others)


def test_what_failed_once_is_made_again_in_its_place(run_small):
    report, rows, _ = run_small("unlucky")
    assert rows["failure"].tolist() == [TOLD, "", "", TOLD, *[""] * (len(rows) - 4)]
    assert report.failures == ((TASKS[0], TOLD), (TASKS[0], TOLD))
    report, rows, _ = run_small("unlucky")
    assert report.failures == ()
    assert_same(rows, run_small("unlucky", out="anew")[1])


TOLD = "MemoryError: no room"


def test_what_cannot_be_fitted_to_the_pool_is_not_tried_for_each_query(run_small):
    report, rows, _ = run_small("hopeless")
    assert set(rows["failure"]) == {"RuntimeError: no convergence"}
    assert len(rows) == 2 * 6
    assert len(own_methods.Hopeless.shown) == 2
    assert len(report.failures) == len(rows)


@pytest.mark.parametrize("kind", ["nan", "logits", "small", "single"])
def test_what_is_no_probability_is_a_failure(run_small, kind):
    _, rows, _ = run_small(f"odd:{kind}", limit=1)
    assert rows["failure"].str.contains("gave no probabilities in").all()


def test_what_a_method_does_to_a_query_is_not_seen_by_its_next_draw(run_small):
    _, rows, _ = run_small("careless")
    assert (rows.groupby(["task", "subject"])["dice"].nunique() == 1).all()
    assert rows["dice"].min() > 0.9


def test_slices_of_another_size_are_refused(run_small, tmp_path):
    with pytest.raises(SuiteError, match=f"has slices of {SIZE} pixels"):
        run_small(suite=altered(resolution=128))
    assert not (tmp_path / "out").exists()


# What is there already


def test_a_quick_look_is_part_of_the_whole(run_small, tmp_path):
    report, rows, _ = run_small(limit=2)
    assert (rows.groupby("task")["subject"].nunique() == 2).all()
    assert report.rows == len(rows) == 2 * 2 * 4
    own_methods.Told.shown.clear()
    _, whole, _ = run_small()
    assert len(own_methods.Told.shown) == 2 * 4 * 3
    assert_same(whole, run_small(out="anew")[1])
    assert_same(run_small(limit=1)[1], whole)


BREAK_OFF = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:4]
from tests.benchmark.test_evaluation import SUITE
from benchmark.evaluation import run
from megamedical.reporting.progress import Silence
from megamedical.store.store import open_store
from megamedical.building.workers import ThisProcess

run(SUITE, open_store(sys.argv[4]), "fatal", Path(sys.argv[5]), ThisProcess(), Silence())
"""


def test_a_run_that_was_killed_ends_as_one_that_was_not(run_small, store, tmp_path, monkeypatch):
    """It is killed in the first draw of the third query."""
    monkeypatch.setenv("FATAL_MARKER", str(tmp_path / "killed"))
    folders = [ROOT, FIXTURES, tmp_path, store.location.folder, tmp_path / "out"]
    ended = subprocess.run([sys.executable, "-c", BREAK_OFF, *folders], check=False)
    assert ended.returncode == -signal.SIGKILL
    folder, unbroken_in = (tmp_path / out / "small/fatal-v1" for out in ("out", "unbroken"))
    rows, _ = read_results(folder)
    assert rows.groupby("task")["subject"].nunique().to_dict() == {TASKS[0]: 2}
    _, resumed, _ = run_small("fatal")
    _, unbroken, _ = run_small("fatal", out="unbroken")
    assert_same(resumed, unbroken)
    kept = resumed.iloc[: len(rows)][COSTS]
    pd.testing.assert_frame_equal(kept, rows[COSTS])
    names = [{path.name for path in each.iterdir()} for each in (folder, unbroken_in)]
    assert names[0] == names[1]


def test_rows_of_other_data_are_made_anew_and_not_mixed(run_small, tmp_path):
    _, before, said = run_small()
    assert said == []
    own_methods.Told.shown.clear()
    changed = write_store(tmp_path / "changed", *groups(patients=(5, 0, 2)))
    tasks = changed.tasks
    tasks.loc[tasks["dataset"] == "two", "fingerprint"] = "other data"
    _, after, said = run_small(store=changed)
    assert said == [f"{TASKS[1]}: the store has changed since it was run, so it was run again"]
    assert len(own_methods.Told.shown) == 4 * 3
    assert_same(after[after["dataset"] == "one"], before[before["dataset"] == "one"])
    assert set(after[after["dataset"] == "two"]["data"]) == {"other data"}
    assert_same(after, run_small(store=changed, out="anew")[1])


def test_rows_of_another_protocol_are_kept_and_not_mixed(run_small):
    _, before, _ = run_small()
    report, after, _ = run_small(suite=altered(threshold=0.4))
    assert {task for task, _ in report.failures} == set(TASKS)
    for _, reason in report.failures:
        assert "was made with another protocol" in reason
        assert "name another --out" in reason
    pd.testing.assert_frame_equal(after, before)


AT_WORK = """
import sys
from contextlib import contextmanager
from pathlib import Path

from benchmark.evaluation import run
from benchmark.suite import load_suite
from megamedical.building.workers import ThisProcess
from megamedical.reporting.progress import Silence
from megamedical.store.store import open_store


class Waiting(Silence):
    @contextmanager
    def stage(self, *_):
        print("at work", flush=True)
        sys.stdin.read()
        yield lambda *_: None


suite, store, out = sys.argv[1:]
run(load_suite(suite), open_store(store), "mean-mask", Path(out), ThisProcess(), Waiting())
"""


class TestTwoAtOnce:
    """The other run is a process of its own."""

    @pytest.fixture
    def other(self, store, tmp_path):
        path = tmp_path / "small.yaml"
        path.write_text(SUITE.model_dump_json())
        process = subprocess.Popen(
            [sys.executable, "-c", AT_WORK, path, store.location.absolute, tmp_path / "out"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout.readline() == "at work\n"
        yield process
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def test_the_second_is_refused_with_who_is_at_work_and_since_when(self, other, run_small):
        with pytest.raises(InUseError) as refused:
            run_small("mean-mask")
        said = refused.value.problem
        assert "is in use: running mean-mask on small, process" in said
        assert f"process {other.pid} of " in said
        assert ", since 2" in said

    @pytest.mark.usefixtures("other")
    def test_one_of_another_method_goes_on(self, run_small):
        assert run_small("nearest")[0].rows

    def test_the_run_of_a_dead_one_is_taken_over(self, other, run_small):
        other.kill()
        other.wait()
        assert run_small("mean-mask")[0].rows
