"""Commands as all of this project's look: flags without a type, the nearest of options."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


def _say_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(version("megamedical"))
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", help="Say the version.", callback=_say_version, is_eager=True),
]


class _Plain:
    """What commands, and groups of them, have in common."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401  (Typer's own, or Click's)
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        try:
            parsed: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]
        except Exception as error:
            if getattr(error, "possibilities", None):  # options that are alike, the nearest first
                error.possibilities = error.possibilities[:1]  # type: ignore[attr-defined]
            raise
        return parsed


class _Command(_Plain, TyperCommand):
    pass


class _Group(_Plain, TyperGroup):
    pass


class CommandLine(typer.Typer):
    """A command without commands."""

    def __init__(self, name: str, about: str) -> None:
        super().__init__(
            name=name,
            help=about,
            cls=_Group,
            no_args_is_help=True,
            add_completion=False,
            context_settings={"help_option_names": ["-h", "--help"]},
            pretty_exceptions_enable=False,
            rich_markup_mode="markdown",
        )

    def command(
        self,
        name: str | None = None,
        **options: Any,  # noqa: ANN401  (those of Typer)
    ) -> Callable[[Any], Any]:
        """Add a command; see `typer.Typer.command`."""
        return super().command(name, **{"cls": _Command, **options})
