"""Slices that miss their label are counted and told, from the check of a manifest to the store."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pyarrow as pa
import pytest
import yaml

from megamedical import open_store
from megamedical.store.tables import TASKS, decode_table, encode_table

LOW, MIDDLE = slice(1, 4), slice(9, 13)  # of 20 axial slices
MANIFEST = {
    "id": "mine",
    "title": "Mine",
    "home": None,
    "role": "extra",
    "access": "open",
    "licence": {"name": "CC0-1.0"},
    "citation": {"title": "Mine", "authors": "A", "year": 2020},
    "archives": [{"name": "data"}],
    "groups": {
        "all": {
            "modality": "mri",
            "dimension": 3,
            "subjects": 4,
            "image": "c{case:[0-9]+}.nii",
            "mask": {"decode": "values", "file": "c{case}_seg.nii"},
            "labels": {1: "low", 2: "sometimes"},
            "subject": "{case}",
            "patient": "{case}",
            "planes": ["axial"],
        }
    },
}


@pytest.fixture
def folder(tmp_path):
    """Four volumes; the middle slices never show the low label, and show the other in two."""
    data = tmp_path / "mirror" / "mine" / "data"
    data.mkdir(parents=True)
    for number in range(4):
        mask = np.zeros((24, 24, 20), np.uint8)
        mask[4:10, 4:10, LOW] = 1
        mask[12:18, 12:18, MIDDLE if number % 2 else LOW] = 2
        for name, values in (("", mask.astype(np.int16) * 50 + 7), ("_seg", mask)):
            nib.save(nib.Nifti1Image(values, np.eye(4)), data / f"c{number}{name}.nii")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(MANIFEST))
    return tmp_path


@pytest.fixture
def built(folder, megamedical):
    return megamedical(
        "build", "mine", "--manifests", folder, "--mirror", folder / "mirror", "--store",
        folder / "store", "--offline", "--workers", 0, "--json",
    )  # fmt: skip


def test_the_store_counts_the_subjects_of_a_task_without_a_pixel(folder, built):
    assert built.exit_code == 0, built.output
    store = open_store(folder / "store")
    counted = store.tasks.set_index("task")["empty"].to_dict()
    assert counted == {
        f"mine/all/mri/axial/{name}": count
        for name, count in (("max/low", 0), ("max/sometimes", 0), ("mid/low", 4))
    } | {"mine/all/mri/axial/mid/sometimes": 2}
    examples = store.examples
    assert examples[examples["area"] == 0].groupby("task").size().to_dict() == {
        task: count for task, count in counted.items() if count
    }
    (group,) = json.loads(built.stdout)["groups"]
    assert (group["tasks"], group["empty_tasks"]) == (4, 1)


def test_build_tells_it(folder, megamedical):
    said = megamedical(
        "build", "mine", "--manifests", folder, "--mirror", folder / "mirror", "--store",
        folder / "store", "--offline", "--workers", 0,
    )  # fmt: skip
    assert "mine/all: 1 of 4 tasks show no pixel" in said.output


def test_check_tells_it(folder, megamedical):
    said = megamedical("check", folder / "mine.yaml", "--files", folder / "mirror/mine/data")
    assert said.exit_code == 0, said.output
    assert "axial/mid/low: no pixel of the label in any of 4 slices" in said.output
    assert "axial/mid/sometimes" not in said.output


def test_tables_from_before_it_was_counted_are_read(folder, built):
    store = open_store(folder / "store")
    table = pa.Table.from_pandas(store.tasks, schema=TASKS, preserve_index=False)
    read = decode_table(encode_table(table.drop_columns(["empty"])), "tasks")
    assert read.schema.equals(TASKS)
    assert set(read["empty"].to_pylist()) == {-1}
