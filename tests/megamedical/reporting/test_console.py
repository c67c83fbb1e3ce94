"""What comes from outside gives neither a terminal nor a spreadsheet orders; how commands end."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import unicodedata

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from megamedical.errors import ArchiveError
from megamedical.reporting.clean_console import CleanConsole
from megamedical.reporting.cleaning import cell, cleaned
from megamedical.reporting.console import INTERRUPTED, errors_explained, say

ORDERS = "\x1b]0;PWNED\x07\x1b[31m\x9b2J\u202egnp\u2066\u200e\u200b\x7f\r\x08\ufeff\u2028\udce9"


def commands_in(text: str) -> list[str]:
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return [c for c in text if unicodedata.category(c) in kinds and c != "\n"]


def test_orders_are_written_out():
    assert cleaned(ORDERS).isprintable()
    assert cleaned("a\x1b[31m\u202eb") == r"a\x1b[31m\u202eb"
    assert cleaned("übel/日本.png\n\tzwei") == "übel/日本.png\n\tzwei"


@given(st.text())
def test_nothing_that_is_cleaned_gives_orders(text):
    assert not [c for c in commands_in(cleaned(text)) if c != "\t"]
    assert cleaned(cleaned(text)) == cleaned(text)
    cleaned(text).encode()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_whatever_is_printed_is_cleaned(is_terminal):
    shown = io.StringIO()
    console = CleanConsole(
        file=shown, force_terminal=is_terminal, color_system=None, width=500, legacy_windows=False
    )
    say(console, f"{ORDERS}: is no image", "[red]✗[/] ")
    table = Table("file", ORDERS)
    table.add_row(ORDERS, Text(ORDERS))
    console.print(table)
    console.print(ORDERS)
    assert not commands_in(shown.getvalue())
    assert "PWNED" in shown.getvalue()


def test_own_colours_stay():
    shown = io.StringIO()
    say(CleanConsole(file=shown, force_terminal=True, color_system="standard"), "x", "[red]✗[/] ")
    assert "\x1b[31m" in shown.getvalue()


def test_errors_are_cleaned(capsys):
    with pytest.raises(typer.Exit), errors_explained():
        raise ArchiveError(f"{ORDERS} is damaged", f"Delete {ORDERS}.")
    assert not commands_in(capsys.readouterr().err)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_run(text):
    assert cell(text) == f"'{text}"


def test_other_cells_are_left_alone():
    assert [cell(text) for text in ("", "wbc", "a=b", "0.5")] == ["", "wbc", "a=b", "0.5"]


ENDS = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from megamedical.reporting.console import errors_explained
with errors_explained():
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_a_command_with_one_line(number):
    code = "import typer\n"
    code += "try:\n" + "".join(f"    {line}\n" for line in ENDS.strip().splitlines())
    code += "except typer.Exit as end:\n    raise SystemExit(end.exit_code)\n"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, number)
        assert process.wait(30) == INTERRUPTED
        said = process.stderr.read().strip()
    assert said == "Interrupted. What is finished is kept: the same command goes on from here."


MARKUP = [
    "[/]",
    "[red]",
    "[/red]",
    "[link=https://evil.example]x",
    "a[b",
    "[[",
    "a\\",
    ":bomb:",
    "[@",
]


@pytest.mark.parametrize("text", MARKUP)
def test_brackets_from_outside_are_no_markup(text):
    from megamedical.commands.root import new_table

    shown = io.StringIO()
    console = CleanConsole(file=shown, width=200, color_system="truecolor", force_terminal=True)
    table = new_table("file", ">count")
    table.add_row(text, "1")
    console.print(table)
    say(console, text, "[red]✗[/] ")
    assert shown.getvalue().count(text) == 2
    assert "\x1b]8" not in shown.getvalue()  # a link


def test_what_work_says_is_heard_by_whoever_waits_for_it():
    from megamedical.reporting import afar

    heard = []
    afar.tell("nobody listens")
    with afar.heard_by(heard.append):
        afar.tell("waiting for another")
    afar.tell("nobody listens any more")
    assert heard == ["waiting for another"]
