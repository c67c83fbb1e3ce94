"""What others read of a store: plain Zarr without a warning, Croissant with terms and limits."""

from __future__ import annotations

import json
import re
import warnings

import pytest
import zarr
from tiny_store import Discs, write_store

from megamedical import catalog, open_store, verify
from megamedical.store.location import Location
from megamedical.store.publishing import begin


def said(store) -> dict:
    return json.loads((store / "croissant.json").read_text(encoding="utf-8"))


class TestPlainZarr:
    def test_it_lists_a_store_without_a_warning(self, built):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            root = zarr.open_group(built.store, mode="r")
            names = {name for name, _ in root.members(max_depth=None)}
            assert "acdc" in str(root.tree())
        arrays = {name for name in names if name.endswith(("/images", "/masks"))}
        groups = open_store(built.store).attributes.groups
        assert arrays == {f"{group}/{part}" for group in groups for part in ("images", "masks")}

    def test_what_is_listed_is_what_is_there(self, built):
        root = zarr.open_group(built.store, mode="r")
        for group in open_store(built.store).attributes.groups:
            alone = zarr.open_group(built.store / group, mode="r")
            assert dict(root[group].attrs) == dict(alone.attrs)
            assert root[group]["images"].metadata == alone["images"].metadata

    def test_terms_stand_in_its_attributes(self, built):
        found = zarr.open_group(built.store, mode="r").attrs["datasets"]["acdc"]
        assert found["licence"] == catalog()["acdc"].licence.name
        assert found["citation"].startswith("@article{acdc,")


class TestCroissant:
    def test_it_is_valid(self, built):
        mlcroissant = pytest.importorskip("mlcroissant")
        dataset = mlcroissant.Dataset(built.store / "croissant.json")
        assert dataset.metadata.ctx.issues.errors == set()
        assert len(list(dataset.records("groups"))) == len(open_store(built.store).groups)

    def test_it_has_the_terms_of_each_dataset(self, built):
        datasets = set(open_store(built.store).tasks["dataset"])
        licences = [work["name"] for work in said(built.store)["license"]]
        assert {licence.partition(":")[0] for licence in licences} == datasets
        assert all(f"@article{{{name}," in said(built.store)["citeAs"] for name in datasets)

    def test_it_says_what_the_responsible_ai_part_asks_for(self, built):
        found = said(built.store)
        fields = "dataCollection dataBiases dataLimitations personalSensitiveInformation"
        assert all(found[f"rai:{field}"] for field in fields.split())

    def test_files_have_the_checksums_that_it_says(self, built):
        attributes = open_store(built.store).attributes
        files = {each["name"]: each.get("sha256") for each in said(built.store)["distribution"]}
        assert {f"{n}.parquet": s for n, s in attributes.tables.items()}.items() <= files.items()

    def test_a_store_of_one_more_group_says_so(self, tmp_path):
        store = tmp_path / "store"
        write_store(store, Discs("one"))
        write_store(store, Discs("two", labels=("disc", "ring")))
        assert re.search("one, two: 3 tasks", said(store)["description"])
        assert verify(store).problems == ()


class TestDamage:
    @pytest.fixture
    def small(self, tmp_path):
        write_store(tmp_path / "store", Discs("one"))
        return tmp_path / "store"

    def test_it_is_found(self, small):
        (small / "croissant.json").write_bytes(b"{}")
        assert verify(small).problems == ("croissant.json is not as it was written",)
        (small / "croissant.json").unlink()
        assert verify(small).problems == ("croissant.json is missing",)

    def test_the_next_build_mends_it(self, small):
        before = (small / "croissant.json").read_bytes()
        (small / "croissant.json").unlink()
        begin(Location(small), resolution=16, seed=0)
        assert (small / "croissant.json").read_bytes() == before
        assert verify(small).problems == ()
