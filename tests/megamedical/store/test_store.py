"""A store: opened with its tables and slices, or refused with what to do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
import zarr
from miniatures import RESOLUTION, build_miniatures, contents

from megamedical import open_store
from megamedical.errors import StoreError
from megamedical.store.attributes import encode_attributes, read_attributes
from megamedical.store.location import Location
from megamedical.store.publishing import LOCK
from megamedical.store.verification import verify


@pytest.fixture(scope="module")
def opened(built):
    return open_store(built.store)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return tmp_path_factory.mktemp("raw")


@pytest.fixture(scope="module")
def url(mirror, raw):
    """A store that lies in memory, as it might in a bucket."""
    url = "memory://megamedical/store"
    for name in ("stare", "wbc"):
        build_miniatures(name, store=url, raw=raw, mirror=mirror)
    yield url
    fsspec.filesystem("memory").rm("/megamedical", recursive=True)


def with_attributes(store, **changes):
    """Write the root of a store anew, as if all of it were so."""
    said = read_attributes(Location(store))
    (store / "zarr.json").write_bytes(encode_attributes(replace(said, **changes)))


class TestAnOpenStore:
    def test_has_its_tables_as_data_frames(self, opened):
        assert isinstance(opened.tasks, pd.DataFrame)
        assert {len(opened.tasks), len(opened.examples), len(opened.subjects)}.isdisjoint({0})
        assert opened.failures.empty
        assert opened.resolution == RESOLUTION

    @pytest.mark.parametrize(
        ("name", "keys"),
        [
            ("tasks", ["task"]),
            ("examples", ["task", "subject"]),
            ("subjects", ["dataset", "group", "subject"]),
        ],
    )
    def test_has_its_rows_in_order(self, opened, name, keys):
        rows = getattr(opened, name)[keys].apply(tuple, axis=1)
        assert rows.is_unique
        assert rows.is_monotonic_increasing

    def test_reads_an_example(self, opened):
        example = opened.examples.iloc[-1]
        image, mask = opened.read(example["task"], example["subject"])
        images, masks = opened.arrays("wbc/jtsc")
        for plane in (image, mask):
            assert plane.shape == (RESOLUTION, RESOLUTION)
            assert plane.dtype == np.float32
            assert plane.min() >= 0
            assert plane.max() <= 1
        assert np.array_equal(image, images[example["image"]].astype(np.float32))
        assert np.array_equal(mask, masks[example["mask"]] / np.float32(255))

    def test_says_which_example_it_does_not_have(self, opened):
        with pytest.raises(StoreError, match="no subject nobody in wbc/jtsc"):
            opened.read("wbc/jtsc/microscopy/2d/mid/nucleus", "nobody")


class TestWhatIsNoStore:
    def test_is_nothing_at_all(self, tmp_path):
        with pytest.raises(StoreError, match="There is no store") as error:
            open_store(tmp_path / "nothing")
        assert "megamedical build" in error.value.remedy

    def test_is_a_group_of_somebody_else(self, mirror, tmp_path):
        zarr.create_group(tmp_path / "store", attributes={"made by": "somebody else"})
        before = contents(tmp_path / "store")
        for attempt in (
            open_store,
            lambda path: build_miniatures("wbc", store=path, mirror=mirror),
        ):
            with pytest.raises(StoreError, match="not a MegaMedical store"):
                attempt(tmp_path / "store")
        assert contents(tmp_path / "store") == before

    def test_is_an_array(self, tmp_path):
        zarr.create_array(tmp_path / "store", shape=(3,), dtype="u1")
        with pytest.raises(StoreError, match="not a MegaMedical store"):
            open_store(tmp_path / "store")

    def test_is_one_of_another_format(self, mirror, store):
        with_attributes(store, format=99)
        for attempt in (
            open_store,
            lambda path: build_miniatures("wbc", store=path, mirror=mirror),
        ):
            with pytest.raises(StoreError, match="has format 99, this version reads 1 and 2"):
                attempt(store)

    @pytest.mark.parametrize("name", ["groups", "tasks", "examples", "subjects", "failures"])
    def test_lacks_a_table(self, store, name):
        (store / "manifests" / f"{name}.parquet").unlink()
        with pytest.raises(StoreError, match=f"{name}.parquet is missing"):
            open_store(store)

    def test_has_a_damaged_table(self, store):
        table = store / "manifests" / "examples.parquet"
        table.write_bytes(table.read_bytes()[:-1])
        with pytest.raises(StoreError, match=r"examples\.parquet is not the one") as error:
            open_store(store)
        assert "it is made anew" in error.value.remedy

    def test_has_a_table_with_other_columns(self, store):
        path = store / "manifests" / "tasks.parquet"
        pd.read_parquet(path).drop(columns="role").to_parquet(path)
        tables = read_attributes(Location(store)).tables
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        with_attributes(store, tables={**tables, "tasks": sha256})
        with pytest.raises(StoreError, match="other columns than this version"):
            open_store(store).tasks  # noqa: B018

    def test_has_a_damaged_root(self, store):
        (store / "zarr.json").write_text("{")
        with pytest.raises(StoreError, match="not a MegaMedical store"):
            open_store(store)


class TestAStoreElsewhere:
    @pytest.mark.usefixtures("url")
    def test_holds_what_it_holds_on_a_disk(self, mirror, tmp_path):
        build_miniatures("stare", "wbc", store=tmp_path / "store", mirror=mirror)
        files = fsspec.filesystem("memory")
        found = {
            path.removeprefix("/megamedical/store/"): hashlib.sha256(files.cat(path)).hexdigest()
            for path in files.find("/megamedical/store")
        }
        on_disk = contents(tmp_path / "store")
        assert found == {name: content for name, content in on_disk.items() if name != LOCK}

    def test_is_opened_with_zarr_and_pandas_alone(self, url):
        images = zarr.open_array(f"{url}/wbc/jtsc/images", mode="r")
        assert images.shape == (5, RESOLUTION, RESOLUTION)
        tasks = pd.read_parquet(f"{url}/manifests/tasks.parquet")
        assert set(tasks["dataset"]) == {"stare", "wbc"}

    def test_is_opened_and_verified(self, url):
        opened = open_store(url)
        image, _ = opened.read("wbc/jtsc/microscopy/2d/mid/nucleus", "001")
        assert image.max() > 0
        assert verify(url).problems == ()

    def test_is_not_built_twice(self, url, mirror, raw):
        report = build_miniatures("stare", store=url, raw=raw, mirror=mirror)
        assert all(outcome.was_there for outcome in report.groups)

    def test_has_no_folder(self, url):
        assert Location(url).folder is None
        assert Location(url).absolute == url


class TestALocation:
    @pytest.fixture(params=["disk", "memory"])
    def location(self, request, tmp_path):
        if request.param == "disk":
            yield Location(tmp_path / "root")
            return
        yield Location("memory://location")
        fsspec.filesystem("memory").rm("/location", recursive=True)

    def test_writes_reads_moves_and_removes(self, location):
        location.write("a/b.txt", b"new")
        location.write("b.txt", b"old")
        assert location.exists("a/b.txt")
        location.move("a/b.txt", "b.txt")
        assert location.read("b.txt") == b"new"
        assert not location.exists("a/b.txt")
        location.move("a/b.txt", "b.txt")  # done already
        assert location.read("b.txt") == b"new"
        location.write("a/c/d.txt", b"")
        location.remove("a")
        location.remove("a")
        assert not location.exists("a/c/d.txt")

    def test_writes_whole_files_or_none(self, tmp_path, monkeypatch):
        location = Location(tmp_path)
        location.write("table", b"before")

        def interrupted(path, content):
            path.open("wb").write(content[:2])
            raise KeyboardInterrupt

        monkeypatch.setattr(Path, "write_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            location.write("table", b"after")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"table": b"before"}
