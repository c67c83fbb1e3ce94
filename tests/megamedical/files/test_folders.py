"""Which files are in a folder: each once, by its path there, in the order of the paths."""

from __future__ import annotations

import os

import pytest

from megamedical.errors import ArchiveError
from megamedical.files.folders import files_in, list_files

NAMES = ["a/x/1", "a/2", "a.txt", "b", ".hidden/c", "b.d/.e"]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "folder" / "a")
    (tmp_path / "folder" / "file").symlink_to(tmp_path / "folder" / "b")
    return tmp_path / "folder"


def test_of_what_was_unpacked_no_folder_is_seen_twice(folder):
    tree = list_files([folder])
    assert list(tree) == [".hidden/c", "a/2", "a/x/1", "a.txt", "b", "file"]
    assert all(path == folder / name for name, path in tree.items())


def test_of_a_users_own_links_are_followed_once(folder):
    found = files_in(folder)
    assert list(found) == ["a/2", "a/x/1", "a.txt", "b", "file"]
    (folder / "a" / "outside").symlink_to(folder.parent)
    assert list(files_in(folder / "a")) == [
        "2",
        "outside/folder/a.txt",
        *[f"outside/folder/{name}" for name in ("b", "file")],
        "x/1",
    ]


def test_what_is_not_there_has_no_files(tmp_path):
    assert list_files([tmp_path / "nothing"]) == {}


@pytest.mark.parametrize("listed", [files_in, lambda folder: list_files([folder])])
@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_named(folder, listed):
    (folder / "a").chmod(0)
    with pytest.raises(ArchiveError, match="a cannot be read"):
        listed(folder)
