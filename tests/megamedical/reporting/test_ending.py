"""Ctrl-C and SIGTERM, whatever a command is at: one line, exit code 130, nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

SAID = "Interrupted. What is finished is kept: the same command goes on from here."
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.{before})
from megamedical.reporting import ending
ending.end_when_asked("the same command goes on from here")
ending._MOMENT = ending._UNTIL_HEARD = {moment}
import os, subprocess, sys, typer
def main():
    from megamedical.reporting.console import errors_explained
    with errors_explained():
{work}
def wait(word):
    print(word, flush=True)
    sys.stdin.readline()
typer.run(main)
"""
SWALLOWS = """
while True:
    try:
        wait("begun")
    except BaseException:
        pass
"""


@contextmanager
def at_work(
    code: str, *, moment: float = 60, before: str = "default_int_handler"
) -> Iterator[subprocess.Popen]:
    """A command in a process of its own, once it has begun; it may clear up for so long."""
    work = textwrap.indent(code.strip(), " " * 8)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work, moment=moment, before=before)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def ending(process: subprocess.Popen) -> tuple[int, str]:
    """The exit code, and what was said on stderr."""
    code = process.wait(60)
    return code, process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_one_line(number):
    with at_work("wait('begun')") as process:
        process.send_signal(number)
        assert ending(process) == (130, f"{SAID}\n")


def test_it_ends_while_it_is_imported(tmp_path):
    (tmp_path / "slow.py").write_text("print('begun', flush=True)\nimport sys\nsys.stdin.read()\n")
    code = "from megamedical.reporting.ending import end_when_asked; end_when_asked()\n"
    code += f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import slow"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        said = "Interrupted. What is finished is kept: nothing was begun.\n"
        assert ending(process) == (130, said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_before_anything_is_imported(number):
    code = "from megamedical.reporting.beginning import hear; hear()\n"
    code += f"import _signal, os; os.kill(os.getpid(), {number:d}); print('not reached')"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    said = "Interrupted. What is finished is kept: nothing was begun.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", said)


def test_an_import_at_work_is_not_broken_off_in_its_middle(tmp_path):
    """A library may make anything of it, so that it is asked again when the import is over."""
    (tmp_path / "picky.py").write_text(
        "import sys\nprint('begun', flush=True)\n"
        "try:\n    sys.stdin.readline()\nexcept KeyboardInterrupt:\n    print('broken off')\n"
    )
    code = f"sys.path.insert(0, {str(tmp_path)!r})\nimport picky\nwait('imported')"
    with at_work(code) as process:
        process.send_signal(signal.SIGINT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert ending(process) == (130, f"{SAID}\n")
        assert "broken off" not in process.stdout.read()


def test_what_does_not_hear_is_ended_all_the_same():
    with at_work(SWALLOWS, moment=0.1) as process:
        process.send_signal(signal.SIGTERM)
        assert ending(process) == (130, f"{SAID}\n")


def test_what_it_started_ends_with_it():
    code = f"child = subprocess.Popen(['sleep', '1000'])\n{SWALLOWS}"
    with at_work(code, moment=0.1) as process:
        (child,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        assert ending(process)[0] == 130
        assert psutil.wait_procs([child], timeout=30)[1] == []


def test_to_ask_again_does_not_disturb_the_clearing_up():
    code = "try:\n    wait('begun')\nfinally:\n    wait('clearing')\n    print('cleared')"
    with at_work(code) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "clearing\n"
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
        process.stdin.write("\n")
        process.stdin.flush()
        assert ending(process) == (130, f"{SAID}\n")
        assert process.stdout.read() == "cleared\n"


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    wait('begun')\nfinally:\n    os.write(2, b'worker 3 died')",
        "try:\n    wait('begun')\nexcept KeyboardInterrupt:\n    raise ImportError('no numpy')",
        "try:\n    wait('begun')\nexcept KeyboardInterrupt:\n    raise typer.Abort",
        "try:\n    wait('begun')\nexcept KeyboardInterrupt:\n    raise typer.Exit(3)",
        "try:\n    wait('begun')\nexcept KeyboardInterrupt:\n    pass",
    ],
)
def test_libraries_have_no_say_in_it(code):
    with at_work(code) as process:
        process.send_signal(signal.SIGINT)
        assert ending(process) == (130, f"{SAID}\n")


def test_a_command_that_was_started_deaf_stays_so():
    """As `nohup` and the `&` of a shell start one."""
    with at_work("wait('begun')\nprint('done')", before="SIG_IGN") as process:
        process.send_signal(signal.SIGINT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert ending(process) == (0, "")
        assert process.stdout.read() == "done\n"


def test_a_forked_process_dies_as_any_other():
    code = "child = os.fork()\nif not child:\n    wait('begun')\n"
    code += "else:\n    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)"
    with at_work(code) as process:
        (child,) = psutil.Process(process.pid).children()
        os.kill(child.pid, signal.SIGTERM)
        assert ending(process) == (0, "")
        assert process.stdout.read() == f"{-signal.SIGTERM}\n"
