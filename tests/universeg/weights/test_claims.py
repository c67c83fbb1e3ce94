"""Files of weights that claim what no file could hold are refused, in words, before it is made."""

import json
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from megamedical.errors import MegaMedicalError
from universeg import Segmenter, UniverSeg
from universeg.weights.claims import WeightsError
from universeg.weights.files import read_card
from universeg.weights.models import load_model, load_universeg

BLOCKS = {"encoder_blocks": [4, 4], "decoder_blocks": [4]}
CARD = {
    "model": "universeg",
    "architecture": {},
    "megamedical": "1",
    "store": "",
    "groups": {},
    "tasks": 1,
    "unseen": [],
    "step": 1,
    "scores": {},
    "settings": {},
}
_DEEP = "[" * 100_000


@pytest.fixture
def tensors():
    return dict(UniverSeg(*BLOCKS.values()).state_dict())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


@pytest.fixture
def write(path, tensors):
    def write(model="universeg", said=None, card=None, **architecture):
        network = {"version": 1, "model": model, "architecture": {**BLOCKS, **architecture}}
        metadata = {"universeg": json.dumps(network) if said is None else said}
        metadata |= {"card": card} if card else {}
        save_file(tensors, path, metadata=metadata)
        return path

    return write


def refused(path, load=load_model):
    with pytest.raises(MegaMedicalError) as error:
        load(path)
    said = f"{error.value.problem}\n{error.value.remedy}"
    assert len(said) < 2_000
    return said


@pytest.mark.parametrize(
    "architecture",
    [
        {"encoder_blocks": [10**9, 4]},
        {"encoder_blocks": [20_000, 4]},  # 14 GB
        {"encoder_blocks": [1] * 10_001, "decoder_blocks": [1] * 10_000},
        {"encoder_blocks": [float("nan"), 4]},
        {"encoder_blocks": ["x" * 10_000, 4]},
        {"encoder_blocks": 10**9},
        {"attention_heads": "a"},
        {"attention_heads": float("inf")},
    ],
)
def test_an_architecture_that_its_weights_could_not_fill(write, architecture):
    for load in (load_model, load_universeg):
        refused(write(**architecture), load)


@pytest.mark.parametrize(
    ("model", "architecture"),
    [
        ("senet", {"levels": 10**9}),
        ("panet", {"widths": [10**9] * 5}),
        ("m" * 10_000, {}),
        ("universeg", {**BLOCKS, "x" * 10_000: 1}),
        ("\x1b[31m", {}),
        (["universeg"], {}),
    ],
)
def test_another_model(write, model, architecture):
    said = json.dumps({"version": 1, "model": model, "architecture": architecture})
    refused(write(said=said))


@pytest.mark.parametrize("said", [_DEEP, "null", "1", '{"version": NaN}', '{"version": "1"}', ""])
def test_what_says_nothing_of_a_network(write, said):
    assert "does not say which network" in refused(write(said=said))


def test_what_is_long_before_its_weights(path, write):
    assert "bytes before its weights" in refused(write(said="a" * 5_000_000))
    refused(path, read_card)
    path.write_bytes((2**64 - 1).to_bytes(8, "little") + b"{}")
    assert "not all of one" in refused(path)


def test_weights_that_are_no_numbers(write, tensors):
    tensors["out_conv.conv.bias"] *= float("nan")
    assert "out_conv.conv.bias" in refused(write())


@pytest.mark.parametrize("card", [_DEEP, "null", "[]", '{"model": "x"}', f'{{"model": {_DEEP}'])
def test_a_card_that_is_none(write, card):
    assert isinstance(refused(write(card=card), read_card), str)


@pytest.mark.parametrize("resolution", [10**9, -1, 0, 1, True, None, "128", 128.5, [128], 101])
def test_a_resolution_that_is_none(write, resolution):
    card = json.dumps({**CARD, "settings": {"resolution": resolution}})
    refused(write(card=card), Segmenter)


def test_a_resolution_that_is_one(write):
    card = json.dumps({**CARD, "settings": {"resolution": 32}})
    assert Segmenter(write(card=card), device="cpu").resolution == 32


class TestCheckpoint:
    """Those of PyTorch say what they are by their tensors."""

    def test_a_number_that_is_repeated(self, tmp_path):
        names = [f"{part}_blocks.0.cross.cross_conv.bias" for part in ("enc", "dec")]
        torch.save({name: torch.zeros(1).expand(10**9) for name in names}, tmp_path / "a.pt")
        assert "more than it is long" in refused(tmp_path / "a.pt")

    def test_a_network_that_is_wider_than_its_weights(self, tmp_path):
        names = ["enc_blocks.0", "enc_blocks.1", "dec_blocks.0"]
        wide = {f"{name}.cross.cross_conv.bias": torch.zeros(20_000) for name in names}
        torch.save(wide, tmp_path / "a.pt")
        assert "is not for this network" in refused(tmp_path / "a.pt")

    def test_what_unfolds(self, tmp_path, tensors):
        torch.save(tensors, tmp_path / "a.pt")
        with zipfile.ZipFile(tmp_path / "a.pt") as sound:
            members = {name: sound.read(name) for name in sound.namelist()}
        with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in members.items():
                packed.writestr(name, content + bytes(10_000_000))
        assert "more than it is long" in refused(tmp_path / "a.pt")

    def test_what_are_no_plain_tensors(self, tmp_path, tensors):
        for name, other in (("out_conv.conv.bias", torch.zeros(1).to_sparse()), (1, torch.ones(1))):
            torch.save({**tensors, name: other}, tmp_path / "a.pt")
            assert "state dict" in refused(tmp_path / "a.pt")

    def test_only_weights_errors_come_of_it(self, tmp_path):
        (tmp_path / "a.pt").write_bytes(b"PK\x05\x06" + bytes(18))
        with pytest.raises(WeightsError):
            load_model(tmp_path / "a.pt")
