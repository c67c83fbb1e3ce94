"""How the commands speak: to a terminal or a pipe, and in words where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

INCOMPLETE = 3  # exit code: something that was asked for is missing
INTERRUPTED = 130  # exit code
_WIDE = 120  # columns, where the output is no terminal


def command_line(name: str, about: str) -> typer.Typer:
    """A command without commands, as all of this project's look."""
    return typer.Typer(
        name=name,
        help=about,
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )


def say(console: Console, line: str, before: str = "") -> None:
    """Print a line as it is, unbroken: paths may hold what Rich takes for its markup."""
    from rich.markup import escape

    console.print(f"{before}{escape(line)}", highlight=False, soft_wrap=True)


def terminal() -> Console:
    """The console that a command speaks to."""
    import sys

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDE)


@contextmanager
def errors_explained(next_time: str = "the same command goes on from here") -> Iterator[None]:
    """Say errors a user can act on in words, not in a traceback.

    `next_time` is what becomes of work that was interrupted.
    """
    from megamedical.errors import MegaMedicalError

    try:
        yield
    except MegaMedicalError as error:
        from rich.console import Console

        console = Console(stderr=True)
        say(console, f": {error.problem}", f"[red]{type(error).__name__}[/]")
        if error.remedy:
            say(console, error.remedy)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo(f"\nInterrupted. What is finished is kept: {next_time}.", err=True)
        raise typer.Exit(INTERRUPTED) from error
