"""How the commands speak: to a terminal or a pipe, and in words where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from megamedical.reporting.cleaning import cleaned
from megamedical.reporting.ending import INTERRUPTED, at_work, is_asked, say_so

if TYPE_CHECKING:
    from rich.console import Console

INCOMPLETE = 3  # exit code: something that was asked for is missing
_WIDE = 120  # columns, where the output is no terminal


def say(console: Console, line: str, before: str = "") -> None:
    """Print a line as it is, unbroken: paths may hold what Rich takes for its markup."""
    from rich.text import Text

    whole = Text.from_markup(before).append(cleaned(line))
    console.print(whole, highlight=False, soft_wrap=True)


def echo(line: str) -> None:
    """Print a line without any colour or width."""
    typer.echo(cleaned(line))


def terminal(*, stderr: bool = False) -> Console:
    """The console that a command speaks to; whatever it prints, tables too, is cleaned."""
    import sys

    from megamedical.reporting.clean_console import CleanConsole

    stream = sys.stderr if stderr else sys.stdout
    return CleanConsole(width=None if stream.isatty() else _WIDE, stderr=stderr)


@contextmanager
def errors_explained(next_time: str = "the same command goes on from here") -> Iterator[None]:
    """Say errors a user can act on in words, not in a traceback.

    `next_time` is what becomes of work that was interrupted, by Ctrl-C or by SIGTERM, as a cluster
    sends it: both end alike.
    """
    from megamedical.errors import MegaMedicalError

    try:
        with at_work(next_time):
            yield
    except (Exception, KeyboardInterrupt) as error:
        if is_asked():  # whatever libraries make of it
            say_so()
            raise typer.Exit(INTERRUPTED) from error
        if isinstance(error, typer.Exit):
            raise
        if isinstance(error, KeyboardInterrupt):
            typer.echo(f"Interrupted. What is finished is kept: {next_time}.", err=True)
            raise typer.Exit(INTERRUPTED) from error
        from megamedical.files.disk import refusal

        said = error if isinstance(error, MegaMedicalError) else refusal(error)
        if said is None:
            raise
        console = terminal(stderr=True)
        say(console, f": {said.problem}", f"[red]{type(said).__name__}[/]")
        if said.remedy:
            say(console, said.remedy)
        raise typer.Exit(1) from error
    if is_asked():  # and it kept what there was, as a network that has learnt
        say_so()
        raise typer.Exit(INTERRUPTED)
