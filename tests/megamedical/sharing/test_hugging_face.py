"""What is exported for Hugging Face: readable there, with its terms; what may not go is named."""

from __future__ import annotations

import io
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from tiny_store import Discs, write_store

from megamedical.errors import MegaMedicalError, SelectionError
from megamedical.sharing.hugging_face import export
from megamedical.store.describing.provenance import Provenance

FREE = Provenance("Free <discs>", "CC-BY-4.0", True, True, "https://free.test", "@article{one,\n}")
TERMS = {
    "one": FREE,
    "two": Provenance("Bound discs", "research only", False, False),
    "three": Provenance("Discs of which nobody speaks"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "store"
    return write_store(folder, Discs("one"), Discs("two"), Discs("three"), Discs("four"))


def rows(folder, split="train"):
    tables = [pq.read_table(path) for path in sorted((folder / "one").glob(f"{split}-*"))]
    return [row for table in tables for row in table.to_pylist()]


def test_what_is_written_is_what_the_store_has(store, tmp_path):
    export(store, tmp_path / "hf", TERMS, ["one"])
    found = rows(tmp_path / "hf")
    assert len(found) == 8
    for row in found:
        image, mask = store.read(row["task"], row["subject"])
        pixels = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
        np.testing.assert_allclose(pixels / 65535, image, atol=1 / 65535)
        covered = np.asarray(Image.open(io.BytesIO(row["mask"]["bytes"])))
        np.testing.assert_allclose(covered / 255, mask, atol=1e-6)
        assert (row["dataset"], row["modality"], row["label"]) == ("one", "mri", "disc")


def test_the_library_of_hugging_face_reads_it(store, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    export(store, tmp_path / "hf", TERMS, ["one"])
    for name in ("default", "one"):
        loaded = datasets.load_dataset(str(tmp_path / "hf"), name, cache_dir=tmp_path / "cache")
        assert {split: len(own) for split, own in loaded.items()} == {
            "train": 8,
            "dev": 4,
            "test": 2,
        }
    assert loaded["test"][0]["image"].size == (16, 16)


class TestTerms:
    def test_what_may_not_go_is_left_out_and_named(self, store, tmp_path):
        exported = export(store, tmp_path / "hf", TERMS)
        assert exported.datasets == ("one",)
        assert sorted(reason.partition(" ")[0] for reason in exported.refused) == [
            "four",
            "three",
            "two",
        ]
        assert [path.name for path in (tmp_path / "hf").iterdir() if path.is_dir()] == ["one"]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("two", "forbid"), ("three", "do not say"), ("four", "not known")],
    )
    def test_asked_for_by_name_it_is_refused(self, store, tmp_path, name, reason):
        with pytest.raises(SelectionError, match=f"{name} may not be passed on: .*{reason}"):
            export(store, tmp_path / "hf", TERMS, ["one", name])
        assert not (tmp_path / "hf").exists()

    def test_the_card_has_them(self, store, tmp_path):
        export(store, tmp_path / "hf", TERMS)
        _, head, text = (tmp_path / "hf/README.md").read_text().split("---\n", 2)
        said = yaml.safe_load(head)
        assert said["license"] == "cc-by-4.0"
        assert [config["config_name"] for config in said["configs"]] == ["default", "one"]
        assert "| one | CC-BY-4.0 | yes | https://free.test |" in text
        assert "@article{one," in text
        assert "| one/discs/mri/axial/mid/disc | 8 | 4 | 2 |" in text


class TestWhole:
    def test_a_folder_with_something_in_it_is_left_alone(self, store, tmp_path):
        (tmp_path / "mine").write_text("mine")
        with pytest.raises(MegaMedicalError, match="not empty"):
            export(store, tmp_path, TERMS)
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]

    def test_what_is_broken_off_leaves_nothing(self, tmp_path):
        broken = write_store(tmp_path / "store", Discs("one"))
        (tmp_path / "store/one/discs/masks/c/0/0/0").unlink()
        with pytest.raises(MegaMedicalError):
            export(broken, tmp_path / "hf", TERMS)
        assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_the_command_says_what_is_left_out(megamedical, built, tmp_path):
    done = megamedical("export", "--hf", tmp_path / "hf", built.store)
    assert done.exit_code == 3
    assert "may not be passed on" in done.output
    assert (tmp_path / "hf/README.md").exists()
    refused = megamedical("export", "--hf", tmp_path / "again", built.store, "stare")
    assert refused.exit_code == 1
    assert "stare may not be passed on" in refused.output
