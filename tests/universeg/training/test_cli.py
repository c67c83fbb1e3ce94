"""`universeg train` and `info` as they are typed."""

from __future__ import annotations

import pytest
import yaml
from PIL import Image
from tiny_store import Discs, write_store
from typer.testing import CliRunner

from universeg.cli import app
from universeg.weights.files import read_card

SMALL = (
    "architecture={encoder_blocks: [4, 4], decoder_blocks: [4]}",
    "resolution=16",
    "support_size=2",
    "steps=2",
    "evaluation={every: 2, queries: 1, pictures: 1}",
)


@pytest.fixture
def train(tmp_path):
    """`universeg train` of a tiny network on a tiny store, into `tmp_path/run`."""
    store = tmp_path / "store"
    write_store(store, Discs("plain"))

    def call(*options: object):
        given = ("train", *SMALL, "--preset", "demo", "--store", store, "--out", tmp_path / "run")
        return CliRunner().invoke(app, [*map(str, given), *map(str, options)])

    return call


def test_ends_with_both_scores_and_the_weights(train, tmp_path):
    result = train("--device", "cpu")
    assert result.exit_code == 0
    card = read_card(tmp_path / "run" / "best.safetensors")
    assert f"  {card.scores['dev Dice']:.3f} of the network" in result.output
    assert f"  {card.scores['dev Dice of the mean mask']:.3f} of the mean mask" in result.output
    assert str(tmp_path / "run" / "best.safetensors") in result.output


def test_slices_are_kept_where_it_is_said(train, tmp_path):
    result = train("--cache", "none")
    assert "Slices are kept on the disk: as asked" in result.output
    settings = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert settings["cache"] == "none"


def test_draws_tasks_in_place_of_training(train, tmp_path):
    sheet = tmp_path / "sheet.png"
    result = train("--preview-tasks", sheet, "--preset", "base")
    assert result.exit_code == 0, result.output
    assert Image.open(sheet).height > 3 * 10 * 100  # three of the store and of each family
    assert not (tmp_path / "run").exists()


def test_trains_on_several_stores(train, tmp_path):
    write_store(tmp_path / "second", Discs("second"))
    result = train("--store", tmp_path / "second")
    assert result.exit_code == 0
    card = read_card(tmp_path / "run" / "best.safetensors")
    assert set(card.groups) == {"plain/discs", "second/discs"}


def test_a_setting_that_is_none_is_told_with_those_that_are(train):
    result = train("steeps=3")
    assert result.exit_code == 1
    assert "steeps" in result.stderr
    assert "steps" in result.stderr


def test_info_shows_the_card_of_a_release_and_its_licence():
    result = CliRunner().invoke(app, ["info", "megamedical-mini"])
    assert result.exit_code == 0
    assert "mouse-brain-atlas/fvb-ncrl" in yaml.safe_load(result.stdout)["groups"]
    assert "GPL-3.0" in result.stderr
