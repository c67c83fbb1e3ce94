"""How the three commands look, and what they say of a name that is mistyped."""

from __future__ import annotations

from importlib import import_module

import pytest
from typer.testing import CliRunner

from megamedical import __version__
from megamedical.errors import nearest

MODULES = ("megamedical.cli", "universeg.cli", "benchmark.cli")


@pytest.fixture(params=MODULES)
def app(request):
    return import_module(request.param).app


def commands(app) -> list[str]:
    return [
        each.name or each.callback.__name__.replace("_", "-") for each in app.registered_commands
    ]


def invoke(app, *arguments: str):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


def test_each_says_the_version(app):
    said = invoke(app, "--version")
    assert said.exit_code == 0
    assert said.output.strip() == __version__


def test_flags_are_shown_without_a_type(app):
    for command in ((), *((name,) for name in commands(app))):
        shown = invoke(app, *command, "--help")
        assert shown.exit_code == 0
        assert "--help" in shown.output
        assert "bool" not in shown.output.lower()


def test_a_mistyped_command_or_option_gets_the_nearest_alone(app):
    name = commands(app)[-1]
    assert f"Did you mean '{name}'" in invoke(app, f"{name}x").output
    of_megamedical = import_module("megamedical.cli").app
    said = invoke(of_megamedical, "plan", "--sotre", "x").output
    assert "--store" in said
    assert "--role" not in said


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("heldot", "Did you mean Heldout?"),
        ("DEMO", "Did you mean demo?"),
        ("zzz", "There are: demo, Heldout."),
    ],
)
def test_the_nearest_name_is_proposed_or_all(name, remedy):
    assert nearest(name, ["demo", "Heldout"]) == remedy
