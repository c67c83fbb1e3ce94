"""`docs/methods.md`: its table says what the methods say of themselves, and its example works.

Run as a program, it writes the table anew.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import own_methods
import pytest
import yaml
from places import ROOT
from tiny_store import Discs, write_store
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.method import About, make_method
from benchmark.methods.nnunet import NnUNet
from benchmark.methods.supervised import unet_support
from benchmark.results import ENSEMBLE, read_results
from universeg.weights.card import ModelCard
from universeg.weights.models import make_model, model_names, save_model

DOCUMENT = ROOT / "docs" / "methods.md"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = PROJECT["entry-points"]["megamedical.methods"]
TABLE = re.compile(r"(?<=<!-- methods -->\n).*(?=<!-- /methods -->)", re.DOTALL)
CARD = {"megamedical": "0", "store": "", "groups": {}, "tasks": 0, "unseen": (), "step": 0}


def table(folder: Path) -> str:
    """What each method says of itself, in Markdown."""
    rows = [
        f"| `{name}` | {about.follows} | {about.departs or '–'} |"
        for name in OURS
        for about in [about_of(name, folder)]
    ]
    return "\n".join(["| method | follows | departs |", "|---|---|---|", *rows, ""])


def about_of(name: str, folder: Path) -> About:
    """With weights as they are before any training, where it is a network.

    That of nnU-Net is had where it is not installed too.
    """
    if name == "nnunet":
        return NnUNet("nnUNetTrainer", release="").about
    if name == "unet-support":
        return unet_support().about
    if name not in model_names():
        return make_method(name).about
    path = folder / f"{name}.safetensors"
    card = ModelCard(model=name, architecture={}, scores={}, settings={}, **CARD)
    save_model(make_model(name, {}), path, card)
    return make_method(f"{name}:{path}").about


def test_the_table_says_what_the_methods_say(tmp_path):
    (found,) = TABLE.findall(DOCUMENT.read_text(encoding="utf-8"))
    assert found == table(tmp_path)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The package of the document, installed."""
    text = DOCUMENT.read_text(encoding="utf-8")
    (code,), (project,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in KINDS)
    ((group, methods),) = tomllib.loads(project)["project"]["entry-points"].items()
    assert group == "megamedical.methods"
    ((_, where),) = methods.items()
    (tmp_path / f"{where.partition(':')[0]}.py").write_text(code)
    own_methods.install(tmp_path, methods, "grey_level")
    monkeypatch.syspath_prepend(tmp_path)
    yield code
    sys.modules.pop("grey_level", None)


KINDS = ("python", "toml")


def test_the_example_is_a_method_like_the_others(example, tmp_path):
    write_store(tmp_path / "store", Discs("one"))
    suite = {
        "id": "small",
        "version": 1,
        "title": "One task",
        "resolution": 16,
        "draws": 2,
        "support_sizes": [4],
        "tasks": ["one/discs/mri/axial/mid/disc"],
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(suite))
    folders = {"--store": "store", "--suite": "small.yaml", "--out": "out"}
    options = [each for name, path in folders.items() for each in (name, str(tmp_path / path))]
    asked = re.search(r"--method (grey-level\S*)`", DOCUMENT.read_text())[1]
    result = CliRunner().invoke(app, ["run", "--method", asked, *options])
    assert result.exit_code == 0, result.output
    rows, (provenance,) = read_results(tmp_path / "out")
    assert provenance.about.name == "grey-level-16"
    assert len(rows) == 2 * 3
    assert rows[rows["draw"] == ENSEMBLE]["dice"].min() > 0.9
    assert (
        "grey-level     Finds pixels by their grey value alone."
        in CliRunner().invoke(app, ["methods"]).output
    )
    assert len([line for line in example.splitlines() if line.strip()]) <= 22
    file = re.search(r"--method (\S+\.py\S+)`", DOCUMENT.read_text())[1]
    options[options.index("--out") + 1] = str(tmp_path / "other")
    result = CliRunner().invoke(app, ["run", "--method", str(tmp_path / file), *options])
    assert result.exit_code == 0, result.output
    again, _ = read_results(tmp_path / "other")
    costs = ["seconds", "memory"]
    assert again.drop(columns=costs).equals(rows.drop(columns=costs))


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        anew = TABLE.sub(lambda _: table(Path(scratch)), DOCUMENT.read_text(encoding="utf-8"))
    DOCUMENT.write_text(anew, encoding="utf-8")
