"""Commands that bring stores to others: merge, copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from megamedical.commands.root import JsonOption, StoreOption, app, print_json
from megamedical.reporting.console import errors_explained, say, terminal

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


def _show(brought: Brought, as_json: bool) -> None:
    if as_json:
        print_json(brought)
        return
    console = terminal()
    there = f", {len(brought.was_there):,} were there already" if brought.was_there else ""
    say(console, f"{len(brought.copied):,} groups copied{there}.")
    say(console, f"Store: {brought.store}  fingerprint {brought.fingerprint[:12]}")
