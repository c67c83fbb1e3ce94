"""Scores on the grids of scans: masks as files have them, predictions brought back, what is not."""

from __future__ import annotations

import gzip
import io
import shutil
import zipfile

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from benchmark_command import call
from miniatures import acdc, build_miniatures, stare, write_mirror
from PIL import Image
from scipy.interpolate import RegularGridInterpolator

from benchmark.cases import CaseReader, draw_support, find_cases
from benchmark.native.truths import NativeTruth, read_truths
from benchmark.results import ENSEMBLE, read_results
from benchmark.suite import load_suite
from megamedical import open_store
from universeg.measures.masks import dice, hd95

VESSEL = "stare/vk/fundus/2d/mid/vessel"
RING = "acdc/challenge2017/mri/axial/mid/myocardium"
SUITE = {
    "id": "two",
    "version": 1,
    "title": "A picture and a volume",
    "resolution": 32,
    "support": "test",
    "evaluated": "train",
    "draws": 2,
    "support_sizes": [2],
    "tasks": [VESSEL, RING],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of two miniatures, their archives, and the file of masks on the scans' grids."""
    folder = tmp_path_factory.mktemp("native")
    mirror = write_mirror(folder / "mirror", {"acdc": acdc(), "stare": stare()})
    build_miniatures("acdc", "stare", store=folder / "store", mirror=mirror)
    (folder / "two.yaml").write_text(yaml.safe_dump(SUITE))
    said = make(folder, folder / "native.parquet")
    assert said.exit_code == 0, said.output
    assert f"{VESSEL}: " in said.output
    return folder


def make(folder, out, *, mirror=None, raw=None, **other: object):
    given = {"store": folder / "store", "suite": folder / "two.yaml", "out": out} | other
    given |= {"mirror": mirror or folder / "mirror", "raw": raw or folder / "raw"}
    return call("native", *(each for key, value in given.items() for each in (f"--{key}", value)))


def run(folder, out, *options: object):
    given = ["--store", folder / "store", "--suite", folder / "two.yaml", "--out", out]
    return call("run", *given, "--method", "mean-mask", *options)


def truths(folder):
    store, suite = open_store(folder / "store"), load_suite(str(folder / "two.yaml"))
    return {
        (each.task, name): truth
        for each in find_cases(suite, store).tasks
        for name, truth in read_truths(folder / "native.parquet", each).items()
    }


def test_masks_are_those_of_the_files(made):
    found = truths(made)
    assert {task for task, _ in found} == {VESSEL, RING}
    labels = stare()["labels-vk.tar"]
    with zipfile.ZipFile(made / "mirror/acdc/ACDC.zip") as archive:
        for (task, subject), truth in found.items():
            if task == VESSEL:
                picture = Image.open(io.BytesIO(gzip.decompress(labels[f"{subject}.vk.ppm.gz"])))
                np.testing.assert_array_equal(truth.mask, np.asarray(picture.convert("L")) > 127)
                assert truth.spacing is None
            else:
                assert any(
                    np.array_equal(truth.mask, plane)
                    for plane in rings_of(archive, subject.partition("-")[0])
                )
                assert truth.spacing == pytest.approx([1.5, 1.5])


def rings_of(archive, patient):
    """The middle planes of a patient's scans, with the front up and the left at the right."""
    for name in archive.namelist():
        if patient in name and name.endswith("_gt.nii.gz"):
            image = nib.Nifti1Image.from_bytes(gzip.decompress(archive.read(name)))
            voxels = np.asarray(image.dataobj) == 2
            for plane in np.moveaxis(voxels, 2, 0)[2:4]:
                for turned in (plane, plane[::-1], plane[:, ::-1], plane[::-1, ::-1]):
                    yield turned.T


def test_a_prediction_is_brought_back_between_pixels_and_is_nothing_beyond(made):
    rows, columns = np.array([0.0, 0.5, 3.0, np.nan]), np.array([np.nan, 1.25, 2.0])
    truth = NativeTruth(np.zeros((4, 3), bool), rows, columns, None)
    high, wide = np.indices((4, 4))
    found = truth.brought_back(10.0 * high + wide)
    expected = [[0, 1.25, 2], [0, 6.25, 7], [0, 31.25, 32], [0, 0, 0]]
    np.testing.assert_allclose(found, expected)


def test_what_a_slice_shows_of_its_own_mask_is_found_again_on_the_scan(made):
    """Rings are large beside a pixel: brought back, the slice's own mask is nearly the scan's."""
    store = open_store(made / "store")
    ceilings = pd.read_parquet(made / "native.parquet").set_index(["task", "subject"])["ceiling"]
    for (task, subject), truth in truths(made).items():
        _, mask = store.read(task, subject)
        own = dice(truth.brought_back(mask) > 0.5, truth.mask)
        assert ceilings[task, subject] == pytest.approx(own)
        if task == RING:
            assert own > 0.7


def test_rows_have_both_scores_and_a_column_shows_them(made, tmp_path):
    assert run(made, tmp_path, "--native", made / "native.parquet").exit_code == 0
    rows, (said,) = read_results(tmp_path)
    assert said.options == ["--native native.parquet"]
    store, suite = open_store(made / "store"), load_suite(str(made / "two.yaml"))
    known = truths(made)
    ensembles = rows[rows["draw"] == ENSEMBLE].set_index(["task", "subject"])
    for cases in find_cases(suite, store).tasks:
        reader = CaseReader(store, cases.group)
        for query in cases.queries:
            draws = [draw_support(suite, cases, query, draw, 2) for draw in range(2)]
            mean = np.mean([reader.support(each).masks.mean(axis=0) for each in draws], axis=0)
            truth, row = known[cases.task, query.subject], ensembles.loc[cases.task, query.subject]
            between = RegularGridInterpolator((np.arange(32), np.arange(32)), mean)
            places = np.stack(np.meshgrid(truth.rows, truth.columns, indexing="ij"), axis=-1)
            found = between(places.clip(0, 31)) > 0.5
            assert row["native_dice"] == pytest.approx(dice(found, truth.mask))
            if truth.spacing:
                assert row["native_hd95"] == pytest.approx(hd95(found, truth.mask, truth.spacing))
            else:
                assert np.isnan(row["native_hd95"])
    page = tmp_path / "board.html"
    suite_file = ["--suite", made / "two.yaml"]
    assert call("leaderboard", tmp_path, *suite_file, "--html", page).exit_code == 0
    shown = f"{100 * ensembles.groupby('task')['native_dice'].mean().mean():.1f}"
    text = page.read_text()
    head = text.index("On scans")
    assert shown in text[head : text.index("</table>", head)]
    assert "HD95 on scans" in text


def test_rows_without_are_made_again_and_rows_with_are_kept(made, tmp_path):
    assert run(made, tmp_path).exit_code == 0
    assert read_results(tmp_path)[0]["native_dice"].isna().all()
    assert run(made, tmp_path, "--native", made / "native.parquet").exit_code == 0
    rows, _ = read_results(tmp_path)
    assert rows["native_dice"].notna().all()
    assert run(made, tmp_path).exit_code == 0
    pd.testing.assert_frame_equal(read_results(tmp_path)[0], rows)


def test_other_archives_are_refused(made, tmp_path):
    other = stare()
    name = next(iter(other["labels-vk.tar"]))
    first, second = list(other["labels-vk.tar"].values())[:2]
    assert first != second
    for key in other["labels-vk.tar"]:
        other["labels-vk.tar"][key] = second if key == name else first
    mirror = write_mirror(tmp_path / "mirror", {"acdc": acdc(), "stare": other})
    said = make(made, tmp_path / "out.parquet", mirror=mirror, raw=tmp_path / "raw")
    assert said.exit_code == 1
    assert f"give another mask of {VESSEL} than the store has" in words(said)
    shutil.rmtree(mirror / "stare")
    said = make(made, tmp_path / "out.parquet", mirror=mirror, raw=tmp_path / "nothing")
    assert said.exit_code == 1
    assert "stare/vk cannot be read again" in words(said)
    assert "--mirror" in words(said)
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_of_something_else_is_refused_before_anything_is_run(made, tmp_path):
    whole = pd.read_parquet(made / "native.parquet")
    lacking, older, damaged = (tmp_path / f"{name}.parquet" for name in ("lacks", "old", "bad"))
    whole.iloc[1:].to_parquet(lacking)
    whole.assign(data="of another store").to_parquet(older)
    damaged.write_bytes((made / "native.parquet").read_bytes()[:500])
    for path, told in (
        (lacking, "has no mask of"),
        (older, "has no mask of"),
        (damaged, "is damaged"),
        (tmp_path / "none.parquet", "There is no file"),
    ):
        said = run(made, tmp_path / "out", "--native", path)
        assert said.exit_code == 1
        assert told in words(said)
    assert not (tmp_path / "out").exists()


def words(said):
    return " ".join(said.output.split())
