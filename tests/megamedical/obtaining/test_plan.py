"""`megamedical plan`: what a build would need, before a byte moves."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from megamedical import catalog
from megamedical.obtaining.plan import plan


def planned(names, raw, mirror=None, resolution=128):
    chosen = catalog().select(names)
    return plan(chosen, raw=raw, mirror=mirror, store=raw / "store", resolution=resolution)


def test_touches_nothing(tmp_path):
    planned(["acdc", "stare"], tmp_path / "raw")
    assert not list(tmp_path.iterdir())


def test_what_can_be_downloaded_is_told_from_what_is_fetched_by_hand(tmp_path):
    open_one, closed = planned(["acdc", "adni"], tmp_path).datasets
    assert (open_one.state, closed.state) == ("download", "by hand")
    assert open_one.to_download == ("ACDC.zip",)
    assert closed.how_to_get == catalog()["adni"].how_to_get
    assert closed.put_into == tmp_path / "adni" / "archives"
    assert closed.download == 0
    assert closed.unknown


def test_what_is_here_or_in_a_mirror_is_not_fetched_again(tmp_path, mirror):
    (found,) = planned(["acdc"], tmp_path, mirror).datasets
    assert (found.state, found.here, found.download) == ("ready", ("ACDC.zip",), 0)
    assert found.unpacked == catalog()["acdc"].archives[0].roughly
    shutil.copytree(mirror / "acdc", tmp_path / "acdc" / "archives")
    (found,) = planned(["acdc"], tmp_path).datasets
    assert found.state == "ready"


def test_a_folder_in_the_place_of_an_archive_needs_no_room(tmp_path):
    (tmp_path / "acdc" / "archives" / "ACDC.zip").mkdir(parents=True)
    (found,) = planned(["acdc"], tmp_path).datasets
    assert (found.state, found.download, found.unpacked) == ("ready", 0, 0)


def test_a_group_needs_its_own_archives_only(tmp_path):
    (found,) = planned(["msd/hippocampus"], tmp_path).datasets
    assert found.to_download == ("Task04_Hippocampus.tar",)


def test_the_store_grows_with_the_square_of_the_resolution(tmp_path):
    small, large = (planned(["acdc"], tmp_path, resolution=side) for side in (64, 128))
    assert large.need_store == pytest.approx(4 * small.need_store, rel=1e-3)


def test_the_store_of_a_real_build_is_no_larger_than_planned(built):
    """Twice over: miniatures are far smaller than the datasets, so they are counted by subject."""
    (found,) = plan(
        catalog().select(["stare/vk"]),
        raw=built.raw,
        mirror=None,
        store=built.store,
        resolution=128,
    ).datasets
    subjects = catalog()["stare"].groups["vk"].subjects
    assert 128**2 * 2 < found.store / subjects < 128**2 * 3


def test_too_little_room_is_said(megamedical, tmp_path, monkeypatch):
    little = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    result = megamedical("plan", "acdc", "--store", tmp_path / "store")
    assert "not enough room" in result.output


def test_the_command_says_where_to_put_what(megamedical, tmp_path):
    result = megamedical("plan", "adni", "acdc", "--store", tmp_path / "store")
    assert result.exit_code == 0
    assert re.search(r"acdc\s+download\s+2\.3 GB", result.output)
    assert f"{tmp_path / 'raw' / 'adni' / 'archives'}/" in result.output
    assert not list(tmp_path.iterdir())


def test_all_leaves_out_the_extra(megamedical, tmp_path):
    options = ("--store", tmp_path / "store", "--json")
    found = json.loads(megamedical("plan", "--all", *options).output)["datasets"]
    taken = [name for name, manifest in catalog().items() if manifest.role != "extra"]
    assert [each["dataset"] for each in found] == taken


def test_scripts_read_the_same(megamedical, tmp_path):
    said = json.loads(megamedical("plan", "acdc", "--store", tmp_path / "store", "--json").output)
    (found,) = said["datasets"]
    assert found["dataset"] == "acdc"
    assert found["commercial"] is False
    assert Path(found["put_into"]) == tmp_path / "raw" / "acdc" / "archives"
