"""What of a store is damaged or lost is made again by the next build, or named where it cannot."""

from __future__ import annotations

import os
import shutil

import pytest
from miniatures import build_miniatures, contents

from megamedical import build, open_store, verify
from megamedical.errors import StoreError
from megamedical.reporting.progress import Silence

UNSEEN = {"manifests/.lock"}  # nothing is in it


class Heard(Silence):
    def __init__(self) -> None:
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def build_drawn(folder, **options):
    return build(
        "synthetic",
        **{"store": folder / "store", "raw": folder / "raw", "tasks": 1, "subjects": 3}
        | {"resolution": 32, "workers_count": 0}
        | options,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    build_drawn(folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "copy")


def flipped(content):
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 8]) + content[middle + 1 :]


DAMAGE = {
    "a flipped bit": flipped,
    "cut off": lambda content: content[: len(content) // 2],
    "emptied": lambda content: content[:0],
    "longer": lambda content: content + b"\0",
    "lost": None,
}


def harm(path, how):
    if DAMAGE[how] is None:
        path.unlink()
    else:
        path.write_bytes(DAMAGE[how](path.read_bytes()))


FILES = (
    "zarr.json",
    "manifests/groups.parquet",
    "manifests/tasks.parquet",
    "manifests/examples.parquet",
    "manifests/subjects.parquet",
    "manifests/failures.parquet",
    "synthetic/zarr.json",
    "synthetic/{group}/zarr.json",
    "synthetic/{group}/images/zarr.json",
    "synthetic/{group}/images/c/0/0/0",
    "synthetic/{group}/masks/zarr.json",
    "synthetic/{group}/masks/c/0/0/0",
    "croissant.json",
)


def test_these_are_all_files_of_a_store(whole):
    groups = list(open_store(whole / "store").attributes.groups)
    names = {name.format(group=path.partition("/")[2]) for name in FILES for path in groups}
    assert set(contents(whole / "store")) - UNSEEN == names


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, "a flipped bit") for name in FILES),
        *((name, "lost") for name in FILES[6:]),
        *((name, how) for name in (FILES[0], FILES[2], FILES[9]) for how in list(DAMAGE)[1:]),
    ],
)
def test_whatever_file_is_damaged_the_same_build_mends_it(whole, folder, name, how):
    group = next(iter(open_store(whole / "store").attributes.groups)).partition("/")[2]
    harm(folder / "store" / name.format(group=group), how)
    heard = Heard()
    report = build_drawn(folder, listener=heard)
    assert report.is_complete
    assert contents(folder / "store") == contents(whole / "store")
    is_derived = name == "croissant.json"  # from the tables, and written without a word
    assert is_derived or any("made anew" in line for line in heard.lines)
    assert all(group.was_there for group in build_drawn(folder).groups)


def test_a_lost_root_is_not_taken_for_no_store(whole, folder):
    (folder / "store" / "zarr.json").unlink()
    with pytest.raises(StoreError, match=r"zarr\.json is missing"):
        open_store(folder / "store")
    with pytest.raises(StoreError, match=r"has synthetic/.* too"):
        build("wbc", store=folder / "store", resolution=32, offline=True, workers_count=0)
    assert not (folder / "store" / "zarr.json").exists()


def test_what_no_size_or_time_tells_is_mended_where_it_is_asked_for(whole, folder):
    path = next((folder / "store" / "synthetic").rglob("masks/c/0/0/0"))
    before = path.stat()
    build_drawn(folder)  # sees the copy for the first time
    harm(path, "a flipped bit")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert all(group.was_there for group in build_drawn(folder).groups)
    assert verify(folder / "store").problems
    made = [group.path for group in build_drawn(folder, mend=True).groups if not group.was_there]
    assert made == ["/".join(path.parts[-7:-5])]
    assert contents(folder / "store") == contents(whole / "store")


class TestGroupsThatWereNotAskedFor:
    @pytest.fixture
    def store(self, mirror, tmp_path):
        build_miniatures("wbc/cv", "wbc/jtsc", store=tmp_path / "store", mirror=mirror)
        return tmp_path / "store"

    def build(self, store, mirror, *names: str, **options):
        return build_miniatures(*names, store=store, mirror=mirror, **options)

    @pytest.mark.parametrize("name", ["zarr.json", "manifests/subjects.parquet"])
    def test_are_named_and_nothing_is_touched(self, store, mirror, name):
        harm(store / name, "cut off")
        before = contents(store)
        with pytest.raises(StoreError, match="and has wbc/jtsc too") as refused:
            self.build(store, mirror, "wbc/cv")
        assert name in refused.value.problem
        assert contents(store) == before

    def test_of_which_an_archive_is_missing_are_named_with_the_archive(
        self, store, mirror, tmp_path
    ):
        whole = contents(store)
        harm(store / "manifests/groups.parquet", "lost")
        before = contents(store)
        shutil.rmtree(store.parent / "raw")
        (tmp_path / "nothing").mkdir()
        with pytest.raises(StoreError, match=r"segmentation_WBC-master\.zip of wbc is not here"):
            self.build(store, tmp_path / "nothing", "wbc", offline=True)
        assert contents(store) == before
        self.build(store, mirror, "wbc")
        assert contents(store) == whole

    def test_are_read_and_named_by_mend(self, store, mirror):
        harm(store / "wbc/jtsc/images/c/0/0/0", "a flipped bit")
        assert self.build(store, mirror, "wbc/cv").is_complete
        (missing,) = self.build(store, mirror, "wbc/cv", mend=True).missing
        assert missing.what == "wbc/jtsc/images/c/0/0/0 is not as it was written"
        assert "megamedical build wbc/jtsc --mend" in missing.remedy


def test_another_seed_does_not_mend_a_store(whole, folder):
    harm(folder / "store/manifests/tasks.parquet", "lost")
    with pytest.raises(StoreError, match="has seed 0, not 1"):
        build_drawn(folder, seed=1)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match="is not a MegaMedical store"):
        build_drawn(tmp_path)
    assert (tmp_path / "store" / "zarr.json").read_text() == "{}"
