"""Verification: a good store passes, and each kind of damage is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import zarr
from miniatures import build_miniatures

from megamedical.errors import StoreError
from megamedical.files.checksums import sha256_of
from megamedical.store.attributes import (
    encode_attributes,
    group_node,
    read_attributes,
    store_fingerprint,
)
from megamedical.store.location import Location
from megamedical.store.tables import decode_table, encode_table
from megamedical.store.verification import verify

CELLS = "wbc/jtsc"


def with_table(store, name, change):
    """Write one of a store's tables anew, and finish the store with it."""
    path = store / "manifests" / f"{name}.parquet"
    path.write_bytes(encode_table(change(decode_table(path.read_bytes(), name))))
    said = read_attributes(Location(store))
    tables = {**said.tables, name: hashlib.sha256(path.read_bytes()).hexdigest()}
    (store / "zarr.json").write_bytes(encode_attributes(replace(said, tables=tables)))


def without_first(table):
    return table.slice(1)


def with_value(column, row, value):
    """Set one value of a column."""

    def change(table):
        values = table[column].to_pylist()
        values[row] = value
        number = table.schema.get_field_index(column)
        field = table.schema.field(number)
        return table.set_column(number, field, pa.array(values, field.type))

    return change


def rewritten(store, name, index, change):
    """Change one slice of the cells' images or masks."""
    array = zarr.open_group(store)[f"{CELLS}/{name}"]
    array[index] = change(array[index])
    seal(store)


def seal(store):
    """Let the checksums of the cells be those of their files, as if they had been written so."""
    path = store / CELLS / "zarr.json"
    node = json.loads(path.read_bytes())["attributes"]
    files = {name: sha256_of(store / CELLS / name) for name in node["files"]}
    path.write_bytes(group_node({**node, "files": files}))

    def sealed(table):
        row = table["group"].to_pylist().index("jtsc")
        return with_value("checksum", row, sha256_of(path))(table)

    with_table(store, "groups", sealed)


def test_a_good_store_passes(built):
    verdict = verify(built.store)
    assert verdict.problems == ()
    assert verdict.groups == len(built.report.groups)
    assert verdict.images == sum(outcome.images for outcome in built.report.groups)
    assert verdict.masks == sum(outcome.masks for outcome in built.report.groups)
    assert verdict.examples >= verdict.masks


def test_an_empty_store_passes(tmp_path):
    assert not build_miniatures("wbc", store=tmp_path / "store", mirror=None).is_complete
    verdict = verify(tmp_path / "store")
    assert (verdict.groups, verdict.examples, verdict.problems) == (0, 0, ())


class TestSlices:
    def test_a_mask_that_covers_something_else(self, store):
        rewritten(
            store, "masks", 3, lambda mask: np.where(np.indices(mask.shape)[0] < 8, 255, mask)
        )
        (problem,) = verify(store).problems
        assert problem.startswith(f"{CELLS}/masks[3]: covers 0.")

    @pytest.mark.parametrize("value", [1.5, -0.25, np.nan, np.inf])
    def test_an_image_out_of_range(self, store, value):
        def with_a_pixel(image):
            image[5, 6] = value
            return image

        rewritten(store, "images", 2, with_a_pixel)
        assert verify(store).problems == (f"{CELLS}/images[2]: not in [0, 1]",)

    @pytest.mark.parametrize("name", ["images", "masks"])
    def test_a_file_that_is_lost(self, store, name):
        (store / CELLS / name / "c" / "0" / "0" / "0").unlink()
        lost, *unread = verify(store).problems
        assert lost == f"{CELLS}/{name}/c/0/0/0 is missing"
        (problem,) = unread
        assert problem.startswith(f"{CELLS}/{name}[0] and what follows cannot be read: ")

    @pytest.mark.parametrize("name", ["images", "masks"])
    def test_a_file_that_is_cut_off(self, store, name):
        shard = store / CELLS / name / "c" / "0" / "0" / "0"
        shard.write_bytes(shard.read_bytes()[:-50])
        damaged, unread = verify(store).problems
        assert damaged == f"{CELLS}/{name}/c/0/0/0 is not as it was written"
        assert unread.startswith(f"{CELLS}/{name}[0] and what follows cannot be read: ")

    @pytest.mark.parametrize("lost", [CELLS, f"{CELLS}/masks"])
    def test_arrays_that_are_lost(self, store, lost):
        shutil.rmtree(store / lost)
        *missing, unread = verify(store).problems
        assert all(problem.endswith(" is missing") for problem in missing)
        assert missing[0].startswith(f"{lost}/")
        assert unread.startswith(f"{CELLS}: its arrays cannot be read: ")

    def test_arrays_of_another_shape(self, store):
        zarr.open_group(store)[f"{CELLS}/images"].resize((5, 16, 16))
        seal(store)
        (problem,) = verify(store).problems
        assert problem.startswith(f"{CELLS}: its arrays cannot be read: ")

    def test_arrays_of_another_size_than_the_store(self, store):
        said = read_attributes(Location(store))
        (store / "zarr.json").write_bytes(encode_attributes(replace(said, resolution=16)))
        expected = f"{CELLS}/images: float16 (5, 32, 32), expected float16 (n, 16, 16)"
        assert expected in verify(store).problems

    def test_slices_that_no_example_uses(self, store):
        zarr.open_group(store)[f"{CELLS}/images"].resize((6, 32, 32))
        seal(store)
        problems = verify(store).problems
        assert f"groups: {CELLS} has 5 images and 10 masks, its arrays 6 and 10" in problems
        assert f"{CELLS}: examples do not use each image of 6" in problems


class TestTables:
    @pytest.mark.parametrize("name", ["tasks", "examples", "subjects", "failures"])
    def test_one_that_is_lost(self, store, name):
        (store / "manifests" / f"{name}.parquet").unlink()
        with pytest.raises(StoreError, match=f"{name}.parquet is missing"):
            verify(store)

    def test_a_task_that_is_lost(self, store):
        with_table(store, "tasks", without_first)
        problems = verify(store).problems
        assert any("tasks and examples differ in acdc/" in problem for problem in problems)

    def test_a_group_that_is_lost(self, store):
        def without_cells(table):
            return table.filter(pc.not_equal(table["group"], "jtsc"))

        with_table(store, "tasks", without_cells)
        problems = verify(store).problems
        assert any("tasks and examples differ in wbc/jtsc/" in problem for problem in problems)

    def test_a_group_that_is_only_in_the_tables(self, store):
        said = read_attributes(Location(store))
        groups = {path: found for path, found in said.groups.items() if path != CELLS}
        changed = replace(said, groups=groups, fingerprint=store_fingerprint(groups))
        (store / "zarr.json").write_bytes(encode_attributes(changed))
        assert verify(store).problems == (
            f"tasks has groups that the store does not have: {CELLS}",
            "groups: they, or their fingerprints, are not those of zarr.json",
        )

    def test_an_example_that_is_lost(self, store):
        with_table(store, "examples", without_first)
        problems = verify(store).problems
        assert any("subjects are not those of examples" in problem for problem in problems)

    def test_every_example_of_a_split_that_is_lost(self, store):
        def without_test(table):
            return table.filter(pc.not_equal(table["split"], "test"))

        with_table(store, "examples", without_test)
        said = "tasks: the numbers of test subjects are not those of examples"
        assert said in verify(store).problems

    def test_a_subject_that_is_lost(self, store):
        with_table(store, "subjects", without_first)
        assert verify(store).problems == (
            "groups: acdc/challenge2017 has not 10 subjects, but 9",
            "examples: a subject is not in subjects, or in another split there",
        )

    @pytest.mark.parametrize(
        ("name", "said"),
        [("tasks", "tasks: an id comes twice"), ("subjects", "subjects: one comes twice")],
    )
    def test_a_row_that_comes_twice(self, store, name, said):
        with_table(store, name, lambda table: pa.concat_tables([table.slice(0, 1), table]))
        assert said in verify(store).problems

    def test_a_patient_in_two_splits(self, store):
        with_table(store, "subjects", with_value("split", 0, "another"))
        problems = verify(store).problems
        assert any(
            problem.startswith("acdc: patient patient001 is in several splits: ['another', '")
            for problem in problems
        )

    def test_an_example_that_points_to_another_mask(self, store):
        with_table(store, "examples", with_value("mask", -1, 0))
        assert f"{CELLS}: examples do not use each mask of 10" in verify(store).problems

    @pytest.mark.parametrize(("name", "row"), [("image", -1), ("mask", 0)])
    def test_an_example_that_points_beyond_its_array(self, store, name, row):
        for value in (-1, 1000):
            with_table(store, "examples", with_value(name, row, value))
            problems = verify(store).problems
            assert any(f"examples use {name}s that are not among its" in each for each in problems)

    def test_an_example_of_another_patient(self, store):
        with_table(store, "examples", with_value("patient", 0, "somebody"))
        assert verify(store).problems == ("examples: a subject has another patient in subjects",)

    def test_a_task_with_another_fingerprint(self, store):
        with_table(store, "tasks", with_value("fingerprint", 0, "0" * 64))
        (problem,) = verify(store).problems
        assert problem.startswith("tasks: the fingerprint of acdc/challenge2017/mri/axial/")

    def test_a_task_that_is_called_otherwise(self, store):
        with_table(store, "tasks", with_value("label", 0, "nose"))
        (problem,) = verify(store).problems
        assert problem.endswith(" is called otherwise than its columns say")

    def test_a_group_made_from_something_else(self, store):
        said = read_attributes(Location(store))
        groups = {**said.groups, CELLS: "0" * 64}
        changed = replace(said, groups=groups, fingerprint=store_fingerprint(groups))
        (store / "zarr.json").write_bytes(encode_attributes(changed))
        problems = verify(store).problems
        assert f"{CELLS}: it was made from something else than zarr.json says" in problems
        assert "groups: they, or their fingerprints, are not those of zarr.json" in problems
        assert sum("the fingerprint of wbc/jtsc/" in problem for problem in problems) == 2

    @pytest.mark.parametrize("row", [0, -1])
    def test_an_area_of_any_example_of_a_mask(self, store, row):
        with_table(store, "examples", with_value("area", row, 0.875))
        (problem,) = verify(store).problems
        assert problem.endswith("examples say 0.8750")

    def test_an_area_that_is_another(self, store):
        with_table(store, "examples", with_value("area", 0, 0.9))
        (problem,) = verify(store).problems
        assert problem.startswith("acdc/challenge2017/masks[")
        assert problem.endswith("examples say 0.9000")


def test_a_group_with_fewer_subjects_than_its_manifest_says_is_told(built):
    remarks = verify(built.store).remarks
    assert "wbc/jtsc: 5 subjects; its manifest says 300" in remarks
    assert not any(remark.startswith("synthetic/") for remark in remarks)


def test_each_group_is_told_to_a_listener(built):
    heard = []

    class Ledger:
        @contextmanager
        def stage(self, *what: object):
            heard.append(what)
            yield heard.append

    verify(built.store, Ledger())
    groups = [outcome.path for outcome in built.report.groups]
    assert heard == [("verify", len(groups), "groups"), *sorted(groups)]
