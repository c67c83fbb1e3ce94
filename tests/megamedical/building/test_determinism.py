"""The same inputs give the same bytes: with any number of workers, and after any interruption.

Builds are cut off in a process of their own, which ends itself with SIGKILL at a chosen place:
nothing gets to clean up, and what was being written is left half-written.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from miniatures import EVERYTHING, build_miniatures, contents
from other_builds import at_once, changed, cut_off

from megamedical import open_store
from megamedical.building import build as pipeline
from megamedical.building import group_job as packing
from megamedical.building import packed_before
from megamedical.building import subject_job as processing
from megamedical.building.leftovers import at_work_in
from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from megamedical.store import array_writer, publishing
from megamedical.store.location import Location
from megamedical.store.verification import verify

FEW = ("msd", "stare", "wbc")


@pytest.fixture(scope="module")
def few(mirror, tmp_path_factory) -> dict[str, str]:
    """What a store with fewer datasets must hold, for what needs no more of them."""
    store = tmp_path_factory.mktemp("few") / "store"
    build_miniatures(*FEW, store=store, mirror=mirror)
    return contents(store)


@pytest.fixture
def processed(monkeypatch) -> list[str]:
    """The subjects whose files are read."""
    read, subjects = processing.read_subject, []

    def spy(job):
        subjects.append(f"{job.dataset}/{job.group_name} {job.subject.name}")
        return read(job)

    monkeypatch.setattr(processing, "read_subject", spy)
    return subjects


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.long)])
def test_any_number_of_workers_gives_the_same_bytes(mirror, built, tmp_path, count):
    store = tmp_path / "store"
    report = build_miniatures(store=store, mirror=mirror, workers_count=count)
    assert report.fingerprint == built.report.fingerprint
    assert report.groups == built.report.groups
    assert contents(store) == contents(built.store)


def test_another_place_gives_the_same_bytes(mirror, built, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").symlink_to(mirror)
    build_miniatures(store="a store", raw="another raw", mirror=Path("mirror"))
    assert contents(tmp_path / "a store") == contents(built.store)


@pytest.mark.parametrize(
    ("place", "count", "done"),
    [
        ("process", 10, 10),
        ("record", 10, 9),
        ("pack", 2, 22),
        ("arrays", 5, 22),
        ("table", 2, 0),  # of the empty store
        ("table", 6, 0),  # what says that they are ready
        ("table", 10, 22),
        ("table", 15, 22),
        ("table", 16, 22),
    ],
)
def test_a_killed_build_is_taken_up_again(mirror, few, tmp_path, processed, place, count, done):
    """Cut off between records, in a record, between and in groups, in each writing of tables."""
    store = tmp_path / "store"
    cut_off(*FEW, store=store, mirror=mirror, place=place, count=count)

    build_miniatures(*FEW, store=store, mirror=mirror)

    assert len(processed) == 22 - done
    assert contents(store) == few


def test_a_killed_build_with_workers_is_taken_up_again(mirror, built, tmp_path):
    store = tmp_path / "store"
    cut_off(store=store, mirror=mirror, place="process", count=12, workers=2)
    assert len(list((tmp_path / "raw").glob("*/staged/*/*/*.npz"))) >= 12

    build_miniatures(store=store, mirror=mirror)

    assert contents(store) == contents(built.store)


@pytest.mark.parametrize("steps", [0, 8, 12, 16, 20, 23, 25, 26])
def test_a_store_is_the_old_or_the_new_one_wherever_a_build_is_cut_off(
    mirror, few, tmp_path, monkeypatch, steps
):
    """Cut off before so many of the steps that change the store, with a rewritten group in it."""
    store = tmp_path / "store"
    build_miniatures("wbc", "stare", store=store, mirror=mirror)
    (tmp_path / "raw" / "wbc" / "staged" / "32" / "jtsc" / "packed.json").unlink()
    before = open_store(store)
    with monkeypatch.context() as patched:
        is_cut_off = fail_after(patched, steps)
        with suppress(RuntimeError, MegaMedicalError):
            build_miniatures("wbc", "msd", store=store, mirror=mirror)
    found = open_store(store)
    assert set(found.tasks["dataset"]) in ({"stare", "wbc"}, {"msd", "stare", "wbc"})
    for row in found.examples.itertuples():
        found.read(row.task, row.subject)
    for row in before.examples.itertuples():  # what was opened before reads on
        before.read(row.task, row.subject)

    build_miniatures(*FEW, store=store, mirror=mirror)

    assert contents(store) == few
    assert bool(is_cut_off) == (steps < 26)


def fail_after(monkeypatch, steps: int) -> list[str]:
    """Let the changes that a build makes to a store end with an error after so many of them.

    What is returned gets an entry when that happens.
    """
    taken, cut_off = [], []

    def counted(step):
        def count(self, *arguments: object):
            taken.append(step)
            if len(taken) > steps:
                cut_off.append(step)
                raise RuntimeError("cut off")
            return step(self, *arguments)

        return count

    for name in ("write", "move", "replace", "remove"):
        monkeypatch.setattr(Location, name, counted(getattr(Location, name)))
    return cut_off


class TestAFullDisk:
    """Writing fails at a chosen place; the error says where, and a later build is not misled."""

    def test_while_records_are_staged(self, mirror, few, tmp_path, monkeypatch):
        store = tmp_path / "store"
        with monkeypatch.context() as patched:
            patched.setattr(np, "savez", self.full(np.savez, after=9))
            with pytest.raises(MegaMedicalError, match="No space left in") as error:
                build_miniatures(*FEW, store=store, mirror=mirror)
        assert f"{tmp_path}/raw/" in error.value.problem
        assert "staged" in error.value.problem
        self.assert_a_later_build_is_whole(store, mirror, few)

    @pytest.mark.parametrize("after", [0, 5])
    def test_while_arrays_are_packed(self, mirror, few, tmp_path, monkeypatch, after):
        store = tmp_path / "store"
        with monkeypatch.context() as patched:
            write = self.full(array_writer.Appender._write, after)
            patched.setattr(array_writer.Appender, "_write", write)
            with pytest.raises(MegaMedicalError, match=f"No space left in {store}"):
                build_miniatures(*FEW, store=store, mirror=mirror)
        self.assert_a_later_build_is_whole(store, mirror, few)

    @pytest.mark.parametrize("after", [0, 6, 12, 18])
    def test_while_the_stores_tables_are_written(self, mirror, few, tmp_path, monkeypatch, after):
        store = tmp_path / "store"
        with monkeypatch.context() as patched:
            patched.setattr(Location, "write", self.full(Location.write, after))
            (tmp_path / "store").mkdir()
            with pytest.raises(MegaMedicalError, match=f"No space left in {store}"):
                build_miniatures(*FEW, store=store, mirror=mirror)
        self.assert_a_later_build_is_whole(store, mirror, few)

    def test_while_rows_are_written_beside_the_records(self, mirror, few, tmp_path, monkeypatch):
        store = tmp_path / "store"
        with monkeypatch.context() as patched:
            patched.setattr(packing, "encode_table", self.full(packing.encode_table, after=4))
            with pytest.raises(MegaMedicalError, match="No space left in") as error:
                build_miniatures(*FEW, store=store, mirror=mirror)
        assert f"{tmp_path}/raw/" in error.value.problem
        self.assert_a_later_build_is_whole(store, mirror, few)

    def test_while_what_was_packed_is_noted(self, mirror, few, tmp_path, monkeypatch):
        store = tmp_path / "store"
        with monkeypatch.context() as patched:
            patched.setattr(packed_before, "whole_file", self.full(whole_file, after=2))
            with pytest.raises(MegaMedicalError, match="No space left in") as error:
                build_miniatures(*FEW, store=store, mirror=mirror)
        assert f"{tmp_path}/raw/" in error.value.problem
        self.assert_a_later_build_is_whole(store, mirror, few)

    @staticmethod
    def full(write: Callable, after: int) -> Callable:
        """What writes so often, and then finds the disk full."""
        written = []

        def until_full(*arguments: object, **options: object):
            written.append(write)
            if len(written) > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(*arguments, **options)

        return until_full

    @staticmethod
    def assert_a_later_build_is_whole(store: Path, mirror: Path, few: dict[str, str]) -> None:
        build_miniatures(*FEW, store=store, mirror=mirror)
        assert contents(store) == few
        assert not verify(store).problems


def flip_a_bit(path: Path) -> None:
    """In the middle, which is that of an image."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 8
    path.write_bytes(content)


@pytest.mark.parametrize("memory", ["{", "{}", "[1]", '{"inputs": 1, "outcome": []}', "\0"])
def test_a_record_that_is_damaged_is_made_again(mirror, built, tmp_path, processed, memory):
    store = tmp_path / "store"
    build_miniatures("wbc", "stare", store=store, mirror=mirror)
    whole = contents(store)
    records = sorted((tmp_path / "raw").glob("wbc/staged/*/jtsc/*.npz"))
    records[0].write_bytes(records[0].read_bytes()[:-100])
    records[1].write_bytes(b"")
    records[2].write_bytes(b"no record")
    flip_a_bit(records[3])
    (tmp_path / "raw" / "wbc" / "staged" / "32" / "jtsc" / "packed.json").write_text(memory)
    processed.clear()

    build_miniatures("wbc", "stare", store=store, mirror=mirror)

    assert processed == ["wbc/jtsc 001", "wbc/jtsc 002", "wbc/jtsc 003", "wbc/jtsc 004"]
    assert contents(store) == whole


def test_a_memory_of_what_was_packed_that_is_changed_is_not_believed(mirror, tmp_path):
    store = tmp_path / "store"
    first = build_miniatures("stare/vk", store=store, mirror=mirror)
    (memory,) = (tmp_path / "raw").glob("stare/staged/*/vk/packed.json")
    memory.write_text(memory.read_text().replace('"subjects": 4', '"subjects": 5'))
    (again,) = build_miniatures("stare/vk", store=store, mirror=mirror).groups
    assert again == first.groups[0]


class TestARecordThatIsDamagedBeforeItIsPacked:
    def test_is_made_again_within_the_build(self, mirror, few, tmp_path, monkeypatch, processed):
        flip, packed = iter([flip_a_bit, Path.unlink]), []

        def damaging(job):
            packed.append(job.name)
            if job.name == "jtsc" and (damage := next(flip, None)):
                damage(job.records["002"].path)
            return packing.pack(job)

        monkeypatch.setattr(pipeline, "pack", damaging)
        store = tmp_path / "store"
        report = build_miniatures(*FEW, store=store, mirror=mirror)
        assert report.is_complete
        assert packed.count("jtsc") == 3
        assert processed.count("wbc/jtsc 002") == 3
        assert len(packed) == 7
        assert contents(store) == few

    def test_again_and_again_stops_the_build_in_words(self, mirror, few, tmp_path, monkeypatch):
        def damaging(job):
            flip_a_bit(job.records["im0001"].path)
            return packing.pack(job)

        store = tmp_path / "store"
        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "pack", damaging)
            with pytest.raises(MegaMedicalError, match="read back as something else") as error:
                build_miniatures("stare/vk", store=store, mirror=mirror)
        assert "stare/vk" in error.value.problem
        build_miniatures(*FEW, store=store, mirror=mirror)
        assert contents(store) == few


class TestBuildsOfOneFolder:
    """Several processes at once, which share the archives and what is staged of them."""

    @pytest.mark.long
    def test_give_each_the_store_that_it_gives_alone(self, mirror, few, tmp_path):
        """Of another seed, resolution, another label and role: no two of them want the same."""
        options = [
            {},
            {"seed": 1},
            {"resolution": 16},
            {"manifests": "labels"},
            {"manifests": "role"},
        ]
        alone = [few]
        for number, other in enumerate(options[1:]):
            store = tmp_path / f"alone{number}" / "store"
            build_miniatures(*FEW, store=store, mirror=mirror, **changed(other))
            alone.append(contents(store))
        build_miniatures(*FEW, store=tmp_path / "first", mirror=mirror, resolution=8)  # unpacks
        stores = [tmp_path / str(number) for number in range(len(options))]
        builds = list(zip(stores, options, strict=True))
        assert at_once(builds, *FEW, mirror=mirror, raw=tmp_path / "raw") == [0] * len(options)
        assert [contents(store) for store in stores] == alone
        assert len({found["zarr.json"] for found in alone}) == len(options)

    def test_leave_nothing_unfinished(self, mirror, few, tmp_path):
        staged = tmp_path / "raw" / "wbc" / "staged" / "32" / "jtsc"
        cut_off(*FEW, store=tmp_path / "store", mirror=mirror, place="record", count=10)
        assert list((tmp_path / "raw").rglob("*.unfinished"))
        tables = staged / ".tables.0123.unfinished"
        with at_work_in(tmp_path / "raw", []):  # as another build is
            tables.mkdir(parents=True)
            build_miniatures(*FEW, store=tmp_path / "store", mirror=mirror)
            assert tables.exists()
            os.utime(tables, (0, 0))
            build_miniatures(*FEW, store=tmp_path / "store", mirror=mirror)
            assert not tables.exists()
        build_miniatures(*FEW, store=tmp_path / "store", mirror=mirror)
        assert not list((tmp_path / "raw").rglob("*.unfinished"))
        assert contents(tmp_path / "store") == few


def test_an_interrupted_build_leaves_a_store_without_the_group(mirror, tmp_path, monkeypatch):
    """What is not in the tables is not in the store, even if some of its arrays are."""
    store = tmp_path / "store"
    build_miniatures("stare", store=store, mirror=mirror)

    def interrupted(*arguments: object, **options: object):
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing.Turn, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_miniatures("wbc", store=store, mirror=mirror)
    assert set(open_store(store).tasks["dataset"]) == {"stare"}
    assert not verify(store).problems


def test_everything_is_what_is_compared(built):
    """The stores compared above hold every miniature, and the synthetic tasks."""
    assert {outcome.path.split("/")[0] for outcome in built.report.groups} == set(EVERYTHING)
