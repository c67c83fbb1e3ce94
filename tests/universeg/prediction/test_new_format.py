"""A format is one file and one line: with it, a build, a draft and a prediction read its files."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import yaml
from toy_format import TOY, write_toy
from typer.testing import CliRunner

import megamedical
from megamedical.authoring.layout import find_layouts
from megamedical.catalogue.datasets import catalog
from megamedical.errors import SubjectError
from megamedical.reading import read_scan, read_volume
from megamedical.reading.formats import FORMATS
from tests.universeg.prediction.test_segmenter import Bright, dice
from universeg.cli import app
from universeg.prediction import segmenter


@pytest.fixture(autouse=True)
def line():
    """The line in the table."""
    FORMATS.append(TOY)
    yield
    FORMATS.remove(TOY)


def ball(number=0):
    z, y, x = np.mgrid[:16, :24, :32]
    mask = (z - 8) ** 2 + (y - 12) ** 2 + (x - 10 - number) ** 2 < 36
    noise = np.random.default_rng(number).integers(0, 100, mask.shape)
    return (noise + mask * 800).astype(np.int16), mask.astype(np.int16)


def test_a_build_reads_it(tmp_path):
    data = tmp_path / "mirror/toys/data"
    for number in range(3):
        image, mask = ball(number)
        write_toy(data / f"images/c{number}.toy", image, (1, 1, 2))
        write_toy(data / f"masks/c{number}.toy", mask, (1, 1, 2))
    (layout,) = find_layouts(
        str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()
    )
    assert (layout.dimension, len(layout.pairs)) == (3, 3)
    manifest = {
        "id": "toys",
        "title": "Toys",
        "home": None,
        "role": "extra",
        "access": "open",
        "licence": {"name": "CC0-1.0"},
        "citation": {"title": "Toys", "authors": "A", "year": 2020},
        "archives": [{"name": "data"}],
        "groups": {
            "all": {
                "modality": "mri",
                "dimension": 3,
                "subjects": 3,
                "image": layout.image,
                "mask": {"decode": "values", "file": layout.masks[""]},
                "labels": {1: "ball"},
                "subject": layout.subject,
                "patient": layout.patient,
                "planes": ["axial"],
                "evidence": ["made here"],
            }
        },
    }
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/toys.yaml").write_text(yaml.safe_dump(manifest))
    report = megamedical.build(
        "toys",
        manifests=catalog(tmp_path / "manifests"),
        store=tmp_path / "store",
        mirror=tmp_path / "mirror",
        offline=True,
        workers_count=0,
    )
    assert not report.failures
    store = megamedical.open_store(tmp_path / "store")
    for row in store.examples.itertuples():
        image, mask = store.read(row.task, row.subject)
        assert dice(image > 0.5, mask > 0.5) > 0.9


def test_a_prediction_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr(segmenter, "load_for_prediction", lambda _: (Bright(), 128))
    for number in range(2):
        image, mask = ball(number)
        write_toy(tmp_path / f"support/images/c{number}.toy", image)
        write_toy(tmp_path / f"support/masks/c{number}.toy", mask)
    image, mask = ball(5)
    write_toy(tmp_path / "query/q.toy", image, (1, 1, 2))
    folders = {"--support": "support", "--query": "query", "--out": "out"}
    named = [str(part) for name, path in folders.items() for part in (name, tmp_path / path)]
    result = CliRunner().invoke(app, ["predict", *named])
    assert result.exit_code == 0, result.output
    written = nib.load(tmp_path / "out/q.nii.gz")
    assert written.header.get_zooms() == (1, 1, 2)
    assert dice(np.asarray(written.dataobj).T > 0, mask > 0) > 0.9


def test_what_it_cannot_hold_is_refused_in_words(tmp_path):
    path = write_toy(tmp_path / "a.toy", ball()[0])
    assert read_volume(path).voxels.shape == (16, 24, 32)
    with pytest.raises(SubjectError, match="holds no picture"):
        read_scan(path, 2)
