"""Weights are saved whole and loaded exactly, and nothing that is loaded can run code."""

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from megamedical.errors import MegaMedicalError, Unobtainable
from megamedical.files.checksums import sha256_of
from universeg import UniverSeg
from universeg.weights import files as weights
from universeg.weights import releases as release
from universeg.weights.card import ModelCard
from universeg.weights.claims import WeightsError
from universeg.weights.files import read_card
from universeg.weights.models import load_model, load_universeg, save

BLOCKS = ([3, 4, 5], [2, 6])


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UniverSeg(*BLOCKS)


@pytest.fixture
def checkpoint(tmp_path, network):
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def saved(tmp_path, network):
    path = tmp_path / "weights.safetensors"
    save(network, path)
    return path


class Bomb:
    """An object that, unpickled, would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


def assert_same(found, expected):
    assert found.architecture == expected.architecture
    own = found.state_dict()
    assert list(own) == list(expected.state_dict())
    assert all(torch.equal(own[name], tensor) for name, tensor in expected.state_dict().items())


def test_what_is_saved_is_loaded(saved, network):
    assert_same(load_universeg(saved), network)
    assert_same(load_universeg(str(saved)), network)


def test_says_of_what_network_the_weights_are(saved):
    with safe_open(saved, framework="pt") as file:
        config = json.loads(file.metadata()["universeg"])
    blocks = {"encoder_blocks": BLOCKS[0], "decoder_blocks": BLOCKS[1]}
    assert config == {"version": 1, "model": "universeg", "architecture": blocks}


def test_reads_files_that_say_their_blocks_outside(network, tmp_path):
    blocks = {"encoder_blocks": BLOCKS[0], "decoder_blocks": BLOCKS[1]}
    said = {"universeg": json.dumps({"version": 1, **blocks})}
    save_file(network.state_dict(), tmp_path / "old.safetensors", metadata=said)
    assert_same(load_universeg(tmp_path / "old.safetensors"), network)
    assert_same(load_model(tmp_path / "old.safetensors"), network)


def test_the_same_weights_make_the_same_file(tmp_path, network):
    card = ModelCard(
        model="universeg",
        architecture={},
        megamedical="1",
        store="é",
        groups={},
        tasks=1,
        unseen=(),
        step=1,
        scores={},
        settings={},
    )
    for name in "abcdef":  # an order by chance would not stay the same six times
        save(network, tmp_path / name, card)
    assert len({(tmp_path / name).read_bytes() for name in "abcdef"}) == 1
    assert read_card(tmp_path / "a") == card


@pytest.mark.parametrize("added", [{"normalise": True}, {"attention_heads": 2}])
def test_keeps_what_was_added_to_a_network(tmp_path, added):
    network = UniverSeg((4, 4), (4,), **added)
    save(network, tmp_path / "a.safetensors")
    for load in (load_universeg, load_model):
        assert_same(load(tmp_path / "a.safetensors"), network)


def test_a_network_like_v1_is_saved_as_before(saved):
    with safe_open(saved, "pt") as file:
        config = json.loads(file.metadata()["universeg"])
    assert set(config["architecture"]) == {"encoder_blocks", "decoder_blocks"}


def test_no_home_and_no_place_to_write_are_told(tmp_path, monkeypatch):
    monkeypatch.delenv("UNIVERSEG_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(lambda _: _raise(RuntimeError("no home"))))
    with pytest.raises(Unobtainable, match="no home") as error:
        load_universeg("v1")
    assert "UNIVERSEG_CACHE" in error.value.remedy
    (tmp_path / "file").touch()
    monkeypatch.setenv("UNIVERSEG_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(Unobtainable, match=r"Weights cannot be kept in .*below") as error:
        load_universeg("v1")
    assert "UNIVERSEG_CACHE" in error.value.remedy


def _raise(error):
    raise error


def test_saves_any_memory_layout(tmp_path, network):
    save(network.to(memory_format=torch.channels_last), tmp_path / "a.safetensors")
    assert_same(load_universeg(tmp_path / "a.safetensors"), network)


def test_saves_whole_or_not_at_all(saved, network, monkeypatch):
    before = saved.read_bytes()

    write = Path.write_bytes

    def fail(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        save(network, saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_loads_a_state_dict_of_any_size_from_a_checkpoint(checkpoint, network):
    assert_same(load_universeg(checkpoint), network)


def test_says_that_there_is_no_file(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights at .*none\.pt") as error:
        load_universeg(tmp_path / "none.pt")
    assert isinstance(error.value, MegaMedicalError)
    assert "v1" in error.value.remedy


def test_says_that_a_folder_is_no_file(tmp_path):
    with pytest.raises(WeightsError, match="no weights at"):
        load_universeg(tmp_path)


@pytest.mark.parametrize("fixture", ["checkpoint", "saved"])
@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.99])
def test_says_that_a_file_is_not_whole(request, fixture, share):
    path = request.getfixturevalue(fixture)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match="not all of one") as error:
        load_universeg(path)
    assert "save it anew" in error.value.remedy


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors", "weights"])
def test_says_that_a_file_is_of_another_kind(tmp_path, name):
    path = tmp_path / name
    path.write_text("<!doctype html><title>Not found</title>")
    with pytest.raises(WeightsError, match=r"is not a (PyTorch checkpoint|safetensors file)"):
        load_universeg(path)


def test_says_that_an_archive_is_not_a_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.pt", "w") as archive:
        archive.writestr("letter.txt", "not weights")
    with pytest.raises(WeightsError, match="not a PyTorch checkpoint"):
        load_universeg(tmp_path / "weights.pt")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"model": {}, "epoch": torch.ones(1)}])
def test_says_that_a_checkpoint_is_not_a_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="does not hold a state dict") as error:
        load_universeg(tmp_path / "weights.pt")
    assert "torch.save(network.state_dict(), path)" in error.value.remedy


@pytest.mark.parametrize("content", [{}, {"conv.weight": torch.ones(1)}])
def test_says_that_weights_are_of_another_network(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="does not hold the weights of a UniverSeg"):
        load_universeg(tmp_path / "weights.pt")


def test_says_how_the_layout_differs(tmp_path, network):
    tensors = dict(network.state_dict())
    del tensors["out_conv.conv.bias"]
    tensors["out_conv.scale"] = torch.ones(1)
    tensors["enc_blocks.1.target.vmapped.conv.weight"] = torch.ones(4, 4, 5, 5)
    torch.save(tensors, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="is not for this network") as error:
        load_universeg(tmp_path / "weights.pt")
    assert error.value.problem.splitlines()[1:] == [
        "  enc_blocks.1.target.vmapped.conv.weight: (4, 4, 5, 5), expected (4, 4, 3, 3)",
        "  out_conv.conv.bias: missing, expected (1,)",
        "  out_conv.scale: (1,), expected no such thing",
    ]


def test_says_how_many_differences_are_left_out(tmp_path, network):
    other = {name: tensor[..., :1] for name, tensor in network.state_dict().items()}
    torch.save(other, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match=r"and \d+ more"):
        load_universeg(tmp_path / "weights.pt")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"universeg": "{"},
        {"universeg": "[]"},
        {"universeg": "{}"},
        {"universeg": '{"version": 1, "encoder_blocks": [4], "decoder_blocks": [4]}'},
        {"universeg": '{"version": 1, "encoder_blocks": ["4", "4"], "decoder_blocks": ["4"]}'},
        {"universeg": '{"version": 1, "encoder_blocks": [4.5, 4], "decoder_blocks": [4]}'},
    ],
)
def test_says_that_metadata_are_missing(tmp_path, network, metadata):
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path, metadata=metadata)
    with pytest.raises(WeightsError, match="does not say which network"):
        load_universeg(path)


def test_says_that_a_later_version_saved_it(tmp_path, network):
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path, metadata={"universeg": '{"version": 2}'})
    with pytest.raises(WeightsError, match="later version"):
        load_universeg(path)


def test_says_that_metadata_and_weights_contradict_each_other(tmp_path, network):
    path = tmp_path / "weights.safetensors"
    config = {"version": 1, "encoder_blocks": [3, 4, 5], "decoder_blocks": [2, 7]}
    save_file(network.state_dict(), path, metadata={"universeg": json.dumps(config)})
    with pytest.raises(WeightsError, match=r"dec_blocks\.1"):
        load_universeg(path)


def test_runs_no_code_of_a_checkpoint(tmp_path, network):
    torch.save({**network.state_dict(), "bomb": Bomb(tmp_path / "fired")}, tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="could run any code"):
        load_universeg(tmp_path / "weights.pt")
    assert not (tmp_path / "fired").exists()


def test_runs_no_code_of_a_bare_pickle(tmp_path):
    (tmp_path / "weights.pt").write_bytes(pickle.dumps(Bomb(tmp_path / "fired")))
    with pytest.raises(WeightsError, match="is not a PyTorch checkpoint"):
        load_universeg(tmp_path / "weights.pt")
    assert not (tmp_path / "fired").exists()


class TestRelease:
    """The released weights, delivered by a server that is not there."""

    @pytest.fixture
    def asked(self, tmp_path, monkeypatch):
        """The URLs that were asked for, for whatever lies in the file `released`."""
        monkeypatch.setenv("UNIVERSEG_CACHE", str(tmp_path / "cache"))
        urls = []

        def deliver(given, target, *, expected, size):
            urls.extend(given)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((tmp_path / "released").read_bytes())

        monkeypatch.setattr(release, "fetch", deliver)
        return urls

    def test_is_downloaded_once_and_its_licence_shown(self, asked, tmp_path, capsys):
        released = UniverSeg()
        torch.save(released.state_dict(), tmp_path / "released")
        assert_same(load_universeg("v1"), released)
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "OpenRAIL++-M" in shown.err
        assert "research" in shown.err

        assert_same(load_universeg("v1"), released)
        assert capsys.readouterr().err == ""
        (url,) = asked
        assert url.startswith("https://github.com/JJGO/UniverSeg/releases/")
        assert (tmp_path / "cache" / url.rpartition("/")[2]).is_file()

    @pytest.mark.parametrize("name", ["megamedical-base", "megamedical-mini"])
    def test_those_of_the_project_lie_in_its_repository(self, asked, name):
        network = load_universeg(name)
        assert sum(each.numel() for each in network.parameters()) < 2_000_000
        assert asked == []
        path = release.obtain(name)
        assert sha256_of(path) == release.RELEASES[name].sha256
        card = weights.read_card(path)
        assert card is not None
        held_out = {"acdc", "pandental", "scd", "spineweb", "stare", "wbc"}
        assert not held_out & {group.partition("/")[0] for group in card.groups}

    def test_those_of_the_project_are_fetched_without_it(
        self, asked, network, tmp_path, monkeypatch, capsys
    ):
        monkeypatch.setattr(release, "_REPOSITORY", tmp_path / "elsewhere")
        with pytest.raises(Unobtainable, match=r"GPL-3\.0") as error:
            load_universeg("megamedical-mini")
        assert str(tmp_path / "cache") in error.value.remedy

        monkeypatch.setenv("UNIVERSEG_RELEASES", "https://weights.example.org/")
        weights.write_file(
            tmp_path / "released",
            network,
            model="universeg",
            architecture=network.architecture.arguments,
            card=None,
        )
        assert_same(load_universeg("megamedical-mini"), network)
        assert "GPL-3.0" in capsys.readouterr().err
        assert asked == ["https://weights.example.org/megamedical-mini.safetensors"]

    @pytest.mark.usefixtures("asked")
    def test_is_held_to_the_layout(self, tmp_path, network):
        torch.save({**network.state_dict(), "more": torch.ones(1)}, tmp_path / "released")
        with pytest.raises(WeightsError, match="is not for this network") as error:
            load_universeg("v1")
        assert "run again" in error.value.remedy

    @pytest.mark.usefixtures("asked")
    def test_says_that_it_cannot_be_had(self, monkeypatch):
        def fail(*_: object, **__: object):
            raise Unobtainable("there is no network here")

        monkeypatch.setattr(release, "fetch", fail)
        with pytest.raises(Unobtainable):
            load_universeg("v1")

    @pytest.mark.parametrize(
        ("platform", "environment", "folder"),
        [
            ("linux", {}, "home/.cache/universeg"),
            ("linux", {"XDG_CACHE_HOME": "/scratch"}, "/scratch/universeg"),
            ("linux", {"XDG_CACHE_HOME": ""}, "home/.cache/universeg"),
            ("darwin", {"XDG_CACHE_HOME": "/scratch"}, "home/Library/Caches/universeg"),
            ("win32", {"LOCALAPPDATA": "/local"}, "/local/universeg/Cache"),
            ("win32", {}, "home/AppData/Local/universeg/Cache"),
            ("linux", {"UNIVERSEG_CACHE": "/here", "XDG_CACHE_HOME": "/scratch"}, "/here"),
        ],
    )
    def test_is_kept_where_the_platform_keeps_caches(
        self, tmp_path, monkeypatch, platform, environment, folder
    ):
        for name in ("UNIVERSEG_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(release.sys, "platform", platform)
        monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
        assert release.cache() == tmp_path / folder
