"""Stores merged and copied: what a build of all would give, or one sentence, never a part."""

from __future__ import annotations

import shutil
import subprocess
import sys

import fsspec
import pytest
from miniatures import build_miniatures, contents
from places import FIXTURES, ROOT
from tiny_store import Discs, write_store

from megamedical import copy, merge, open_store, verify
from megamedical.errors import StoreError

MERGER = """
import sys
sys.path.insert(0, sys.argv[1])
from megamedical import merge
merge(*sys.argv[3:], into=sys.argv[2])
"""

KILLED = """
import os
from megamedical.sharing import copying

written = copying._write
def write(*what):
    written(*what)
    os._exit(9)
copying._write = write
"""


@pytest.fixture
def labs(tmp_path):
    """Stores of two laboratories, which have one group both."""
    shared = Discs("shared", patients=(2, 1, 1))
    write_store(tmp_path / "a", shared, Discs("one"))
    write_store(tmp_path / "b", shared, Discs("two", labels=("disc", "ring")))
    return tmp_path / "a", tmp_path / "b"


def test_a_merged_store_is_what_a_build_of_all_gives(tmp_path, mirror):
    asked = {"mirror": mirror, "raw": tmp_path / "raw"}
    build_miniatures("wbc", store=tmp_path / "a", **asked)
    build_miniatures("stare", store=tmp_path / "b", **asked)
    build_miniatures("wbc", "stare", store=tmp_path / "both", **asked)
    merge(tmp_path / "a", tmp_path / "b", into=tmp_path / "merged")
    assert contents(tmp_path / "merged") == contents(tmp_path / "both")


def test_a_group_of_both_is_taken_once(labs, tmp_path):
    brought = merge(*labs, into=tmp_path / "c")
    assert sorted(brought.copied) == ["one/discs", "shared/discs", "two/discs"]
    assert len(open_store(tmp_path / "c")) == 4
    assert verify(tmp_path / "c").problems == ()
    again = merge(*labs, into=tmp_path / "c")
    assert again.copied == ()
    assert again.fingerprint == brought.fingerprint


def test_one_of_them_may_be_added_to(labs):
    a, b = labs
    assert merge(a, b, into=a).copied == ("two/discs",)
    assert verify(a).problems == ()


class TestRefusals:
    def test_another_resolution(self, labs, tmp_path):
        write_store(tmp_path / "large", Discs("three"), size=32)
        with pytest.raises(StoreError, match=r"has resolution 16, .*large has 32"):
            merge(labs[0], tmp_path / "large", into=tmp_path / "c")
        with pytest.raises(StoreError, match="resolution 32, not 16"):
            copy(labs[0], tmp_path / "large")
        assert not (tmp_path / "c").exists()

    def test_the_same_group_of_something_else(self, labs, tmp_path):
        write_store(tmp_path / "other", Discs("one", patients=(3, 2, 1)))
        with pytest.raises(StoreError, match=r"one/discs was made from something else"):
            merge(labs[0], tmp_path / "other", into=tmp_path / "c")
        before = contents(tmp_path / "other")
        with pytest.raises(StoreError, match=r"one/discs was made from something else"):
            copy(labs[0], tmp_path / "other")
        assert contents(tmp_path / "other") == before

    def test_a_patient_in_two_splits(self, tmp_path):
        write_store(tmp_path / "a", Discs("one", group="mri", patients=(3, 1, 1)))
        write_store(tmp_path / "b", Discs("one", group="ct", patients=(1, 3, 1)))
        with pytest.raises(StoreError, match="Patient 001 of one would be in two splits"):
            merge(tmp_path / "a", tmp_path / "b", into=tmp_path / "c")
        assert len(open_store(tmp_path / "c")) == 0

    def test_a_damaged_file(self, labs, tmp_path):
        shard = labs[0] / "one/discs/images/c/0/0/0"
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
        with pytest.raises(StoreError, match="images/c/0/0/0 is missing, or is not as"):
            merge(*labs, into=tmp_path / "c")
        assert len(open_store(tmp_path / "c")) == 0

    def test_a_name_that_is_not_there(self, labs, tmp_path):
        with pytest.raises(StoreError, match="Did you mean shared"):
            copy(labs[0], tmp_path / "c", "share")


class TestCopies:
    def test_a_copy_is_the_same(self, labs, tmp_path):
        copy(labs[0], tmp_path / "c")
        assert contents(tmp_path / "c") == contents(labs[0])

    def test_some_datasets(self, labs, tmp_path):
        assert copy(labs[0], tmp_path / "c", "one").copied == ("one/discs",)
        assert copy(labs[0], tmp_path / "c", "shared/discs").copied == ("shared/discs",)
        assert contents(tmp_path / "c") == contents(labs[0])

    def test_to_a_url_and_back(self, labs, tmp_path):
        url = "memory://copied/store"
        copy(labs[0], url)
        assert verify(url).problems == ()
        copy(url, tmp_path / "back")
        assert contents(tmp_path / "back") == contents(labs[0])
        fsspec.filesystem("memory").rm("/copied", recursive=True)


class TestBesideOthers:
    def test_two_that_merge_into_one_place_take_turns(self, labs, tmp_path):
        command = [sys.executable, "-c", MERGER, FIXTURES, tmp_path / "c"]
        both = [subprocess.Popen([*map(str, [*command, lab])], cwd=ROOT) for lab in labs]
        assert [process.wait() for process in both] == [0, 0]
        assert verify(tmp_path / "c").problems == ()
        assert len(open_store(tmp_path / "c")) == 4

    def test_one_that_is_killed_leaves_the_store_as_it_was(self, labs, tmp_path):
        """It is stopped in its turn, when a part of the groups is copied."""
        target = tmp_path / "c"
        shutil.copytree(labs[0], target)
        code = KILLED + MERGER
        arguments = [sys.executable, "-c", code, FIXTURES, target, labs[1]]
        assert subprocess.run([*map(str, arguments)], cwd=ROOT, check=False).returncode == 9
        assert verify(target).problems == ()
        assert contents(labs[0]).items() <= contents(target).items()
        assert merge(labs[1], into=target).copied == ("two/discs",)
        assert verify(target).problems == ()


def test_the_commands_say_what_they_did(megamedical, labs, tmp_path):
    done = megamedical("merge", *labs, "--store", tmp_path / "c")
    assert done.exit_code == 0
    assert "3 groups copied" in done.output
    done = megamedical("copy", tmp_path / "c", tmp_path / "d", "two", "shared")
    assert "2 groups copied" in done.output
    done = megamedical("merge", tmp_path / "nowhere", "--store", tmp_path / "e")
    assert done.exit_code == 1
    assert "There is no store at" in done.output
