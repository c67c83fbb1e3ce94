"""`megamedical download`: every archive that can be had, several at a time, whatever one does."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from misbehaving import OTHER, SCANS, Site, running_site, serve, status
from rich.console import Console

from megamedical.catalogue.datasets import Selection
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import MegaMedicalError
from megamedical.obtaining.download import NotFetched, download
from megamedical.reporting.downloads import SilentTransfers, transfers


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_site() as server:
        yield server


@pytest.fixture
def raw(tmp_path) -> Path:
    return tmp_path / "raw"


def facts(name: str, *archives: dict) -> dict:
    return {
        "id": name,
        "title": name,
        "home": None,
        "role": "train",
        "access": "registration",
        "how_to_get": f"Register for {name}.",
        "licence": {"name": "CC0"},
        "citation": {"title": name, "authors": "A", "year": 2020},
        "archives": list(archives),
        "groups": {
            "all": {
                "modality": "mri",
                "dimension": 2,
                "labels": {1: "it"},
                "subjects": 1,
                "image": "{subject}.png",
                "mask": {"decode": "values", "file": "{subject}_mask.png"},
                "subject": "{subject}",
                "patient": "{subject}",
            }
        },
    }


def chosen(*archives: dict, name: str = "acdc") -> list[Selection]:
    return [Selection(DatasetManifest.model_validate(facts(name, *archives)))]


def archive(name: str, *urls: str, content: bytes = SCANS, **more) -> dict:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "urls": list(urls), "sha256": digest, **more}


def test_all_that_can_be_had_is_had(site, raw):
    archives = [archive(f"{n}.zip", site.url(f"/{n}", serve())) for n in range(9)]
    fetching = download(chosen(*archives), raw=raw, jobs=3)
    assert fetching.is_complete
    assert [each.archive for each in fetching.fetched] == [a["name"] for a in archives]
    for each in fetching.fetched:
        assert each.place == raw / "acdc" / "archives" / each.archive
        assert each.place.read_bytes() == SCANS
        assert not each.was_there


def test_one_failure_stops_no_other(site, raw):
    gone = archive("gone.zip", site.url("/gone", status(404)))
    wrong = archive("wrong.zip", site.url("/wrong", serve(OTHER)))
    fine = archive("fine.zip", site.url("/fine", serve()))
    told: list[object] = []
    fetching = download(chosen(gone, wrong, fine), raw=raw, jobs=1, done=told.append)
    assert not fetching.is_complete
    assert [each.archive for each in fetching.fetched] == ["fine.zip"]
    assert [each.archive for each in fetching.failed] == ["gone.zip", "wrong.zip"]
    assert "404" in fetching.failed[0].reason
    assert "sha256" in fetching.failed[1].reason
    assert all(each.remedy for each in fetching.failed)
    assert len(told) == 3


def test_again_asks_no_server_but_checks(site, raw):
    selection = chosen(archive("a.zip", site.url("/a", serve())))
    download(selection, raw=raw)
    (again,) = download(selection, raw=raw).fetched
    assert again.was_there
    assert len(site.asked) == 1
    again.place.write_bytes(OTHER)
    (failed,) = download(selection, raw=raw).failed
    assert "Delete it" in failed.remedy
    assert again.place.read_bytes() == OTHER


def test_no_more_at_a_time_than_asked_for(site, raw):
    at_once, lock = [0], threading.Lock()
    seen: list[int] = []

    class Counting(SilentTransfers):
        @contextmanager
        def file(self, name):
            with lock:
                at_once[0] += 1
                seen.append(at_once[0])
            with super().file(name) as report:
                yield report
            with lock:
                at_once[0] -= 1

    download(
        chosen(*(archive(f"{n}", site.url(f"/{n}", serve())) for n in range(12))),
        raw=raw,
        jobs=2,
        transfers=Counting(),
    )
    assert len(seen) == 12
    assert max(seen) <= 2


def test_what_must_be_fetched_by_hand_is_left_to_the_user(site, raw):
    selection = chosen(archive("a.zip", site.url("/a", serve())), {"name": "secret.zip"})
    fetching = download(selection, raw=raw)
    assert not fetching.failed
    assert not fetching.is_complete
    (dataset,) = fetching.datasets
    assert dataset.by_hand == ("secret.zip",)
    assert dataset.how_to_get == "Register for acdc."


def test_interrupted_it_ends_at_once_and_goes_on_later(site, raw):
    url = site.url("/a", serve(until=70_000), status(503, Retry_After="250"))
    selection = chosen(archive("a.zip", url), archive("b.zip", site.url("/b", status(404))))

    def interrupt(_: object):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(selection, raw=raw, jobs=2, done=interrupt)
    site.url("/a", serve())
    fetching = download(selection, raw=raw)
    assert [each.place.read_bytes() for each in fetching.fetched] == [SCANS]


def test_too_little_room_is_said_before_a_byte_moves(site, raw, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    selection = chosen(archive("a.zip", site.url("/a", serve()), size=len(SCANS)))
    with pytest.raises(MegaMedicalError, match=r"200\.0 kB are to be .* 1\.0 kB are free"):
        download(selection, raw=raw)
    assert not site.asked


def test_what_has_arrived_needs_no_room_again(site, raw, monkeypatch, tmp_path):
    """And the disk is asked again for what is missing, when the download begins."""
    selection = chosen(archive("a.zip", site.url("/a", serve()), size=len(SCANS)))
    part = raw / "acdc" / "archives" / "a.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(SCANS[:-500])
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (failed,) = download(selection, raw=raw).failed
    assert isinstance(failed, NotFetched)
    assert "No space left" in failed.reason


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown(site, raw, is_terminal, tmp_path):
    with (tmp_path / "shown").open("w") as file:
        console = Console(file=file, force_terminal=is_terminal, width=100)
        with transfers(console) as shown, shown.file("acdc/a.zip") as report:
            report(1_000_000, 2_000_000)
    said = (tmp_path / "shown").read_text()
    assert ("acdc/a.zip" in said) is is_terminal


# The command


def manifest(folder: Path, name: str, *archives: dict) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(facts(name, *archives)))
    return folder


def test_the_command_says_what_is_missing_and_how_to_get_it(megamedical, site, raw, tmp_path):
    folder = manifest(
        tmp_path / "manifests",
        "mine",
        archive("a.zip", site.url("/a", serve())),
        archive("gone.zip", f"{site.url('/gone', status(404))}?token=hidden"),
        {"name": "secret.zip"},
    )
    options = ("download", "mine", "--raw", raw, "--manifests", folder)
    result = megamedical(*options)
    assert result.exit_code == 3
    assert f"mine: {raw / 'mine' / 'archives' / 'a.zip'} is now there" in result.output
    assert "404" in result.output
    assert "Register for mine." in result.output
    assert "hidden" not in result.output
    said = json.loads(megamedical(*options, "--json").output)
    assert [each["was_there"] for each in said["fetched"]] == [True]
    assert [each["archive"] for each in said["failed"]] == ["gone.zip"]


def test_the_command_is_done_when_all_is_here(megamedical, site, raw, tmp_path):
    folder = manifest(tmp_path / "m", "mine", archive("a.zip", site.url("/a", serve())))
    result = megamedical("download", "mine", "--raw", raw, "--manifests", folder)
    assert result.exit_code == 0
    assert "mine: nothing is missing" in result.output
