"""The house itself: rooms that can be overlooked, and doors that open at once."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from places import ROOT

PACKAGES = ("megamedical", "universeg", "benchmark")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MOST_MODULES, MOST_LINES = 15, 350

PUBLIC = {
    "megamedical": "build plan download adopt check verify preview open_store catalog "
    "read_manifest",
    "universeg": "Segmenter Prediction UniverSeg load_model",
    "benchmark": "Method About Support run leaderboard load_suite",
}


def test_no_room_is_crowded():
    rooms: dict[Path, int] = {}
    for path in MODULES:
        if path.name != "__init__.py":
            rooms[path.parent] = rooms.get(path.parent, 0) + 1
    crowded = {str(room.relative_to(ROOT)): n for room, n in rooms.items() if n > MOST_MODULES}
    assert crowded == {}


def test_no_module_is_long():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in MODULES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MOST_LINES
    }
    assert long == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("package", PACKAGES)
class TestDoor:
    def test_what_is_public_is_there(self, package):
        module = import_module(package)
        for name in PUBLIC[package].split():
            assert callable(getattr(module, name)), name

    def test_no_module_hides_what_is_public(self, package):
        below = {path.stem for path in (ROOT / package).iterdir()}
        assert below & set(import_module(package).__all__) == set()

    def test_it_lists_what_is_public_before_that_is_asked_for(self, package):
        code = f"import {package}; print(*dir({package}))"
        assert set(PUBLIC[package].split()) <= set(said_by(code).split())

    def test_a_command_hears_that_it_is_to_end_before_it_imports_anything(self, package):
        code = f"import sys, __future__; there = {{*sys.modules}}; import {package}.__main__\n"
        code += "import megamedical.reporting.beginning; print(*{*sys.modules} - there)"
        others = [name for name in said_by(code).split() if not name.startswith(PACKAGES)]
        assert others == []

    def test_its_types_are_given_on(self, package):
        assert (ROOT / package / "py.typed").exists()


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import megamedical, universeg, benchmark", "torch pandas zarr SimpleITK dask pyarrow"),
        ("import megamedical.cli", "torch pandas zarr SimpleITK dask pyarrow"),
        ("import universeg.cli", "torch pandas zarr SimpleITK dask pyarrow"),
        ("import benchmark.cli", "torch pandas zarr SimpleITK dask pyarrow sklearn matplotlib"),
        ("import megamedical; megamedical.build, megamedical.open_store", "torch"),
    ],
)
def test_nothing_heavy_comes_before_it_is_needed(statement, heavy):
    code = f"import sys; {statement}; print(*sys.modules)"
    assert set(said_by(code).split()) & set(heavy.split()) == set()


def test_the_version_is_there_whatever_was_asked_for_before():
    assert said_by("import megamedical; megamedical.build; print(megamedical.__version__)").strip()


def said_by(code: str) -> str:
    """What Python prints that runs this."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
