"""What is said on the way: names as they are, and nothing twice."""

from __future__ import annotations

import itertools
from io import StringIO

import pytest
from rich.console import Console

from megamedical.reporting import progress
from megamedical.reporting.progress import Bars, Lines

BRACKETS = "scan [bold]1[/bold] [x] of [/y]"


def spoken(kind, *names: str):
    """What a listener says of a stage that is broken off after a step for each name."""
    said = StringIO()
    console = Console(file=said, force_terminal=kind is Bars, width=200, color_system=None)
    with pytest.raises(KeyboardInterrupt), kind(console).stage("Read", 9, "files") as step:
        for name in names:
            step(name)
        kind(console).say(BRACKETS)
        raise KeyboardInterrupt
    return said.getvalue()


@pytest.mark.parametrize("kind", [Bars, Lines])
def test_a_line_is_said_as_it_is(kind):
    assert BRACKETS in spoken(kind)


def test_the_name_of_a_step_is_shown_as_it_is():
    assert f"{BRACKETS}s" in spoken(Bars, f"{BRACKETS}s")


@pytest.mark.parametrize("kind", [Bars, Lines])
def test_a_unit_may_name_a_file(kind):
    console = Console(file=(said := StringIO()), width=150)
    with kind(console).stage("Predict", 2, "slices of [red]{0}.nii") as step:
        step()
    assert "slices of [red]{0}.nii" in said.getvalue()


def test_in_a_log_it_is_said_how_long_the_rest_takes(monkeypatch):
    clock = itertools.count(0, 30)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    console = Console(file=(said := StringIO()))
    with Lines(console).stage("Predict", 5, "slices") as step:
        step()
    assert said.getvalue().startswith("Predict: 1 of 5 slices, about 4 min left")


@pytest.mark.parametrize(("seconds", "count"), [(0, 1), (11, 3)])
def test_how_far_it_is_is_said_once_for_each_number(monkeypatch, seconds, count):
    clock = itertools.count(0, seconds)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    console = Console(file=(said := StringIO()))
    with Lines(console).stage("Read", 3, "files") as step:
        for _ in range(3):
            step("a file")
    lines = [line.split(",")[0] for line in said.getvalue().splitlines()]
    assert lines == [f"Read: {done} of 3 files" for done in range(4 - count, 4)]
