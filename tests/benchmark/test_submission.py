"""Results packed for others: the same file from the same results, and nothing that is not right."""

from __future__ import annotations

import json
import shutil
import zipfile

import pyarrow.parquet as pq
import pytest
import yaml
from benchmark_command import call
from tiny_store import SUITE, Discs, write_store

from benchmark.machine.places import without_folders
from benchmark.results import read_results, read_rows, write_rows
from benchmark.submission import CONTENTS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of two laboratories, of a method each, and the first one's in a file."""
    folder = tmp_path_factory.mktemp("labs")
    write_store(folder / "store", Discs("one"), Discs("two"))
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE))
    shared = ["--store", folder / "store", "--suite", folder / "suite.yaml"]
    for lab, method in (("a", "mean-mask"), ("b", "nearest")):
        said = call("run", *shared, "--method", method, "--limit", 2, "--out", folder / lab)
        assert said.exit_code == 0, said.output
    said = call("pack", folder / "a", "--out", folder / "a.zip")
    assert said.exit_code == 0, said.output
    return folder


def test_two_laboratories_are_ranked_together(made):
    said = call("leaderboard", made / "b", made / "a.zip", "--json")
    assert said.exit_code == 0, said.output
    (ranking,) = json.loads(said.stdout)["rankings"]
    assert {one["method"] for one in ranking["standings"]} == {"mean-mask", "nearest"}
    said = call("leaderboard", made / "b", made / "a", "--html", made / "board.html")
    assert said.exit_code == 0, said.output
    page = (made / "board.html").read_text()
    assert "--support-size 3" in page
    assert "--limit 2" in page


def test_a_folder_of_files_stands_for_all_of_them(made, tmp_path):
    shutil.copy(made / "a.zip", tmp_path / "a.zip")
    assert call("pack", made / "b", "--out", tmp_path / "b.zip").exit_code == 0
    said = call("leaderboard", tmp_path, "--json")
    assert said.exit_code == 0, said.output
    (ranking,) = json.loads(said.stdout)["rankings"]
    assert {one["method"] for one in ranking["standings"]} == {"mean-mask", "nearest"}


def test_a_mistyped_store_is_said_before_anything_is_ranked(made, tmp_path):
    said = call("leaderboard", made / "b", "--store", tmp_path / "none", "--json")
    assert said.exit_code == 1
    assert "There is no store at" in said.output


def test_what_is_packed_is_whole_and_the_same_each_time(made):
    said = call("check", made / "a.zip")
    assert said.exit_code == 0, said.output
    assert "12 rows of mean-mask on 2 tasks, suite small" in said.output
    call("pack", made / "a", "--out", made / "again.zip")
    assert (made / "again.zip").read_bytes() == (made / "a.zip").read_bytes()
    with zipfile.ZipFile(made / "a.zip") as archive:
        says = json.loads(archive.read(CONTENTS))
        assert {*says["files"], CONTENTS} == {*archive.namelist()}


def test_nothing_says_where_files_lay_on_a_machine(made, tmp_path):
    """Not what is written, nor what is packed of results that said it."""
    for path in made.rglob("method.json"):
        assert json.loads(path.read_text())["store"] == "store"
        assert str(made) not in path.read_text()
    shutil.copytree(made / "a", tmp_path / "old")
    for path in tmp_path.rglob("method.json"):
        asked = "mean-mask:/home/ann/runs/best.safetensors+tune=9s"
        options = ["--native /home/ann/native.parquet"]
        said = json.loads(path.read_text()) | {"store": "/home/ann/store", "asked": asked}
        path.write_text(json.dumps(said | {"options": options}))
        kept = sorted(path.parent.glob("*.parquet"))
    failure = "FileNotFoundError: no such file: '/home/ann/weights/x.npy'"
    rows = [row | {"dice": None, "mask": None, "failure": failure} for row in read_rows(kept[0])]
    write_rows(rows, kept[0])
    said = call("pack", tmp_path / "old", "--out", tmp_path / "old.zip")
    assert said.exit_code == 0, said.output
    assert call("check", tmp_path / "old.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "old.zip") as archive:
        archive.extractall(tmp_path / "new")
    rows, (found,) = read_results(tmp_path / "new")
    assert (found.asked, found.store) == ("mean-mask:best.safetensors+tune=9s", "store")
    assert found.options == ["--native native.parquet"]
    assert set(rows["failure"]) == {"", "FileNotFoundError: no such file: 'x.npy'"}
    for path in (tmp_path / "new").rglob("*.json"):
        assert "ann" not in path.read_text()
    told = call("leaderboard", tmp_path / "old", "--json").stdout
    assert "/home/ann" not in json.dumps(json.loads(told)["methods"])


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("universeg:/home/ann b/best.safetensors+tune=9s", "universeg:best.safetensors+tune=9s"),
        (r"C:\Users\ann\my.py:Mine:3", "my.py:Mine:3"),
        (r"\\server\share\my.py:Mine", "my.py:Mine"),
        ("~/methods/my.py:Mine", "my.py:Mine"),
        ("file:///home/ann/w.safetensors", "w.safetensors"),
        ("runs/my.py:Mine:1/2", "runs/my.py:Mine:1/2"),
        ("https://example.org/a/b, 3 / 4", "https://example.org/a/b, 3 / 4"),
        ("s3://bucket/store", "s3://bucket/store"),
    ],
)
def test_files_go_by_their_names_and_all_else_stays(told, kept):
    assert without_folders(told) == kept


def altered(made, path, **changes: object):
    """The file with other contents; None leaves one out."""
    with zipfile.ZipFile(made / "a.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (contents | changes).items():
            if content is not None:
                archive.writestr(name, content)
    return path


def test_what_was_changed_or_does_not_belong_there_is_refused(made, tmp_path):
    with zipfile.ZipFile(made / "a.zip") as archive:
        name = next(each for each in archive.namelist() if each.endswith(".parquet"))
        says = json.loads(archive.read(CONTENTS))
    rows = tmp_path / "rows.parquet"
    pq.write_table(pq.read_table(next(made.glob("b/**/*.parquet"))), rows)
    for changes, said in (
        ({name: rows.read_bytes()}, "its SHA-256 differs"),
        ({name: None}, "does not hold what it says"),
        ({"more.parquet": b""}, "does not hold what it says"),
        ({"../out.json": b"{}"}, "does not belong there"),
        ({"run.py": b""}, "does not belong there"),
        ({"zeros.json": None, "a.json": b"0"}, "does not hold what it says"),
        ({CONTENTS: json.dumps(says | {"rows": 1}).encode()}, "says rows 1, its rows 12"),
        ({CONTENTS: b"[]"}, "is no file of results"),
    ):
        refused = call("check", altered(made, tmp_path / "odd.zip", **changes))
        assert refused.exit_code == 1, changes.keys()
        assert said in " ".join(refused.output.split()), said
    assert not (tmp_path / "out.json").exists()
    (tmp_path / "text.zip").write_text("no archive")
    assert "is no file of results" in " ".join(call("check", tmp_path / "text.zip").output.split())


def test_rows_of_0_1_are_read_and_ranked(made, tmp_path):
    shutil.copytree(made / "a", tmp_path / "old")
    later = ["track", "support", "draws", "expected", "cldice", "object_f1", "calibration_error"]
    later += ["dice_at", "native_dice", "native_hd95", "device", "fit_seconds"]
    for path in tmp_path.rglob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(later), path)
        assert all(row["track"] is None for row in read_rows(path))
    for path in tmp_path.rglob("method.json"):
        said = json.loads(path.read_text())
        del said["options"]
        path.write_text(json.dumps(said))
    said = call("leaderboard", tmp_path / "old", made / "b", "--json")
    assert said.exit_code == 0, said.output
    (ranking,) = json.loads(said.stdout)["rankings"]
    assert ranking["track"] == "in context"
    assert {one["method"] for one in ranking["standings"]} == {"mean-mask", "nearest"}
    rows, _ = read_results(tmp_path / "old")
    assert rows["dice"].notna().all()
