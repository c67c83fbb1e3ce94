"""A segmenter that learns, tells, cleans up, and takes weights of any model and resolution."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from megamedical.errors import MegaMedicalError
from universeg.cli import app
from universeg.network.universeg import UniverSeg
from universeg.prediction.deciding import Cleaning, decide
from universeg.prediction.segmenter import Segmenter
from universeg.weights.card import ModelCard
from universeg.weights.files import read_card
from universeg.weights.models import load_universeg, resolution_of, save

SETTINGS = {"resolution": 32}


def tiny(path):
    """A file of small weights that were trained on slices of 32 pixels a side."""
    torch.manual_seed(0)
    network = UniverSeg((4, 4), (4,))
    card = ModelCard(
        model="universeg",
        architecture=network.architecture.arguments,
        megamedical="0",
        store="",
        groups={"toy/group": "f"},
        tasks=1,
        unseen=(),
        step=1,
        scores={},
        settings=SETTINGS,
    )
    save(network, path, card)
    return path


def pair(seed):
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 48), np.uint8)
    row, column = rng.integers(8, 20, 2)
    mask[row : row + 12, column : column + 14] = 1
    return np.where(mask, 180, 60) + rng.normal(0, 8, mask.shape), mask


@pytest.fixture
def folder(tmp_path):
    for seed in range(4):
        image, mask = pair(seed)
        for name, values in (("images", image), ("masks", 255 * mask)):
            path = tmp_path / "support" / name / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)
    (tmp_path / "query").mkdir()
    image, _ = pair(9)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "query/q.png")
    return tmp_path


def run(*arguments):  # noqa: ANN002
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_a_fit_learns_when_it_is_asked_to(tmp_path):
    images, masks = zip(*map(pair, range(5)), strict=True)
    segmenter = Segmenter(tiny(tmp_path / "w.safetensors"), device="cpu")
    assert segmenter.fit(images, masks).learnt is None
    learnt = segmenter.fit(images, masks, budget=1).learnt
    assert "forest" in learnt.chosen
    image, mask = pair(7)
    found = segmenter.predict(image).mask
    assert 2 * np.sum((found > 0) & (mask > 0)) / (np.sum(found > 0) + np.sum(mask > 0)) > 0.8
    assert segmenter.fit(images, masks, tune=True, budget=0.2).learnt.chosen
    assert segmenter.fit(images, masks).learnt is None


def test_slices_have_the_resolution_of_the_card(tmp_path):
    weights = tiny(tmp_path / "w.safetensors")
    segmenter = Segmenter(weights, device="cpu")
    assert segmenter.resolution == resolution_of(weights) == 32
    image, mask = pair(0)
    assert segmenter.frame_of(segmenter_scan(image)).image(image).shape == (32, 32)
    assert segmenter.fit([image], [mask]).predict(image).mask.shape == mask.shape
    assert resolution_of("v1") == 128


def segmenter_scan(image):
    from megamedical.reading.scan import Scan

    return Scan(image, (1.0, 1.0))


@pytest.mark.parametrize("threshold", [0.0, 1.0, -2.0])
def test_there_is_no_such_threshold(threshold):
    with pytest.raises(MegaMedicalError, match="no threshold"):
        Segmenter(UniverSeg((4, 4), (4,)), threshold=threshold)


def test_predict_learns_within_a_budget_and_tells(folder):
    weights = tiny(folder / "w.safetensors")
    asked = ["--support", folder / "support", "--query", folder / "query", "--weights", weights]
    summary = folder / "told.json"
    result = run("predict", *asked, "--out", folder / "out", "--budget", 1, "--summary", summary)
    assert result.exit_code == 0, result.output
    assert "Chosen: " in result.output and "expect a Dice of" in result.output
    said = json.loads(summary.read_text())
    assert set(said["labels"]) == {"label 255"} and said["chosen"] and said["why"]
    assert (folder / "out/q.png").exists()
    quiet = run("predict", *asked, "--out", folder / "other", "--no-expect")
    assert quiet.exit_code == 0 and "expect a Dice" not in quiet.output


def test_a_threshold_that_is_none_is_refused(folder):
    weights = tiny(folder / "w.safetensors")
    asked = ["--support", folder / "support", "--query", folder / "query", "--weights", weights]
    result = run("predict", *asked, "--out", folder / "out", "--threshold", "half")
    assert result.exit_code == 1 and "no threshold" in result.output


def test_what_was_tuned_is_kept_with_a_card(folder):
    weights, out = tiny(folder / "w.safetensors"), folder / "mine.safetensors"
    asked = ["--support", folder / "support", "--weights", weights]
    result = run("tune", *asked, "--out", out, "--budget", 2)
    assert result.exit_code == 0, result.output
    card = read_card(out)
    assert card.settings["resolution"] == 32 and card.settings["examples"] == 4
    assert card.groups == {"toy/group": "f"}
    assert "left-out Dice, in context" in card.scores
    tuned, before = load_universeg(out).state_dict(), load_universeg(weights).state_dict()
    is_same = all(value.equal(before[name]) for name, value in tuned.items())
    assert is_same == (card.step == 0)


def test_one_example_is_too_few_to_tune(folder):
    weights = tiny(folder / "w.safetensors")
    for seed in range(1, 4):
        (folder / f"support/images/{seed}.png").unlink()
        (folder / f"support/masks/{seed}.png").unlink()
    out = folder / "mine.safetensors"
    result = run("tune", "--support", folder / "support", "--weights", weights, "--out", out)
    assert result.exit_code == 1 and "two or more" in result.output
    assert not out.exists()


def test_a_threshold_moves_the_border():
    shares = np.linspace(0.05, 0.95, 10, dtype=np.float32)[None, None]
    for cut in (0.2, 0.5, 0.8):
        found = decide(shares, {3: "label"}, [cut], Cleaning()).mask
        assert np.array_equal(found > 0, shares[0] > cut)


def test_holes_are_filled_and_the_largest_part_is_kept():
    mask = np.zeros((12, 12), np.uint8)
    mask[1:6, 1:6] = 1
    mask[3, 3] = 0
    mask[8:10, 8:10] = 1
    mask[2, 2] = 2
    cleaned = Cleaning(fill_holes=True, largest=True).of(mask.copy())
    assert cleaned[3, 3] == 1 and cleaned[2, 2] == 2
    assert not cleaned[8:10, 8:10].any()
    assert np.array_equal(Cleaning().of(mask.copy()), mask)
