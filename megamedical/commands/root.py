"""The command itself, and what its parts have in common: options, tables, JSON."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from megamedical.reporting.commands import CommandLine, VersionOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from megamedical.catalogue.datasets import Selection, Wanted

app = CommandLine(
    "megamedical",
    "Public medical segmentation datasets in one store of slices, ready to train on.",
)


class RoleChoice(StrEnum):
    """Roles of datasets, as `--role` takes them."""

    train = "train"
    dev = "dev"
    heldout = "heldout"
    extra = "extra"


class AccessChoice(StrEnum):
    """How datasets are to be had, as `--access` takes it."""

    open = "open"
    manual = "manual"
    kaggle = "kaggle"
    synapse = "synapse"
    registration = "registration"
    agreement = "agreement"
    dead = "dead"
    generated = "generated"


DatasetsArgument = Annotated[
    list[str] | None, typer.Argument(help="DATASET or DATASET/GROUP, see `list`.")
]
RoleOption = Annotated[
    RoleChoice | None, typer.Option("--role", help="Every dataset of this role.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every dataset but the extra.")]
StoreOption = Annotated[
    str, typer.Option("--store", help="Folder or URL of the store.", metavar="PATH")
]
RawOption = Annotated[
    Path | None,
    typer.Option(
        "--raw", help="Folder for archives and what comes of them. (default: beside the store)"
    ),
]
MirrorOption = Annotated[
    Path | None,
    typer.Option("--mirror", help="Folder with archives as DATASET/FILE, used first."),
]
NoChecksumOption = Annotated[
    bool, typer.Option("--no-checksum", help="Take archives as they are, unchecked.")
]
ResolutionOption = Annotated[
    int,
    typer.Option("--resolution", min=16, max=1024, help="Height and width of slices, in pixels."),
]
ManifestsOption = Annotated[
    Path | None,
    typer.Option(
        "--manifests", help="Folder with manifests of your own, beside the packaged ones."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]


@app.callback()
def main(version: VersionOption = False) -> None:
    """Public medical segmentation datasets in one store of slices, ready to train on."""


ModalityOption = Annotated[
    str,
    typer.Option("--modality", help="Only what has this modality: mri, mri-flair, ct, fundus."),
]
LabelOption = Annotated[
    str, typer.Option("--label", help="Only what has a label of this name: kidney.")
]
AccessOption = Annotated[
    AccessChoice | None, typer.Option("--access", help="Only what is to be had this way.")
]
LicenceOption = Annotated[
    str, typer.Option("--licence", help="Only what has a licence that begins like this: CC-BY.")
]
CommercialOption = Annotated[
    bool, typer.Option("--commercial", help="Only what its owners allow to use commercially.")
]
SizeOption = Annotated[
    str,
    typer.Option("--size", help="Only archives of this size at most: 500MB, 20GB.", metavar="SIZE"),
]


def wanted(
    modality: str,
    label: str,
    access: AccessChoice | None,
    licence: str,
    commercial: bool,
    size: str,
) -> Wanted:
    """What datasets must have, as options say it.

    Raises:
        MegaMedicalError: the size is none.
    """
    from megamedical.catalogue.datasets import Wanted
    from megamedical.files.disk import in_bytes

    most = in_bytes(size) if size else None
    return Wanted(modality, label, access.value if access else "", licence, commercial, most)


def chosen(
    datasets: list[str] | None, role: RoleChoice | None, everything: bool, manifests: Path | None
) -> Sequence[Selection]:
    """The datasets and groups that were asked for.

    Raises:
        MegaMedicalError: see `catalog` and `Catalog.select`.
    """
    from megamedical.catalogue.datasets import catalog

    return catalog(manifests).select(
        datasets or (), role=role.value if role else None, everything=everything
    )


def new_table(*columns: str) -> Table:
    """An empty table; `>` before a column's name puts its cells to the right.

    Its cells are shown as they are: they may hold what Rich takes for its markup.
    """
    from rich import box

    from megamedical.reporting.clean_console import LiteralTable

    table = LiteralTable(box=box.SIMPLE_HEAD, pad_edge=False)
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


def print_json(value: Any) -> None:  # noqa: ANN401
    """Write a dataclass for scripts."""
    typer.echo(json.dumps(as_plain(value), indent=2, default=str))
