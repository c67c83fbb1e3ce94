"""Commands about datasets, before and beside any store: list, plan, licences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from megamedical.commands.root import (
    AccessOption,
    AllOption,
    CommercialOption,
    DatasetsArgument,
    JsonOption,
    LabelOption,
    LicenceOption,
    ManifestsOption,
    MirrorOption,
    ModalityOption,
    RawOption,
    ResolutionOption,
    RoleChoice,
    RoleOption,
    SizeOption,
    StoreOption,
    app,
    new_table,
    print_json,
    wanted,
)
from megamedical.reporting.console import echo, errors_explained, say, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from megamedical.catalogue.datasets import Catalog, Selection, Wanted
    from megamedical.catalogue.licences import Terms
    from megamedical.catalogue.manifest import DatasetManifest
    from megamedical.obtaining.plan import Plan

_PERMITTED = {True: "yes", False: "no", None: "?"}  # None: nobody says


@app.command("list")
def list_datasets(
    datasets: DatasetsArgument = None,
    role: RoleOption = None,
    modality: ModalityOption = "",
    label: LabelOption = "",
    access: AccessOption = None,
    licence: LicenceOption = "",
    commercial: CommercialOption = False,
    size: SizeOption = "",
    manifests: ManifestsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the catalogue: what there is, how large, and on what terms.

    What is sought by its modality, label, access, licence or size is sought among the extra, too.
    """
    with errors_explained():
        from megamedical.catalogue.datasets import Wanted, catalog, described

        whole = catalog(manifests)
        sought = wanted(modality, label, access, licence, commercial, size)
        everything = not datasets and role is None
        chosen_ones = _among(whole, sought, datasets, role, everything)
        listed = [each.dataset for each in chosen_ones if sought.fits(each.dataset)]
        if as_json:
            typer.echo(json.dumps([*map(described, listed)], indent=2, ensure_ascii=False))
            return
        _show_datasets(listed)
        left_out = len(whole) - len(listed)
        if sought != Wanted():
            say(terminal(), f"{len(listed)} of {len(chosen_ones)} have all of that.")
        elif everything and left_out:
            say(terminal(), f"{left_out} more are extra: `megamedical list --role extra`.")


@app.command()
def plan(
    datasets: DatasetsArgument = None,
    store: StoreOption = "store",
    raw: RawOption = None,
    mirror: MirrorOption = None,
    role: RoleOption = None,
    everything: AllOption = False,
    modality: ModalityOption = "",
    label: LabelOption = "",
    access: AccessOption = None,
    licence: LicenceOption = "",
    commercial: CommercialOption = False,
    size: SizeOption = "",
    resolution: ResolutionOption = 128,
    manifests: ManifestsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a build would need, before a byte moves: archives, terms, room, steps by hand.

    What is sought by its modality, label, access, licence or size is sought among those that are
    named, or else everywhere, as `list` does.
    """
    with errors_explained():
        from megamedical.catalogue.datasets import catalog
        from megamedical.errors import SelectionError
        from megamedical.obtaining.plan import plan as make_plan
        from megamedical.obtaining.sources import raw_folder
        from megamedical.store.location import Location

        location = Location(store)
        folder = raw_folder(location, raw)
        sought = wanted(modality, label, access, licence, commercial, size)
        among = _among(catalog(manifests), sought, datasets, role, everything)
        fitting = [each for each in among if sought.fits(each.dataset)]
        if not fitting:
            raise SelectionError(f"None of {len(among)} datasets has all of that.", "Ask for less.")
        found = make_plan(
            fitting,
            raw=folder,
            mirror=mirror,
            store=location.folder or folder,
            resolution=resolution,
        )
        if as_json:
            print_json(found)
        else:
            _show_plan(found, terminal())


@app.command()
def licences(
    store: StoreOption = "store",
    bibtex: Annotated[
        Path | None, typer.Option(help="Write what to cite, as BibTeX, to this file.")
    ] = None,
    manifests: ManifestsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what one may do with a store, given what is in it, and whom to cite."""
    with errors_explained():
        from megamedical.catalogue.datasets import catalog
        from megamedical.catalogue.licences import bibliography, terms
        from megamedical.files.writing import whole_file
        from megamedical.store.store import open_store

        found = terms(open_store(store).tasks["dataset"], catalog(manifests))
        if bibtex:
            with whole_file(bibtex) as path:
                path.write_text(bibliography(found.datasets), encoding="utf-8")
        if as_json:
            uses = {use: found.verdict(use) for use in ("commercial", "redistribution")}
            licences = {each.id: each.licence.model_dump() for each in found.datasets}
            said = {"datasets": licences, "unknown": found.unknown, "whole store": uses}
            typer.echo(json.dumps(said, indent=2))
            return
        _show_terms(found, terminal())
        if bibtex:
            echo(f"{bibtex}: {len(found.datasets)} entries")


def _among(
    whole: Catalog,
    sought: Wanted,
    datasets: list[str] | None,
    role: RoleChoice | None,
    everything: bool,
) -> list[Selection]:
    """What was named, to be sought among; where something is sought, but nothing named, all."""
    from megamedical.catalogue.datasets import Wanted

    is_open = sought != Wanted() and not datasets and role is None
    names = list(whole) if is_open else datasets or ()
    return whole.select(names, role=role.value if role else None, everything=everything)


def _show_datasets(listed: Sequence[DatasetManifest]) -> None:
    from megamedical.catalogue.datasets import described
    from megamedical.files.disk import in_words

    shown = new_table("dataset", "modality", ">subjects", ">size", "role", "access", "licence")
    for row in map(described, listed):
        size = "drawn" if row["access"] == "generated" else "unknown"
        shown.add_row(
            row["dataset"],
            ", ".join(row["modality"]),
            f"{row['subjects']:,}",
            in_words(row["bytes"]) if row["bytes"] else size,
            row["role"],
            row["access"],
            row["licence"],
        )
    terminal().print(shown)


def _show_plan(found: Plan, console: Console) -> None:
    from megamedical.files.disk import in_words

    shown = new_table("dataset", "state", ">download", ">unpacked", ">store", "access", "licence")
    shown.add_column("commercial")
    shown.add_column("pass on")
    shown.collapse_padding = True
    for each in found.datasets:
        shown.add_row(
            each.dataset,
            each.state,
            f"{'≥ ' if each.unknown and each.download else ''}{in_words(each.download)}"
            if each.download
            else ("unknown" if each.unknown else "–"),
            in_words(each.unpacked) if each.unpacked else "–",
            in_words(each.store),
            each.access,
            each.licence,
            _PERMITTED[each.commercial],
            _PERMITTED[each.redistribution],
        )
    console.print(shown)
    say(console, "Commercial use, and passing it on: a question mark where nobody says.")
    for each in found.datasets:
        if each.by_hand:
            say(console, f"{each.dataset}: {', '.join(each.by_hand)}", "[yellow]by hand[/] ")
            say(console, f"  {each.how_to_get}")
            say(console, f"  It belongs into {each.put_into}/, where `megamedical adopt` puts it.")
        elif each.how_to_get:
            say(console, f"{each.dataset}: {each.how_to_get}", "[yellow]first[/] ")
        if each.in_part:
            groups = ", ".join(each.in_part)
            say(console, f"{groups}: built from the parts that are here.", "[yellow]in part[/] ")
    unknown = sum(len(each.unknown) for each in found.datasets)
    more = f", and {unknown} archives of unknown size" if unknown else ""
    say(
        console,
        f"Needed: {in_words(found.need_raw)} for archives and what is in them{more}; "
        f"{in_words(found.need_store)} for the store, about.",
    )
    say(
        console,
        f"Free: {in_words(found.free_raw)} for archives, {in_words(found.free_store)} for the "
        "store.",
    )
    if not found.fits:
        say(console, "That is not enough room.", "[red]✗[/] ")


def _show_terms(found: Terms, console: Console) -> None:
    shown = new_table("dataset", "licence", "commercial", "redistribution", "home")
    for each in found.datasets:
        licence = each.licence
        uses = map(licence.said, (licence.commercial, licence.redistribution))
        shown.add_row(each.id, licence.name, *uses, each.home or "")
    console.print(shown)
    for name in found.unknown:
        say(console, f"{name} is not in the catalogue: its terms are not known.", "[yellow]![/] ")
    for use, words in (
        ("commercial", "Commercial use of the whole store"),
        ("redistribution", "Passing the whole store on"),
    ):
        allowed, because = found.verdict(use)
        verdict = {True: "allowed", False: "not allowed by", None: "not stated by"}[allowed]
        say(console, f"{words}: {' '.join([verdict, ', '.join(because)]).strip()}.")
