"""Commands that bring archives to where a build looks for them: adopt, download."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from megamedical.commands.root import (
    AllOption,
    DatasetsArgument,
    JsonOption,
    ManifestsOption,
    MirrorOption,
    NoChecksumOption,
    RawOption,
    RoleOption,
    StoreOption,
    app,
    chosen,
    print_json,
)
from megamedical.reporting.console import INCOMPLETE, errors_explained, say, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from megamedical.obtaining.adopt import Adopted, Adoption
    from megamedical.obtaining.download import Fetched, NotFetched
    from megamedical.obtaining.plan import DatasetPlan


@app.command()
def adopt(
    paths: Annotated[
        list[Path], typer.Argument(help="Files that you downloaded, or folders of them.")
    ],
    store: StoreOption = "store",
    raw: RawOption = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="What the files belong to, where that is unclear.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy, never link.")] = False,
    no_checksum: Annotated[
        bool, typer.Option("--no-checksum", help="Take files and folders as they are, unchecked.")
    ] = False,
    manifests: ManifestsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put archives that you downloaded by hand where a build looks for them.

    They are recognised by checksum, name or content, and linked where the disk can, so that they
    take no room twice. A folder that is unpacked already, or never was an archive, is read where it
    is. What is still missing of their datasets is said. Exit code 3 says that a file could not be
    taken.
    """
    with errors_explained():
        from megamedical.catalogue.datasets import catalog
        from megamedical.obtaining.adopt import adopt as run
        from megamedical.obtaining.sources import raw_folder
        from megamedical.store.location import Location

        adoption = run(
            paths,
            raw=raw_folder(Location(store), raw),
            manifests=catalog(manifests),
            only=dataset or (),
            checksum=not no_checksum,
            copy=copy,
        )
        if as_json:
            print_json(adoption)
        else:
            _show_adoption(adoption, terminal())
        if adoption.refused:
            raise typer.Exit(INCOMPLETE)


@app.command()
def download(
    datasets: DatasetsArgument = None,
    store: StoreOption = "store",
    raw: RawOption = None,
    mirror: MirrorOption = None,
    role: RoleOption = None,
    everything: AllOption = False,
    jobs: Annotated[int, typer.Option(min=1, max=32, help="Files at a time.")] = 4,
    no_checksum: NoChecksumOption = False,
    manifests: ManifestsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Download every archive that can be had so, and say how to get the others.

    Interrupted downloads go on where they ended, and what is here is only checked. Exit code 3 says
    that something is missing; one failure stops no other.
    """
    with errors_explained():
        from megamedical.obtaining.download import download
        from megamedical.obtaining.sources import raw_folder
        from megamedical.reporting.downloads import SilentTransfers, transfers
        from megamedical.store.location import Location

        console = terminal()
        with nullcontext(SilentTransfers()) if as_json else transfers(console) as shown:
            fetching = download(
                chosen(datasets, role, everything, manifests),
                raw=raw_folder(Location(store), raw),
                mirror=mirror,
                jobs=jobs,
                checksum=not no_checksum,
                transfers=shown,
                done=None if as_json else partial(_show_outcome, console=console),
            )
        if as_json:
            print_json(fetching)
        else:
            for dataset in fetching.datasets:
                _show_missing(dataset, console)
        if not fetching.is_complete:
            raise typer.Exit(INCOMPLETE)


def _show_outcome(outcome: Fetched | NotFetched, console: Console) -> None:
    from megamedical.obtaining.download import Fetched

    if isinstance(outcome, Fetched):
        was = "was there already" if outcome.was_there else "is now there"
        say(console, f"{outcome.dataset}: {outcome.place} {was}", "[green]✓[/] ")
    else:
        say(console, f"{outcome.dataset}: {outcome.reason}", "[red]✗[/] ")
        say(console, f"  {outcome.remedy}")


def _show_adoption(adoption: Adoption, console: Console) -> None:
    for each in adoption.adopted:
        say(console, _of_adopted(each), "[green]✓[/] ")
    for refused in adoption.refused:
        say(console, refused.reason, "[red]✗[/] ")
        say(console, f"  {refused.remedy}")
    if adoption.unknown:
        names = ", ".join(path.name for path in adoption.unknown)
        say(console, f"Not of the catalogue, and left alone: {names}")
    for dataset in adoption.datasets:
        _show_missing(dataset, console)


def _of_adopted(each: Adopted) -> str:
    was = "was there already" if each.was_there else "is now there"
    return f"{each.file.name}: {each.dataset}, recognised by its {each.how}; {each.place} {was}"


def _show_missing(dataset: DatasetPlan, console: Console) -> None:
    """What of a dataset is not here yet, and how it comes here."""
    if dataset.state == "ready":
        say(console, f"{dataset.dataset}: nothing is missing.")
        return
    say(console, f"{dataset.dataset}: still missing:", "[yellow]![/] ")
    for name in dataset.to_download:
        say(console, f"  {name}: `megamedical download {dataset.dataset}` fetches it")
    for name in dataset.by_hand:
        say(console, f"  {name}: by hand")
    if dataset.by_hand:
        say(console, f"  {dataset.how_to_get} Then `megamedical adopt` what you get.")
