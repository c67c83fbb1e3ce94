"""Several at once: builds that write into one store, and readers beside them, as real processes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from miniatures import build_miniatures, contents
from places import FIXTURES, ROOT
from tiny_store import Discs, write_store

from megamedical import open_store
from megamedical.errors import StoreError
from megamedical.store.location import Location
from megamedical.store.publishing import LOCK, turn
from megamedical.store.verification import verify

WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tiny_store import Discs, write_store

for number in range(int(sys.argv[4])):
    write_store(Path(sys.argv[2]), Discs(sys.argv[3], patients=(4 + number % 3, 2, 1)))
"""

BUILDER = """
import sys
sys.path.insert(0, sys.argv[1])
from miniatures import build_miniatures

if __name__ == "__main__":
    store, raw, mirror, *names = sys.argv[2:]
    build_miniatures(*names, store=store, raw=raw, mirror=mirror)
"""


def started(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, FIXTURES, *arguments]
    return subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, cwd=ROOT)


def ended(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("written", ["added", "first"])
def test_a_reader_beside_a_build_sees_the_old_store_or_the_new_one(tmp_path, written):
    """The build adds a group, or rewrites the one that is read, time and again."""
    store = tmp_path / "store"
    write_store(store, Discs("first"))
    process = started(WRITER, store, written, 12)
    reads = 0
    while process.poll() is None or not reads:
        opened = open_store(store)
        example = opened.examples.iloc[reads % 14]  # each writing has these subjects
        image, _ = opened.read(example["task"], example["subject"])
        assert image.max() > 0.5
        reads += 1
    ended(process)
    assert verify(store).problems == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(["wbc"], ["stare"], marks=pytest.mark.long),
        (["wbc", "stare"], ["wbc", "stare"]),
    ],
)
def test_two_builds_into_one_store_give_what_one_gives(mirror, tmp_path, first, second):
    """Of other groups, and of the same; each has a folder of its own for what it unpacks."""
    build_miniatures("wbc", "stare", store=tmp_path / "alone", mirror=mirror)
    store = tmp_path / "store"
    both = [
        started(BUILDER, store, tmp_path / f"raw{number}", mirror, *names)
        for number, names in enumerate((first, second))
    ]
    for process in both:
        ended(process)
    assert contents(store) == contents(tmp_path / "alone")


def test_who_waits_for_its_turn_is_told_for_whom(tmp_path):
    """And it finds the store as the other has left it."""
    script = """
import sys
from megamedical.store.location import Location
from megamedical.store.publishing import turn

with turn(Location(sys.argv[2]), doing="building stare", tell=print) as found:
    print(*found.attributes.groups, flush=True)
"""
    store = tmp_path / "store"
    write_store(store)
    with turn(Location(store), doing="building wbc"):
        command = [sys.executable, "-c", script, FIXTURES, store]
        waiting = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, cwd=ROOT)
        assert waiting.stdout
        line = waiting.stdout.readline().decode()
    assert line.startswith(f"waiting for the store at {store}: building wbc, process ")
    assert waiting.wait() == 0


class TestAStoreThatWasOpenedBefore:
    @pytest.fixture
    def opened(self, tmp_path):
        store = write_store(tmp_path / "store", Discs("one"), Discs("two"))
        write_store(tmp_path / "store", Discs("one", patients=(5, 2, 1)))
        return store

    def test_keeps_its_tables(self, opened):
        assert len(opened.subjects) == 28
        assert len(open_store(opened.location.absolute).subjects) == 30

    def test_reads_on_where_it_had_begun(self, tmp_path):
        store = write_store(tmp_path / "store", Discs("one"))
        images, _ = store.slices("one/discs")
        known = images.read(range(14))
        write_store(tmp_path / "store", Discs("one", patients=(5, 2, 1)))
        assert (images.read(range(14)) == known).all()

    def test_never_takes_slices_of_the_new_for_those_of_the_old(self, opened):
        with pytest.raises(StoreError, match="is not what it was when the store was opened") as why:
            opened.slices("one/discs")
        assert "Open the store again" in why.value.remedy

    def test_reads_an_example_as_it_now_is(self, opened):
        task = "one/discs/mri/axial/mid/disc"
        now = open_store(opened.location.absolute)
        image, _ = opened.read(task, "000-0")
        assert (image == now.read(task, "000-0")[0]).all()

    def test_reads_what_nobody_touched(self, opened):
        images, _ = opened.slices("two/discs")
        assert len(images) == 14


def test_what_a_build_that_was_cut_off_has_left_goes(tmp_path):
    write_store(tmp_path / "store", Discs("one"))
    whole = contents(tmp_path / "store")
    left = tmp_path / "store" / "manifests/.next/0123/one/discs/images/c/0/0/0"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert verify(tmp_path / "store").problems == ()
    with turn(Location(tmp_path / "store"), doing="nothing"):
        pass
    assert contents(tmp_path / "store") == whole
    assert LOCK in whole


def test_a_reader_names_a_damaged_table(tmp_path):
    write_store(tmp_path / "store", Discs("one"))
    path = tmp_path / "store" / "manifests/tasks.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StoreError, match=r"tasks\.parquet is not the one"):
        open_store(tmp_path / "store")


def test_the_measurement_of_scale_runs(capsys):
    main = runpy.run_path(str(Path(ROOT) / "performance" / "scale.py"))["main"]
    main(20)
    assert "60 images, 120 masks, 120 examples, 0 problems" in capsys.readouterr().out
