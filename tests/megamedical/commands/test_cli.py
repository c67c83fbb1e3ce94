"""The command line: what it prints, what scripts read, and the exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from miniatures import DATASETS, contents
from PIL import Image
from rich.console import Console

from megamedical import __version__, catalog
from megamedical.building import build as pipeline
from megamedical.reporting.progress import Bars, Lines, listener
from megamedical.store.verification import verify

COMMANDS = ("list", "plan", "build", "verify", "info", "preview", "licences", "new", "check")
ESCAPE = "\x1b"


@pytest.fixture
def build(megamedical, mirror, tmp_path):
    """`megamedical build` of miniatures in this process, into `tmp_path/store`."""

    def run(*arguments: object):
        return megamedical(
            *("build", *arguments, "--mirror", mirror, "--store", tmp_path / "store"),
            *("--resolution", 32, "--workers", 0, "--offline"),
        )

    return run


class TestHelp:
    @pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS)])
    @pytest.mark.parametrize("option", ["--help", "-h"])
    def test_is_there_for_everything(self, megamedical, command, option):
        result = megamedical(*command, option)
        assert result.exit_code == 0
        assert "Usage" in result.output
        assert all(name in result.output for name in (COMMANDS if not command else ()))

    def test_says_the_version(self, megamedical):
        assert megamedical("--version").output.strip() == __version__

    def test_needs_nothing_heavy(self):
        """Neither does importing the package, its command line, or asking it for help."""
        said = run_python(
            "import sys, megamedical, megamedical.cli as cli\n"
            "try: cli.app(['build', '--help'])\n"
            "except SystemExit: pass\n"
            "heavy = 'torch pandas zarr distributed dask SimpleITK scipy pyarrow'.split()\n"
            "print('loaded:', [name for name in heavy if name in sys.modules])\n"
        )
        assert said.splitlines()[-1] == "loaded: []"

    def test_needs_no_torch_to_build(self, mirror, tmp_path):
        said = run_python(
            "import sys, megamedical\n"
            f"megamedical.build('stare', store={str(tmp_path / 'store')!r}, mirror={str(mirror)!r},"
            " workers_count=0, offline=True)\n"
            "print('torch' in sys.modules)\n"
        )
        assert said.strip() == "False"


def listed(megamedical, *arguments: object) -> list[str]:
    rows = json.loads(megamedical("list", *arguments, "--json").stdout)
    return [row["dataset"] for row in rows]


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


class TestList:
    def test_shows_the_catalogue(self, megamedical):
        result = megamedical("list")
        assert result.exit_code == 0
        for dataset, manifest in catalog().items():
            lines = [li for li in result.output.splitlines() if li.split()[:1] == [dataset]]
            if manifest.role == "extra":
                assert not lines
            else:
                (line,) = lines
                assert manifest.role in line
                assert manifest.access in line

    def test_shows_the_extra_when_asked_for(self, megamedical):
        extra = [name for name, manifest in catalog().items() if manifest.role == "extra"]
        assert f"{len(extra)} more are extra" in megamedical("list").output
        assert listed(megamedical, "--role", "extra") == extra
        assert listed(megamedical, extra[0], "acdc") == sorted([extra[0], "acdc"])

    def test_gives_json(self, megamedical):
        rows = json.loads(megamedical("list", "--json").stdout)
        taken = [name for name, manifest in catalog().items() if manifest.role != "extra"]
        assert [row["dataset"] for row in rows] == taken
        columns = "dataset title modality subjects bytes access licence role groups"
        assert all(set(columns.split()) <= set(row) for row in rows)

    def test_json_has_lists_and_whole_numbers(self, megamedical):
        (row,) = json.loads(megamedical("list", "chaos", "--json").stdout)
        assert row["modality"] == ["ct", "mri-t2"]
        assert row["groups"] == ["ct", "mr"]
        assert row["labels"] == ["liver", "right kidney", "left kidney", "spleen"]
        assert row["bytes"] == 900_000_000
        assert isinstance(row["bytes"], int)
        assert row["tasks"] == 10
        assert row["home"] == "https://chaos.grand-challenge.org/"
        assert row["doi"] == "10.1016/j.media.2020.101950"
        assert row["commercial"] is False

    @pytest.mark.parametrize(
        ("options", "has", "lacks"),
        [
            (["--modality", "mri"], ["acdc", "chaos", "brats", "sunnybrook"], ["lits", "drive"]),
            (["--modality", "mri-flair"], ["brats", "wmh"], ["acdc"]),
            (["--modality", "m"], [], ["acdc"]),
            (["--label", "Kidney"], ["kits19", "chaos"], ["acdc"]),
            (["--access", "open"], ["acdc"], ["adni"]),
            (["--licence", "cc0"], ["bbbc038", "sunnybrook"], ["acdc"]),
            (["--commercial", "--modality", "mri"], ["msd", "sunnybrook"], ["acdc", "chaos"]),
            (["--role", "train", "--access", "dead"], ["isles2017"], ["acdc", "sunnybrook"]),
            (["chaos", "acdc", "--modality", "ct"], ["chaos"], ["acdc", "lits"]),
            (["--size", "30MB"], ["wbc", "stare"], ["acdc", "chaos", "synthetic"]),
        ],
    )
    def test_chooses_by_what_a_dataset_has(self, megamedical, options, has, lacks):
        found = listed(megamedical, *options)
        assert set(has) <= set(found)
        assert not set(lacks) & set(found)
        shown = megamedical("list", *options).output
        assert f"{len(found)} of " in shown

    def test_refuses_a_folder_that_is_not_there(self, megamedical, tmp_path):
        result = megamedical("list", "--manifests", tmp_path / "none")
        assert result.exit_code == 1
        assert f"ManifestError: {tmp_path / 'none'} is not a folder" in result.stderr


class TestPlan:
    def test_chooses_as_list_does(self, megamedical):
        options = ("--modality", "fundus", "--access", "open", "--size", "1GB")
        planned = json.loads(megamedical("plan", *options, "--json").stdout)
        assert [each["dataset"] for each in planned["datasets"]] == listed(megamedical, *options)
        none = megamedical("plan", "wbc", "--modality", "ct")
        assert none.exit_code == 1
        assert "None of 1 datasets has all of that" in none.stderr

    def test_refuses_what_is_no_size(self, megamedical):
        refused = megamedical("plan", "--size", "3 parsecs")
        assert refused.exit_code == 1
        assert "3 parsecs is no size" in refused.stderr

    @pytest.mark.parametrize("command", ["plan", "download", "build"])
    def test_a_mirror_that_is_not_there_is_said_at_once(self, megamedical, command, tmp_path):
        none = tmp_path / "none"
        refused = megamedical(command, "wbc", "--mirror", none, "--store", tmp_path / "store")
        assert refused.exit_code == 1
        assert f"The mirror {none} is not a folder" in refused.stderr
        assert list(tmp_path.iterdir()) == []


class TestBuild:
    def test_says_what_it_built_in_plain_lines(self, build, tmp_path):
        result = build("wbc", "stare/vk")
        assert result.exit_code == 0
        assert ESCAPE not in result.output
        lines = result.output.splitlines()
        for stage in (
            "obtain: 4 of 4 archives",
            "process: 13 of 13 subjects",
            "pack: 3 of 3 group",
        ):
            assert any(line.startswith(stage) for line in lines)
        cells = next(line for line in lines if "wbc/jtsc" in line)
        assert cells.split() == ["wbc/jtsc", "5", "of", "300", "0", "2", "5", "10"]
        assert lines[-1].startswith(f"Store: {tmp_path / 'store'}  fingerprint ")

    def test_says_what_was_there(self, build):
        assert "was there" not in build("wbc").output
        assert build("wbc").output.count("was there") == 2

    def test_gives_json(self, build, tmp_path):
        result = build("wbc", "--json")
        assert result.exit_code == 0
        report = json.loads(result.stdout)
        assert set(report) == {"store", "groups", "failures", "missing", "fingerprint"}
        assert report["store"] == str(tmp_path / "store")
        assert report["groups"][0] == {
            "path": "wbc/jtsc",
            "subjects": 5,
            "expected": 300,
            "left_out": 0,
            "failed": 0,
            "tasks": 2,
            "empty_tasks": 0,
            "images": 5,
            "masks": 10,
            "was_there": False,
        }

    def test_gives_json_of_what_is_missing(self, megamedical, tmp_path):
        result = megamedical(
            *("build", "acdc", "--json", "--offline", "--no-checksum", "--workers", 0),
            *("--store", tmp_path / "store"),
        )
        assert result.exit_code == 3
        (missing,) = json.loads(result.stdout)["missing"]
        assert set(missing) == {"what", "groups", "remedy", "in_part", "archive"}
        assert missing["archive"] in missing["what"]
        assert missing["groups"] == ["acdc/challenge2017"]

    def test_takes_a_role_and_numbers(self, megamedical, mirror, tmp_path):
        result = megamedical(
            *("build", "--role", "heldout", "synthetic", "--tasks", 3, "--subjects", 2, "--json"),
            *("--mirror", mirror, "--store", tmp_path / "store", "--raw", tmp_path / "elsewhere"),
            *("--resolution", 16, "--workers", 0, "--offline", "--seed", 7),
        )
        paths = [group["path"] for group in json.loads(result.stdout)["groups"]]
        heldout = {name for name, found in catalog().items() if found.role == "heldout"}
        assert {path.split("/")[0] for path in paths} == (heldout & set(DATASETS)) | {"synthetic"}
        assert sum(path.startswith("synthetic/") for path in paths) == 3
        assert (tmp_path / "elsewhere" / "wbc").is_dir()

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            (("wcb",), "wcb is not in the catalogue.\nDid you mean wbc?"),
            (("wbc/jstc",), "wbc/jstc is not in the catalogue.\nDid you mean wbc/jtsc?"),
            ((), "No dataset was chosen."),
        ],
    )
    def test_refuses_what_it_does_not_know(self, build, tmp_path, asked, said):
        result = build(*asked)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"SelectionError: {said}")
        assert not (tmp_path / "store").exists()

    def test_refuses_another_resolution(self, build, megamedical, mirror, tmp_path):
        build("stare")
        result = megamedical(
            *("build", "stare", "--mirror", mirror, "--store", tmp_path / "store"),
            *("--resolution", 64, "--workers", 0, "--offline"),
        )
        assert result.exit_code == 1
        assert "has resolution 32, not 64" in result.stderr
        assert "Give --resolution 32, or another --store." in result.stderr

    def test_can_be_interrupted(self, build, monkeypatch):
        def interrupted(*names: object, **options: object):
            raise KeyboardInterrupt

        monkeypatch.setattr(pipeline, "build", interrupted)
        result = build("wbc")
        assert result.exit_code == 130
        assert "Interrupted. What is finished is kept" in result.output

    def test_goes_on_after_an_interruption(self, build, built, tmp_path, monkeypatch):
        process, processed = pipeline.process, []

        def interrupted_once(job):
            processed.append(job.subject.name)
            if len(processed) == 3:
                raise KeyboardInterrupt
            return process(job)

        monkeypatch.setattr(pipeline, "process", interrupted_once)
        assert build("wbc").exit_code == 130
        assert build("wbc").exit_code == 0
        arrays = {path: found for path, found in contents(built.store).items() if "/c/" in path}
        for path, found in contents(tmp_path / "store").items():
            assert "/c/" not in path or found == arrays[path]


class TestVerify:
    def test_passes_a_good_store(self, megamedical, built):
        result = megamedical("verify", "--store", built.store)
        assert result.exit_code == 0
        assert "10 groups, " in result.output
        assert result.output.rstrip().endswith("all as it says")
        assert ESCAPE not in result.output

    def test_gives_json(self, megamedical, built):
        verdict = json.loads(megamedical("verify", "--json", "--store", built.store).stdout)
        assert set(verdict) == {"groups", "images", "masks", "examples", "problems", "remarks"}
        assert verdict["problems"] == []

    def test_names_what_is_wrong(self, megamedical, store):
        (store / "wbc/cv/masks/c/0/0/0").unlink()
        problems = verify(store).problems
        result = megamedical("verify", "--store", store)
        assert result.exit_code == 1
        assert f"✗ {problems[0]}" in result.output
        assert f"{len(problems)} problems" in result.output
        result = megamedical("verify", "--json", "--store", store)
        assert result.exit_code == 1
        assert json.loads(result.stdout)["problems"] == list(problems)

    @pytest.mark.parametrize("command", ["verify", "info", "preview"])
    def test_needs_a_store(self, megamedical, tmp_path, command):
        result = megamedical(command, "--store", tmp_path / "none")
        assert result.exit_code == 1
        assert f"StoreError: There is no store at {tmp_path / 'none'}\n" in result.stderr
        assert "megamedical build" in result.stderr


class TestInfo:
    def test_says_what_a_store_holds(self, megamedical, built):
        result = megamedical("info", "--store", built.store)
        assert result.exit_code == 0
        line = next(line for line in result.output.splitlines() if "acdc/challenge2017" in line)
        assert line.split() == [
            "acdc/challenge2017",
            "mri",
            "heldout",
            *["10", "of", "300", "5", "6", "60"],
        ]
        assert f"{built.store}: 32 x 32 pixels, 45 tasks, 0 failures" in result.output

    def test_gives_json(self, megamedical, built):
        info = json.loads(megamedical("info", "--json", "--store", built.store).stdout)
        keys = "store format resolution seed groups tables fingerprint checksum contents"
        assert set(info) == set(keys.split())
        assert info["fingerprint"] == built.report.fingerprint
        (row,) = (row for row in info["contents"] if row["group"] == "drive/second-observer")
        assert row == {
            "group": "drive/second-observer",
            "modality": "fundus",
            "role": "train",
            "subjects": 3,
            "expected": 20,
            "patients": 3,
            "tasks": 1,
            "examples": 3,
        }

    def test_adds_up_very_many_groups(self, megamedical, tmp_path):
        store = tmp_path / "store"
        megamedical(
            *("build", "synthetic", "--tasks", 13, "--subjects", 1, "--resolution", 16),
            *("--workers", 0, "--store", store),
        )
        line = next(
            line
            for line in megamedical("info", "--store", store).output.splitlines()
            if line.startswith(" synthetic/")
        )
        assert line.split()[:4] == ["synthetic/…", "(13", "groups)", "synthetic"]
        assert line.split()[5:7] == ["13", "13"]

    def test_of_an_empty_store_is_empty(self, megamedical, tmp_path):
        store = tmp_path / "store"
        megamedical("build", "wbc", "--offline", "--workers", 0, "--store", store)
        result = megamedical("info", "--store", store)
        assert result.exit_code == 0
        assert "0 tasks, 0 failures" in result.output
        assert megamedical("verify", "--store", store).exit_code == 0
        assert megamedical("preview", "--store", store).exit_code == 1


class TestPreview:
    def test_writes_a_picture(self, megamedical, built, tmp_path):
        out = tmp_path / "pictures" / "sheet.png"
        result = megamedical(
            *("preview", "wbc", "--store", built.store, "--out", out, "--per-task", 2)
        )
        assert result.exit_code == 0
        with Image.open(out) as sheet:
            assert result.output.strip() == f"{out}: {sheet.width} x {sheet.height} pixels"

    def test_refuses_what_it_cannot_draw(self, megamedical, built, tmp_path):
        store = ("--store", built.store)
        unknown = megamedical("preview", "wcb", *store, "--out", tmp_path / "sheet.png")
        assert unknown.exit_code == 1
        assert "begins with wcb" in unknown.stderr
        unwritten = megamedical("preview", "wbc", *store, "--out", tmp_path / "sheet")
        assert unwritten.exit_code == 1
        assert list(tmp_path.iterdir()) == []


class TestProgress:
    def test_is_bars_on_a_terminal(self):
        console = Console(file=io.StringIO(), force_terminal=True, width=100)
        bars = listener(console)
        assert isinstance(bars, Bars)
        with bars.stage("process", 3, "subjects") as step:
            for name in ("one", "two", "[red]"):
                step(name)
        bars.say("all done")
        assert "process" in console.file.getvalue()
        assert "3/3" in console.file.getvalue()
        assert "all done" in console.file.getvalue()

    def test_is_lines_elsewhere(self):
        console = Console(file=io.StringIO(), width=100)
        lines = listener(console)
        assert isinstance(lines, Lines)
        with lines.stage("process", 3, "subjects") as step:
            for _ in range(3):
                step()
        lines.say("[as it is]")
        first, second = console.file.getvalue().splitlines()
        assert first.startswith("process: 3 of 3 subjects, ")
        assert second == "[as it is]"

    def test_is_told_now_and_then_in_lines(self, monkeypatch):
        console = Console(file=io.StringIO(), width=100)
        lines = Lines(console)
        monkeypatch.setattr(Lines, "_EVERY", -1.0)
        with lines.stage("pack", 2, "groups") as step:
            step("one")
        assert console.file.getvalue().splitlines()[0] == "pack: 1 of 2 groups"
