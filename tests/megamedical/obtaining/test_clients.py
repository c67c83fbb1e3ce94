"""Collections with clients of their own, which stand-ins play here: no network, no accounts."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from threading import Event
from types import ModuleType, SimpleNamespace

import pytest
import requests
from misbehaving import zip_of
from places import ROOT

from megamedical.errors import ArchiveError, Unobtainable
from megamedical.files.checksums import Digest, sha256_of
from megamedical.obtaining import clients
from megamedical.obtaining.fetch import fetch as download

SCANS = zip_of(300)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "raw" / "ACDC.zip"


def fetch(url, target, *, attempts=3, expected=None, report=None) -> list[float]:
    waits: list[float] = []
    download(
        [url],
        target,
        expected=expected,
        size=None,
        attempts=attempts,
        wait=waits.append,
        report=report,
    )
    assert {path.name for path in target.parent.iterdir()} == {target.name, f".{target.name}.lock"}
    return waits


def play(monkeypatch, name: str, **content) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


def play_gdown(monkeypatch, *, fails=(), content=SCANS) -> list[dict]:
    """A client that fails with the given errors first."""
    asked, fails = [], list(fails)

    def fake(**options):
        asked.append(options)
        if fails:
            raise fails.pop(0)
        Path(options["output"]).write_bytes(content)
        return options["output"]

    play(monkeypatch, "gdown", download=fake)
    return asked


def test_google_drive(monkeypatch, target):
    asked = play_gdown(monkeypatch)
    fetch("gdrive:1aBc_d", target)
    assert target.read_bytes() == SCANS
    assert asked[0]["id"] == "1aBc_d"
    assert asked[0]["quiet"]


def test_file_of_a_kaggle_dataset(monkeypatch, target):
    def fake(handle, *, path, output_dir, force_download):
        assert (handle, path, force_download) == ("owner/data", "folder/a.zip", True)
        (Path(output_dir) / "a.zip").write_bytes(SCANS)
        return f"{output_dir}/a.zip"

    play(monkeypatch, "kagglehub", dataset_download=fake)
    fetch("kaggle:owner/data/folder/a.zip", target)
    assert target.read_bytes() == SCANS


def test_whole_kaggle_dataset_becomes_an_archive_that_is_always_the_same(monkeypatch, target):
    def fake(handle, *, path, output_dir, force_download):
        assert (handle, path) == ("owner/data", None)
        for name in ("b.png", "a/a.png", ".complete/x"):
            (Path(output_dir) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(output_dir) / name).write_bytes(name.encode())
        return output_dir

    play(monkeypatch, "kagglehub", dataset_download=fake)
    fetch("kaggle:owner/data", target)
    with zipfile.ZipFile(target) as content:
        assert {name: content.read(name) for name in content.namelist()} == {
            "a/a.png": b"a/a.png",
            "b.png": b"b.png",
        }
    first = sha256_of(target)
    target.unlink()
    fetch("kaggle:owner/data", target)
    assert sha256_of(target) == first


def test_synapse(monkeypatch, target):
    logins = []

    class Synapse:
        def __init__(self, silent) -> None:
            assert silent

        def login(self, silent):
            logins.append(silent)

    def get(syn_id, *, file_options, synapse_client):
        assert syn_id == "syn123"
        assert isinstance(synapse_client, Synapse)
        path = Path(file_options.download_location) / "RawData.zip"
        path.write_bytes(SCANS)
        return SimpleNamespace(path=str(path))

    play(monkeypatch, "synapseclient", Synapse=Synapse)
    play(monkeypatch, "synapseclient.operations", FileOptions=SimpleNamespace, get=get)
    fetch("synapse:syn123", target)
    assert target.read_bytes() == SCANS
    assert logins == [True]


def test_idc(monkeypatch, target):
    class IDCClient:
        def download_collection(self, collection, folder, **_):
            (Path(folder) / collection).mkdir()
            (Path(folder) / collection / "1.dcm").write_bytes(b"DICM")

    play(monkeypatch, "idc_index", IDCClient=IDCClient)
    fetch("idc:nci_isbi", target)
    with zipfile.ZipFile(target) as content:
        assert content.namelist() == ["nci_isbi/1.dcm"]


def test_what_has_arrived_is_told_for_a_client_that_does_not(monkeypatch, target):
    told, heard = [], Event()

    def fake(*_: object, output_dir: str, **__: object) -> str:
        Path(output_dir, "scans").write_bytes(SCANS)
        assert heard.wait(10)
        return f"{output_dir}/scans"

    def report(arrived: int, length: int | None) -> None:
        told.append((arrived, length))
        if arrived:
            heard.set()

    monkeypatch.setattr(clients, "_EVERY", 0.001)
    play(monkeypatch, "kagglehub", dataset_download=fake)
    fetch("kaggle:owner/scans", target, report=report)
    assert (len(SCANS), None) in told


@pytest.mark.parametrize(
    ("url", "module", "line"),
    [
        ("gdrive:1", "gdown", "pip install 'megamedical[google-drive]'"),
        ("kaggle:a/b", "kagglehub", "pip install 'megamedical[kaggle]'"),
        ("synapse:syn1", "synapseclient", "pip install 'megamedical[synapse]'"),
        ("idc:x", "idc_index", "pip install 'megamedical[tcia]'"),
    ],
)
def test_missing_client_is_explained(monkeypatch, target, url, module, line):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unobtainable) as failure:
        fetch(url, target)
    assert line in failure.value.problem
    assert f"  - {url}: " in failure.value.problem


def test_every_extra_exists():
    from importlib.metadata import metadata

    from megamedical.obtaining.clients import CLIENTS

    extras = set(metadata("megamedical").get_all("Provides-Extra") or ())
    declared = ROOT / "pyproject.toml"
    for client in CLIENTS.values():
        assert client.extra in extras or f"\n{client.extra} = [" in declared.read_text()


def test_no_credential_is_shown(monkeypatch, target):
    play_gdown(monkeypatch, fails=[RuntimeError("token=hidden")])
    with pytest.raises(Unobtainable, match=r"gdown cannot fetch it \(RuntimeError\)") as failure:
        fetch("gdrive:1?resourcekey=hidden", target)
    error: BaseException | None = failure.value
    assert "hidden" not in str(error)
    assert error.__cause__ is None


@pytest.mark.parametrize("error", [requests.ConnectionError, requests.Timeout, TimeoutError])
def test_dropped_connection_is_tried_again(monkeypatch, target, error):
    play_gdown(monkeypatch, fails=[error("hidden"), error("hidden")])
    assert fetch("gdrive:1", target) == [1.0, 2.0]
    assert target.read_bytes() == SCANS


def test_web_page_and_wrong_bytes_are_never_trusted(monkeypatch, target):
    play_gdown(monkeypatch, content=b"<html>Too many users have viewed this file")
    with pytest.raises(Unobtainable, match="web page"):
        fetch("gdrive:1", target)
    assert not target.exists()
    play_gdown(monkeypatch)
    with pytest.raises(ArchiveError, match="sha256"):
        fetch("gdrive:1", target, expected=Digest("sha256", "0" * 64, "the manifest"))
    assert not target.exists()
