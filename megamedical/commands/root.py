"""The command itself, and what its parts have in common: options and tables."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(
    name="megamedical",
    help="Public medical segmentation datasets in one store of slices, ready to train on.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


class RoleOption(StrEnum):
    """Roles of datasets, as `--role` takes them."""

    train = "train"
    dev = "dev"
    heldout = "heldout"
    extra = "extra"


StoreOption = Annotated[
    str, typer.Option("--store", help="Folder or URL of the store.", metavar="PATH")
]
ManifestsOption = Annotated[
    Path | None,
    typer.Option(
        "--manifests", help="Folder with manifests of your own, beside the packaged ones."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False,
) -> None:
    """Public medical segmentation datasets in one store of slices, ready to train on."""
    if version:
        from megamedical import __version__

        typer.echo(__version__)
        raise typer.Exit


def new_table(*columns: str) -> Table:
    """An empty table; `>` before a column's name puts its cells to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        right = column[:1] == ">"
        table.add_column(
            column.lstrip(">"), justify="right" if right else "left", no_wrap=column == columns[0]
        )
    return table


def as_plain(value: Any) -> Any:  # noqa: ANN401
    """A dataclass as JSON has it."""
    from dataclasses import asdict

    return asdict(value)
