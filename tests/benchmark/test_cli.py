"""`megamedical-benchmark methods` and `run`: what they print, and the exit codes."""

from __future__ import annotations

import html
import shlex
from contextlib import nullcontext

import own_methods
import pandas as pd
import pytest
import typer
import yaml
from tiny_store import SUITE, Discs, write_store
from typer.testing import CliRunner

from benchmark.board.page import as_page
from benchmark.cli import app
from benchmark.evaluation import RunReport
from benchmark.method import About, method_names
from benchmark.ranking import leaderboard
from benchmark.results import ENSEMBLE, ROWS, Provenance, read_results

ROW = {
    "suite": "small",
    "protocol": "a" * 64,
    "data": "d" * 64,
    "method": "mean-mask",
    "version": "1",
    "weights": "",
    "task": SUITE["tasks"][0],
    "dataset": "one",
    "group": "one/discs",
    "subject": "a",
    "patient": "a",
    "support_size": 2,
    "draw": ENSEMBLE,
    "dice": 0.5,
    "seconds": 1.0,
    "memory": 1,
    "failure": "",
}
GONE = "acdc/challenge2017/mri/axial/mid/myocardium"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "store"
    write_store(folder, Discs("one"), Discs("two"))
    return folder


@pytest.fixture
def command(tmp_path, store):
    """The command in this process: `run` gets the store and a suite; called with the rest."""

    def call(name, *options: object, suite=SUITE):
        if name == "run":
            path = tmp_path / "small.yaml"
            path.write_text(yaml.safe_dump(suite))
            given = {"--store": store, "--suite": path, "--out": tmp_path / "out"}
            options = (*(each for pair in given.items() for each in pair), *options)
        result = CliRunner().invoke(app, [name, *map(str, options)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Methods of another package, some of which cannot be had."""
    own_methods.install(tmp_path, {**own_methods.NAMES, **own_methods.NOWHERE})
    monkeypatch.syspath_prepend(tmp_path)


def test_methods_are_listed_each_with_what_it_does(command):
    result = command("methods")
    assert result.exit_code == 0
    described = {line.split()[0]: line.split()[1:] for line in result.output.splitlines()}
    assert set(method_names()) <= set(described)
    assert all(described.values())
    assert "suite heldout: The held-out tasks of the UniverSeg paper, 16 tasks" in result.output


def test_methods_that_cannot_be_had_are_listed_with_the_reason(command, installed):
    result = command("methods")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    (told,) = (line for line in lines if line.startswith("told "))
    assert "remembers what it was shown" in told
    (absent,) = (line for line in lines if line.startswith("absent "))
    assert "cannot be imported from no_such_package: ModuleNotFoundError" in absent
    assert any("Two packages have a method nearest" in line for line in lines)


def test_a_whole_run_ends_with_0(command, tmp_path):
    result = command("run", "--method", "mean-mask", "--method", "registration", "--limit", 1)
    assert result.exit_code == 0, result.output
    assert f"6 rows in {tmp_path / 'out/small/mean-mask-v1'}" in result.output
    assert f"6 rows in {tmp_path / 'out/small/registration-v1'}" in result.output
    assert "mean-mask: 2 of 2 tasks" in result.output
    rows, _ = read_results(tmp_path / "out")
    assert set(rows["method"]) == {"mean-mask", "registration"}


def test_support_sizes_can_be_asked_for(command, tmp_path):
    sizes = ["--support-size", 1, "--support-size", 2, "--support-size", 2]
    result = command("run", "--method", "mean-mask", *sizes)
    assert result.exit_code == 0, result.output
    rows, _ = read_results(tmp_path / "out")
    assert set(rows["support_size"]) == {1, 2}
    assert f"{len(rows)} rows in" in result.output


def test_the_line_of_a_board_has_every_option_of_run(store, tmp_path, monkeypatch):
    """Whatever options there will be: they are those of the command, and all of them are given."""
    told = []

    def remembering(*arguments: object):
        told.extend(arguments[-1])
        return RunReport(tmp_path, 0, (), ())

    monkeypatch.setattr("benchmark.evaluation.run", remembering)
    monkeypatch.setattr("megamedical.building.workers.workers", lambda *_: nullcontext())
    own = {"method": "mean-mask", "store": store, "suite": tmp_path / "small.yaml"}
    own |= {
        "out": tmp_path / "out",
        "native": tmp_path / "a.b",
        "device": "cpu",
        "scheduler": "tls://ann.example:8786",
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SUITE))
    options, given = typer.main.get_command(app).commands["run"].params, []
    for option in options:
        if option.name == "help":
            continue
        given += [option.opts[0], *([] if option.is_flag else [own.get(option.name, 2)])]
    result = CliRunner().invoke(app, ["run", *map(str, given)])
    assert result.exit_code == 0, result.output
    told = list(dict.fromkeys(told))
    about = About("mean-mask", "no paper")
    provenance = Provenance("mean-mask", about, "2 cores", "0", "store", "f" * 64, (), told)
    rows = pd.DataFrame([ROW], columns=ROWS.names)
    page = html.unescape(as_page(leaderboard(rows, [provenance], resamples=10), None))
    line = page[page.index("megamedical-benchmark run") : page.index("</pre>")]
    typed = shlex.split(line.replace("\\\n", " "))
    for option in options:
        assert option.name == "help" or option.opts[0] in typed, option.name
    for value in ("--limit 2", "--shared-draws 2", "--native a.b", "--workers 2", "--device cpu"):
        assert value in " ".join(typed)
    assert "--suite small.yaml" in line
    assert str(tmp_path) not in line
    assert "ann.example" not in line


def test_a_task_that_the_store_lacks_ends_with_3_and_is_named(command):
    suite = {**SUITE, "tasks": [*SUITE["tasks"], GONE]}
    result = command("run", "--method", "mean-mask", suite=suite)
    assert result.exit_code == 3
    assert f"! not in the store: {GONE}" in result.output
    assert "12 rows in" in result.output


def test_a_method_that_fails_ends_with_3_and_says_why_once(command, installed, tmp_path):
    asked = ["--method", "picky", "--method", "mean-mask", "--support-size", 2]
    result = command("run", *asked)
    assert result.exit_code == 3
    for task in SUITE["tasks"]:
        said = f"✗ {task}: RuntimeError: two images are too few for me\n"
        assert result.output.count(said) == 1
    assert f"12 rows in {tmp_path / 'out/small/mean-mask-v1'}" in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "unet"], "There is no method unet"),
        (["--method", "nearest"], "Two packages have a method nearest"),
        (["--method", "absent"], "absent cannot be imported from no_such_package"),
        (["--method", "number"], "number makes something of type int, not a method"),
        (["--method", "odd"], "odd cannot be made: TypeError"),
        (["--method", "told", "--suite", "held-out"], "There is no suite held-out"),
        (["--method", "told", "--suite", "heldout"], "slices of 16 pixels a side"),
        (["--method", "told", "--store", "nowhere"], "There is no store at nowhere"),
    ],
)
def test_what_cannot_be_run_ends_with_1_and_is_told_in_words(command, installed, options, said):
    result = command("run", *options)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_no_method_is_run_if_another_cannot_be_made(command, tmp_path):
    result = command("run", "--method", "mean-mask", "--method", "no-such")
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()


def test_what_a_run_that_died_had_not_written_to_its_end_is_swept_up(command, tmp_path):
    command("run", "--method", "mean-mask")
    rows = sorted((tmp_path / "out").rglob("*.parquet"))
    for path in (*rows, rows[0].with_name("method.json")):
        path.with_name(f".{path.name}.0123456789abcdef.unfinished").write_bytes(b"half")
    assert command("run", "--method", "mean-mask").exit_code == 0
    assert not list((tmp_path / "out").rglob("*.unfinished"))
    assert sorted((tmp_path / "out").rglob("*.parquet")) == rows
