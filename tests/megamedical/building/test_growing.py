"""A collection that grows, or of which a part is here: who is in which split, in the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from megamedical import build, open_store
from megamedical.catalogue.datasets import catalog

CELLS = {
    "id": "cells",
    "title": "Cells",
    "home": None,
    "role": "extra",
    "access": "open",
    "licence": {"name": "CC0-1.0"},
    "citation": {"title": "Cells", "authors": "A", "year": 2020},
    "archives": [{"name": "data"}],
}
OLD = [f"{number:02}" for number in range(20)]
NEW = [f"{number:02}" for number in range(100, 120)]


def group(stain: str, **facts) -> dict[str, object]:
    return {
        "modality": "microscopy",
        "dimension": 2,
        "subjects": 20,
        "image": f"{stain}/{{cell:[0-9]+}}.png",
        "mask": {"decode": "values", "file": f"{stain}/{{cell}}_m.png"},
        "labels": {1: "nucleus"},
        "subject": "{cell}",
        "patient": "{cell}",
        **facts,
    }


def splits(folder: Path, cells, **facts) -> dict[tuple[str, str], str]:
    """Build stains of cells; the split of each by its group and its own name."""
    data = folder / "mirror" / "cells" / "data"
    for stain, names in cells.items():
        (data / stain).mkdir(parents=True, exist_ok=True)
        for name in names:
            picture = np.arange(64, dtype=np.uint8).reshape(8, 8) + int(name)
            mask = np.zeros((8, 8), np.uint8)
            mask[2:5, 2:5] = 1
            Image.fromarray(picture).save(data / stain / f"{name}.png")
            Image.fromarray(mask).save(data / stain / f"{name}_m.png")
    manifests = folder / "manifests"
    manifests.mkdir()
    groups = {stain: group(stain, **facts.pop(stain, {})) for stain in cells}
    (manifests / "cells.yaml").write_text(yaml.safe_dump({**CELLS, "groups": groups, **facts}))
    build(
        "cells",
        store=folder / "store",
        mirror=folder / "mirror",
        resolution=32,
        workers_count=0,
        offline=True,
        manifests=catalog(manifests),
    )
    rows = open_store(folder / "store").subjects.itertuples()
    return {(row.group, row.patient.rpartition("/")[2]): row.split for row in rows}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return splits(tmp_path_factory.mktemp("before"), {"blue": OLD})


@pytest.mark.parametrize("gone", ["00", "07", "19"])
def test_a_patient_that_is_missing_moves_two_others_at_most(tmp_path, before, gone):
    found = splits(tmp_path, {"blue": [name for name in OLD if name != gone]})
    assert len(found) == 19
    moved = {before[cell] + found[cell] for cell in found if found[cell] != before[cell]}
    assert sum(found[cell] != before[cell] for cell in found) <= 2
    assert not moved & {"traintest", "testtrain"}


@pytest.mark.parametrize(
    ("cells", "facts"),
    [
        ({"blue": OLD, "red": NEW}, {}),
        ({"red": OLD[:7], "blue": OLD}, {}),
        ({"red": OLD[:7], "blue": OLD}, {"shares_patients": True}),
        ({"blue": OLD, "red": OLD}, {"blue": {"cohort": "a"}, "red": {"cohort": "a"}}),
    ],
    ids=["of its own patients", "of the same names", "that shares them", "of one cohort"],
)
def test_a_second_group_moves_nobody(tmp_path, before, cells, facts):
    is_shared = bool(facts)
    found = splits(tmp_path, cells, **facts)
    assert {cell: split for cell, split in found.items() if cell[0] == "blue"} == before
    if is_shared:
        assert all(found["red", name] == before["blue", name] for name in cells["red"])
