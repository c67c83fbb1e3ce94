"""Commands that bring stores to others: merge, copy, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from megamedical.commands.root import JsonOption, ManifestsOption, StoreOption, app, print_json
from megamedical.reporting.console import INCOMPLETE, errors_explained, say, terminal

if TYPE_CHECKING:
    from megamedical.sharing.copying import Brought


@app.command()
def merge(
    stores: Annotated[list[str], typer.Argument(help="Folders or URLs of stores.")],
    store: StoreOption = "store",
    as_json: JsonOption = False,
) -> None:
    """Bring all that several stores hold into one, as if it had been built there.

    They must have one resolution and seed. What is there already, and made from the same, is taken
    once. The store is the old one until all is there, and the same command begins again.
    """
    with errors_explained("the same command begins again"):
        from megamedical.reporting.progress import Silence, listener
        from megamedical.sharing.copying import merge as run

        heard = Silence() if as_json else listener(terminal())
        _show(run(*stores, into=store, listener=heard), as_json)


@app.command()
def copy(
    store: Annotated[str, typer.Argument(help="Folder or URL of a store.")],
    to: Annotated[str, typer.Argument(help="Folder or URL that it goes to.", metavar="DEST")],
    datasets: Annotated[
        list[str] | None, typer.Argument(help="DATASET or DATASET/GROUP; all by default.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a store, or some of its datasets, to a folder or URL: s3://…, gs://…, and back.

    Each file is compared with its checksum. A store that is there already is added to.
    """
    with errors_explained("the same command begins again"):
        from megamedical.reporting.progress import Silence, listener
        from megamedical.sharing.copying import copy as run

        heard = Silence() if as_json else listener(terminal())
        _show(run(store, to, *(datasets or ()), listener=heard), as_json)


@app.command()
def export(
    hf: Annotated[
        Path, typer.Option("--hf", help="New folder, written as a dataset of Hugging Face's.")
    ],
    store: Annotated[str, typer.Argument(help="Folder or URL of the store.")] = "store",
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Datasets; all that may be passed on by default.")
    ] = None,
    manifests: ManifestsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what may be passed on of a store for others: Parquet with pictures, and its card.

    What its owners forbid to pass on, or do not speak of, is left out and named, with exit code 3;
    asked for by name, it is refused.
    """
    with errors_explained("the same command begins again"):
        from megamedical.catalogue.datasets import catalog
        from megamedical.reporting.progress import Silence, listener
        from megamedical.sharing.hugging_face import export as run
        from megamedical.sharing.terms import provenances_of
        from megamedical.store.store import open_store

        console = terminal()
        opened = open_store(store)
        known = provenances_of(opened, catalog(manifests))
        heard = Silence() if as_json else listener(console)
        exported = run(opened, hf, known, datasets or (), heard)
        if as_json:
            print_json(exported)
        else:
            for reason in exported.refused:
                say(console, reason, "[yellow]![/] ")
            names = ", ".join(exported.datasets)
            say(console, f"{exported.folder}: {exported.examples:,} examples of {names}")
        if exported.refused:
            raise typer.Exit(INCOMPLETE)


def _show(brought: Brought, as_json: bool) -> None:
    if as_json:
        print_json(brought)
        return
    console = terminal()
    there = f", {len(brought.was_there):,} were there already" if brought.was_there else ""
    say(console, f"{len(brought.copied):,} groups copied{there}.")
    say(console, f"Store: {brought.store}  fingerprint {brought.fingerprint[:12]}")
