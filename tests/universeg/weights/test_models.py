"""Models by their name, those of other packages too, and from their weights."""

from __future__ import annotations

import json

import own_models
import pytest
import torch
from safetensors.torch import save_file

from universeg.network.universeg import UniverSeg
from universeg.weights.card import ModelCard
from universeg.weights.claims import WeightsError
from universeg.weights.files import read_card
from universeg.weights.models import (
    ModelError,
    load_model,
    make_model,
    model_names,
    save,
    save_model,
)


@pytest.fixture(autouse=True)
def _installed(tmp_path, monkeypatch):
    own_models.install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def card(model, architecture):
    return ModelCard(
        model=model,
        architecture=architecture,
        megamedical="0",
        store="a" * 64,
        groups={"acdc/challenge2017": "b" * 64},
        tasks=3,
        unseen=("wbc/jtsc/microscopy/2d/mid/nucleus",),
        step=7,
        scores={"dev Dice": 0.5},
        settings={"steps": 9},
    )


def assert_same(found, expected):
    assert type(found) is type(expected)
    wanted = expected.state_dict()
    assert list(found.state_dict()) == list(wanted)
    assert all(torch.equal(value, wanted[name]) for name, value in found.state_dict().items())


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("universeg", {"encoder_blocks": [3, 4, 5], "decoder_blocks": [2, 6]}),
        ("line", {"factor": 0.25, "dropout": 0.5}),
        ("tied", {}),
    ],
)
def test_what_is_trained_is_loaded_again_with_its_card(tmp_path, name, architecture):
    model = make_model(name, architecture)
    path = tmp_path / "weights.safetensors"
    save_model(model, path, card(name, architecture))
    assert_same(load_model(path), model)
    assert_same(load_model(str(path)), model)
    assert read_card(path) == card(name, architecture)


def test_a_model_of_another_package_is_made_as_asked():
    assert {"universeg", *own_models.NAMES} <= set(model_names())
    model = make_model("line", {"factor": 3.0})
    assert type(model) is own_models.Line
    assert model.factor.item() == 3


def test_weights_without_a_card_are_loaded(tmp_path):
    network = UniverSeg([4, 4], [4])
    save(network, tmp_path / "weights.safetensors")
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    for path in (tmp_path / "weights.safetensors", tmp_path / "weights.pt"):
        assert_same(load_model(path), network)
    assert read_card(tmp_path / "weights.safetensors") is None


def test_a_model_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ModelError, match="no model qqq") as error:
        make_model("qqq", {})
    assert "universeg" in error.value.remedy
    assert "line" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "architecture", "said"),
    [
        ("line", {"width": 3}, "width"),
        ("universeg", {"encoder_blocks": [4], "decoder_blocks": [4]}, "at least one decoder block"),
        ("universeg", {"encoder_blocks": 4}, "int"),
        ("wide", {"width": -1}, "imension"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(name, architecture, said):
    with pytest.raises(ModelError, match=rf"{name} cannot be made so: .*{said}") as error:
        make_model(name, architecture)
    assert "architecture" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "lacking"), [("gone", "Gone"), ("absent", "no_such_package"), ("lacking", "no_such")]
)
def test_a_model_that_cannot_be_imported_is_named_with_where_it_should_be(name, lacking):
    with pytest.raises(
        ModelError, match=rf"{name} cannot be imported from \S+: .*{lacking}"
    ) as error:
        make_model(name, {})
    assert "Install its package anew" in error.value.remedy


def test_a_name_that_two_packages_use_is_refused(tmp_path):
    own_models.install(tmp_path, "their_models")
    with pytest.raises(ModelError, match="of several packages: own_models, their_models") as error:
        make_model("line", {})
    assert "Uninstall" in error.value.remedy


def test_weights_of_a_model_that_is_not_installed_say_which(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_model(own_models.Line(), path, card("theirs", {}))
    with pytest.raises(ModelError, match="no model theirs"):
        load_model(path)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    tensors = {"factor": torch.ones(2), "added": torch.ones(1), "bias": torch.ones(1)}
    said = {"version": 1, "model": "line", "architecture": {}}
    save_file(tensors, path, metadata={"universeg": json.dumps(said)})
    with pytest.raises(
        WeightsError, match=r"weights\.safetensors is not for this network"
    ) as error:
        load_model(path)
    assert "factor: (2,), expected (1,)" in error.value.problem
    assert "bias: (1,), expected no such thing" in error.value.problem


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0notjson!"])
def test_a_file_that_is_no_weights_is_named(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    for read in (load_model, read_card):
        with pytest.raises(WeightsError, match=r"weights\.safetensors"):
            read(path)


def test_a_card_that_is_none_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(1)}, path, metadata={"card": '{"model": 3}'})
    with pytest.raises(WeightsError, match=r"weights\.safetensors"):
        read_card(path)
