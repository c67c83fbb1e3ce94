"""Predictions against the truth: the figures of MONAI, on one grid, and every trouble named."""

import csv
import json
import warnings

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from universeg.cli import app
from universeg.measures.masks import Surfaces, dice
from universeg.scoring.score import estimate

AFFINE = np.diag([0.5, 1.0, 2.0, 1.0])


def blobs(seed, shape=(14, 16, 12), share=0.2):
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, 2)
    return smooth > np.quantile(smooth, 1 - share)


def volume(path, values, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values.astype(np.uint8), affine), path)


def picture(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.fixture
def score(tmp_path):
    """The command, on the folders `found` and `true`."""

    def run(options=()):
        args = ["score", tmp_path / "found", tmp_path / "true", *options]
        result = CliRunner().invoke(app, [str(each) for each in args])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def rows(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


@given(seeds=st.tuples(st.integers(0, 999), st.integers(0, 999)), tolerance=st.sampled_from([1, 2]))
@settings(max_examples=15, deadline=None)
def test_measures_of_volumes_are_those_of_monai(seeds, tolerance):
    metrics = pytest.importorskip("monai.metrics")
    import torch

    spacing = (2.0, 1.0, 0.5)
    masks = [blobs(seed) for seed in seeds]
    found, meant = (torch.from_numpy(mask)[None, None] for mask in masks)
    both = {"y_pred": found, "y": meant, "include_background": True, "spacing": spacing}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = [
            metrics.compute_dice(found, meant),
            metrics.compute_hausdorff_distance(**both, percentile=95),
            metrics.compute_surface_dice(**both, class_thresholds=[float(tolerance)]),
        ]
    surfaces = Surfaces(*masks, spacing)
    own = [dice(*masks), surfaces.hd95(), surfaces.dice(tolerance)]
    assert own == pytest.approx([float(each) for each in wanted], rel=1e-4, abs=1e-4)


def test_volumes_are_scored_in_mm_and_ml(score, tmp_path):
    for number in range(3):
        truth = blobs(number)
        volume(tmp_path / f"true/p{number}_seg.nii.gz", truth)
        volume(tmp_path / f"found/p{number}.nii.gz", truth | blobs(9))
    options = ["--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json", "--label", "1=lesion"]
    result = score(options)
    assert result.exit_code == 0, result.output
    assert "Cases: 3" in result.output and "HD95, mm" in result.output
    for number, row in enumerate(rows(tmp_path / "a.csv")):
        truth = blobs(number)
        assert (row["case"], row["label"]) == (f"p{number}", "lesion")
        assert float(row["true_ml"]) == pytest.approx(truth.sum() / 1000)
        assert float(row["dice"]) == pytest.approx(dice(truth | blobs(9), truth), abs=1e-5)
    told = json.loads((tmp_path / "a.json").read_text())
    mean = told["labels"][0]["dice"]
    assert mean["low"] <= mean["mean"] <= mean["high"]


def test_pictures_are_scored_in_pixels_and_their_foreground_is_one_label(score, tmp_path):
    mask = blobs(1, (20, 30))
    picture(tmp_path / "true/a_mask.png", mask)
    picture(tmp_path / "found/a.png", mask * 255)
    result = score(["--csv", tmp_path / "a.csv"])
    assert result.exit_code == 0, result.output
    (row,) = rows(tmp_path / "a.csv")
    assert (float(row["dice"]), float(row["hd95_pixels"])) == (1, 0)
    assert row["true_pixels"] == str(mask.sum())


def test_the_order_of_axes_in_a_file_does_not_matter(score, tmp_path):
    mask = blobs(1)
    volume(tmp_path / "true/a.nii.gz", mask)
    turned = AFFINE.copy()
    turned[:, 0], turned[:3, 3] = -AFFINE[:, 0], AFFINE[:3, 0] * (len(mask) - 1)
    volume(tmp_path / "found/a.nii.gz", mask[::-1], turned)
    assert score(["--csv", tmp_path / "a.csv"]).exit_code == 0
    assert float(rows(tmp_path / "a.csv")[0]["dice"]) == 1


def test_a_label_that_a_case_has_not_is_not_counted_and_a_missed_one_is(score, tmp_path):
    for name, truth, found in (("a", 1, 1), ("b", 2, 2), ("c", 2, 0)):
        picture(tmp_path / f"true/{name}.png", blobs(1, (9, 9)) * truth)
        picture(tmp_path / f"found/{name}.png", blobs(1, (9, 9)) * found)
    result = score(["--csv", tmp_path / "a.csv"])
    found = {(row["case"], row["label"]): float(row["dice"]) for row in rows(tmp_path / "a.csv")}
    assert found == {("a", "label 1"): 1, ("b", "label 2"): 1, ("c", "label 2"): 0}
    assert "its Dice is 0, its HD95 the diagonal" in result.output


def test_each_trouble_is_told_and_does_not_stop_the_rest(score, tmp_path):
    mask = blobs(1)
    for name in ("good", "moved", "small", "lost", "broken"):
        volume(tmp_path / f"true/{name}.nii.gz", mask)
    volume(tmp_path / "found/good.nii.gz", mask)
    moved = AFFINE.copy()
    moved[0, 3] = 40
    volume(tmp_path / "found/moved.nii.gz", mask, moved)
    volume(tmp_path / "found/small.nii.gz", mask[:-1])
    (tmp_path / "found/broken.nii.gz").write_bytes(b"nothing")
    volume(tmp_path / "found/extra.nii.gz", mask)
    result = score()
    assert result.exit_code == 3
    assert "moved.nii.gz: does not lie on the voxels of its truth" in result.output
    assert "40 mm apart" in result.output
    assert "small.nii.gz: is 12 x 13 x 16, its truth 12 x 14 x 16" in result.output
    assert "broken.nii.gz: its prediction broken.nii.gz" in result.output
    assert "Without a prediction: lost.nii.gz" in result.output
    assert "Without a truth: extra.nii.gz" in result.output
    assert "label 1" in result.output


def test_names_that_do_not_agree_are_told(score, tmp_path):
    picture(tmp_path / "true/a.png", blobs(1, (9, 9)))
    picture(tmp_path / "found/b.png", blobs(1, (9, 9)))
    result = score()
    assert result.exit_code == 1
    assert "b.png, a.png" in result.output


def test_an_interval_holds_the_mean_and_one_value_has_none():
    assert (estimate([0.5]).mean, estimate([0.5]).low) == (0.5, None)
    found = estimate([0.2, 0.8, 0.9, 0.4])
    assert found.low < found.mean < found.high
    assert estimate([0.3, 0.3]).low == pytest.approx(0.3)
