"""Weights come back as they were saved; what is no weights is refused, and runs nothing."""

import pickle

import pytest
import torch

from megamedical.errors import MegaMedicalError
from universeg import UniverSeg
from universeg.weights import WeightsError, save


def small():
    torch.manual_seed(0)
    return UniverSeg([4, 6], [5])


def test_what_is_saved_comes_back(tmp_path):
    model, path = small(), tmp_path / "model.safetensors"
    save(model, path)
    back = UniverSeg.from_pretrained(path)
    assert back.architecture == model.architecture
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], tensor, rtol=0, atol=0)
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_state_dict_of_torch_is_read_too(tmp_path):
    model, path = small(), tmp_path / "model.pt"
    torch.save(model.state_dict(), path)
    back = UniverSeg.from_pretrained(str(path))
    assert list(back.state_dict()) == list(model.state_dict())


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def test_a_checkpoint_that_holds_code_does_not_run_it(tmp_path):
    path, mark = tmp_path / "model.pt", tmp_path / "ran"
    torch.save({"weight": Bomb(mark)}, path)
    with pytest.raises(WeightsError, match="could run any code"):
        UniverSeg.from_pretrained(path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(WeightsError):
        UniverSeg.from_pretrained(tmp_path / "plain.pt")
    assert not mark.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_files_that_are_no_weights_are_refused_in_words(tmp_path, name, damage):
    path = tmp_path / name
    if name.endswith(".pt"):
        torch.save(small().state_dict(), path)
    else:
        save(small(), path)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        damaged = {"empty": b"", "cut": content[: len(content) // 2], "text": b"404 Not Found"}
        path.write_bytes(damaged[damage])
    with pytest.raises(MegaMedicalError) as refused:
        UniverSeg.from_pretrained(path)
    assert str(path) in refused.value.problem
    assert refused.value.remedy


def test_weights_of_another_network_are_refused_by_what_differs(tmp_path):
    tensors = small().state_dict()
    del tensors["out_conv.conv.bias"]
    torch.save(tensors, tmp_path / "model.pt")
    with pytest.raises(WeightsError, match=r"out_conv\.conv\.bias|does not hold the weights"):
        UniverSeg.from_pretrained(tmp_path / "model.pt")


def test_released_weights_are_fetched_once_and_their_licence_is_shown(
    tmp_path, monkeypatch, capsys
):
    fetched = []

    def download(urls, target, **_):
        fetched.append(urls[0])
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.save(UniverSeg().state_dict(), target)

    monkeypatch.setenv("UNIVERSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("universeg.release.download", download)
    first = UniverSeg.from_pretrained("v1")
    assert "OpenRAIL++-M" in capsys.readouterr().err
    second = UniverSeg.from_pretrained("v1")
    assert capsys.readouterr().err == ""
    assert len(fetched) == 1
    assert first.architecture == second.architecture
