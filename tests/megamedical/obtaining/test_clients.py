"""Collections with clients of their own, which stand-ins play here: no network, no accounts."""

from __future__ import annotations

import zipfile
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
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


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Make a stand-in of a client, a module of some source, that its process imports."""
    (tmp_path / "clients").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "clients")

    def make(name: str, source: str, **values: object) -> None:
        path = tmp_path / "clients" / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        given = "".join(f"{key} = {value!r}\n" for key, value in values.items())
        path.write_text(f"from pathlib import Path\n{given}{dedent(source)}")

    return make


GDOWN = """
    import requests
    def download(*, id, output, quiet, resume, timeout):
        assert (id, quiet) == ("1aBc_d", True)
        failures = Path(__file__).with_suffix(".failures")
        tried = len(failures.read_text()) if failures.exists() else 0
        if tried < len(FAILS):
            failures.write_text("x" * (tried + 1))
            raise eval(FAILS[tried])("token=hidden")
        print("token=hidden")
        Path(output).write_bytes(CONTENT)
        return output
"""


def test_google_drive(play, target, capfd):
    play("gdown", GDOWN, CONTENT=SCANS, FAILS=())
    fetch("gdrive:1aBc_d", target)
    assert target.read_bytes() == SCANS
    assert "hidden" not in "".join(capfd.readouterr())


def test_file_of_a_kaggle_dataset(play, target):
    fake = """
        def dataset_download(handle, *, path, output_dir, force_download):
            assert (handle, path, force_download) == ("owner/data", "folder/a.zip", True)
            (Path(output_dir) / "a.zip").write_bytes(CONTENT)
            return f"{output_dir}/a.zip"
    """
    play("kagglehub", fake, CONTENT=SCANS)
    fetch("kaggle:owner/data/folder/a.zip", target)
    assert target.read_bytes() == SCANS


def test_whole_kaggle_dataset_becomes_an_archive_that_is_always_the_same(play, target):
    fake = """
        def dataset_download(handle, *, path, output_dir, force_download):
            assert (handle, path) == ("owner/data", None)
            for name in ("b.png", "a/a.png", ".complete/x"):
                (Path(output_dir) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(output_dir) / name).write_bytes(name.encode())
            return output_dir
    """
    play("kagglehub", fake)
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


def test_synapse(play, target):
    play(
        "synapseclient.__init__",
        """
        class Synapse:
            def __init__(self, silent):
                assert silent
                self.is_logged_in = False
            def login(self, silent):
                self.is_logged_in = silent
        """,
    )
    play(
        "synapseclient.operations",
        """
        from types import SimpleNamespace as FileOptions
        def get(syn_id, *, file_options, synapse_client):
            assert syn_id == "syn123" and synapse_client.is_logged_in
            path = Path(file_options.download_location) / "RawData.zip"
            path.write_bytes(CONTENT)
            return FileOptions(path=str(path))
        """,
        CONTENT=SCANS,
    )
    fetch("synapse:syn123", target)
    assert target.read_bytes() == SCANS


def test_idc(play, target):
    fake = """
        class IDCClient:
            def download_collection(self, collection, folder, **_):
                (Path(folder) / collection).mkdir()
                (Path(folder) / collection / "1.dcm").write_bytes(b"DICM")
    """
    play("idc_index", fake)
    fetch("idc:nci_isbi", target)
    with zipfile.ZipFile(target) as content:
        assert content.namelist() == ["nci_isbi/1.dcm"]


WAITING = """
    import time
    def dataset_download(handle, *, path, output_dir, force_download):
        scans = Path(output_dir, "scans")
        scans.write_bytes(CONTENT)
        while not Path(HEARD).exists():
            time.sleep(0.01)
        return str(scans)
"""


def test_what_has_arrived_is_told(play, target, tmp_path, monkeypatch):
    told = []

    def report(arrived: int, length: int | None) -> None:
        told.append((arrived, length))
        if arrived:
            (tmp_path / "heard").touch()

    monkeypatch.setattr(clients, "_EVERY", 0.01)
    play("kagglehub", WAITING, CONTENT=SCANS, HEARD=str(tmp_path / "heard"))
    fetch("kaggle:owner/scans", target, report=report)
    assert (len(SCANS), None) in told


def test_a_client_that_brings_nothing_is_ended(play, target, tmp_path, monkeypatch):
    monkeypatch.setattr(clients, "_EVERY", 0.01)
    monkeypatch.setattr(clients, "_PATIENCE", 0)
    play("kagglehub", WAITING, CONTENT=SCANS, HEARD=str(tmp_path / "never"))
    with pytest.raises(Unobtainable, match="less than 64 kB"):
        fetch("kaggle:owner/scans", target, attempts=1)
    assert not clients_at_work()


def test_a_client_ends_with_the_command(play, target, tmp_path, monkeypatch):
    """As soon as it is interrupted, and with all that the client started."""

    def interrupt(arrived: int, length: int | None) -> None:
        if arrived:
            raise KeyboardInterrupt

    monkeypatch.setattr(clients, "_EVERY", 0.01)
    play("kagglehub", WAITING, CONTENT=SCANS, HEARD=str(tmp_path / "never"))
    with pytest.raises(KeyboardInterrupt):
        download(["kaggle:owner/scans"], target, expected=None, size=None, report=interrupt)
    assert not clients_at_work()


def clients_at_work() -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if "megamedical.obtaining.client_process" in each.cmdline()
    ]


@pytest.mark.parametrize(
    ("url", "module", "line"),
    [
        ("gdrive:1", "gdown", "pip install 'megamedical[google-drive]'"),
        ("kaggle:a/b", "kagglehub", "pip install 'megamedical[kaggle]'"),
        ("synapse:syn1", "synapseclient", "pip install 'megamedical[synapse]'"),
        ("idc:x", "idc_index", "pip install 'megamedical[tcia]'"),
    ],
)
def test_missing_client_is_explained(play, target, url, module, line):
    play(module, "raise ImportError")
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


def test_no_credential_is_shown(play, target, capfd):
    play("gdown", "def download(**options): raise RuntimeError(f'token=hidden {options}')")
    with pytest.raises(Unobtainable, match=r"gdown cannot fetch it \(RuntimeError\)") as failure:
        fetch("gdrive:1?resourcekey=hidden", target)
    error: BaseException | None = failure.value
    assert "hidden" not in str(error)
    assert error.__cause__ is None
    assert "hidden" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("error", ["requests.ConnectionError", "requests.Timeout", "TimeoutError"])
def test_dropped_connection_is_tried_again(play, target, error):
    play("gdown", GDOWN, CONTENT=SCANS, FAILS=(error, error))
    assert fetch("gdrive:1aBc_d", target) == [1.0, 2.0]
    assert target.read_bytes() == SCANS


def test_web_page_is_never_trusted(play, target):
    play("gdown", GDOWN, CONTENT=b"<html>Too many users have viewed this file", FAILS=())
    with pytest.raises(Unobtainable, match="web page"):
        fetch("gdrive:1aBc_d", target)
    assert not target.exists()


def test_wrong_bytes_are_never_trusted(play, target):
    play("gdown", GDOWN, CONTENT=SCANS, FAILS=())
    with pytest.raises(ArchiveError, match="sha256"):
        fetch("gdrive:1aBc_d", target, expected=Digest("sha256", "0" * 64, "the manifest"))
    assert not target.exists()
