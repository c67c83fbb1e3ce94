"""Commands for whoever adds a dataset: new, check."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from megamedical.commands.root import JsonOption, MirrorOption, app, as_plain, new_table
from megamedical.reporting.console import INCOMPLETE, errors_explained, say, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from megamedical.authoring.check import Check, GroupCheck, Trees
    from megamedical.catalogue.manifest import DatasetManifest

_SHOWN = 20  # kinds of unmatched files, before they are added up


@app.command()
def new(
    dataset: Annotated[str, typer.Argument(help="Its id: small letters, digits and dashes.")],
    files: Annotated[
        Path | None,
        typer.Option(help="Folder of its files; patterns and labels are proposed from them."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that the manifest is written to.")] = Path(),
    title: Annotated[str | None, typer.Option(help="What its owners call it.")] = None,
    home: Annotated[str | None, typer.Option(help="Address of its page.")] = None,
    modality: Annotated[
        str | None, typer.Option(help="What took the images: mri, ct, xray, fundus, …")
    ] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX name, like CC-BY-4.0.")] = None,
    authors: Annotated[str | None, typer.Option(help="Of the paper to cite.")] = None,
    year: Annotated[int | None, typer.Option(help="Of the paper to cite.")] = None,
    doi: Annotated[str | None, typer.Option(help="Of the paper to cite: 10.…/…")] = None,
    archive: Annotated[
        str | None, typer.Option(help="File name of its archive. (default: ID, a folder)")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Where the archive is downloaded.")] = None,
) -> None:
    """Write the first manifest of a dataset, with a comment wherever something is not known.

    On a terminal, what no option says is asked for; an empty answer leaves it open. No file is
    overwritten. Exit code 3 says that no images and masks were found in the folder, so that the
    manifest's patterns are examples.
    """
    with errors_explained():
        from megamedical.authoring.draft import Answers, draft, free_path
        from megamedical.files.writing import whole_file

        target = free_path(out, dataset)
        answers = Answers(
            id=dataset,
            title=_asked(title, "Title"),
            home=_asked(home, "Home page"),
            modality=_asked(modality, "Modality (mri, ct, xray, fundus, microscopy, …)"),
            licence=_asked(licence, "Licence (SPDX name)"),
            authors=authors,
            year=year,
            doi=_asked(doi, "DOI of the paper to cite"),
            archive=archive,
            url=url,
        )
        drafted = draft(answers, files)
        with whole_file(target) as unfinished:
            unfinished.write_text(drafted.text, encoding="utf-8")
        console = terminal()
        for layout in drafted.layouts:
            masks = ", ".join(layout.masks.values())
            say(console, f"{len(layout.pairs):,} images: {layout.image} with {masks}")
        if files and not drafted.layouts:
            say(console, f"No image of {files} could be paired with a mask.", "[yellow]![/] ")
            say(console, f"  The patterns in {target} are examples: mend them.")
        say(console, f"Wrote {target}. Look at its lines with a question mark, then run")
        say(console, f"  megamedical check {target}" + (f" --files {files}" if files else ""))
        if files and not drafted.layouts:
            raise typer.Exit(INCOMPLETE)


@app.command()
def check(
    manifest: Annotated[Path, typer.Argument(help="The YAML file of a dataset.")],
    files: Annotated[
        Path | None, typer.Option(help="Folder that holds what is in the archives.")
    ] = None,
    raw: Annotated[
        Path | None,
        typer.Option(help="Folder for archives and what comes of them, as in `build`."),
    ] = None,
    mirror: MirrorOption = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Subjects of each group that are read; 0 for all.")
    ] = 20,
    failures: Annotated[int, typer.Option(min=0, help="Failures of each group to show.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Check a manifest, and match it against the files it is meant for.

    Without files, only what the manifest says is checked. Exit code 3 says that something does not
    match: subjects, labels, or files that cannot be read.
    """
    with errors_explained():
        from megamedical.authoring.check import check as run
        from megamedical.authoring.check import questions_in
        from megamedical.catalogue.manifest_file import read_manifest
        from megamedical.errors import ManifestError

        if not manifest.is_file():
            raise ManifestError(f"{manifest} is not there", "`megamedical new` writes a manifest.")
        dataset = read_manifest(manifest)
        questions = questions_in(manifest)
        trees = _trees(dataset, files, raw, mirror)
        found = run(dataset, trees, sample=sample) if trees else None
        if as_json:
            lines = [{"line": number, "text": text} for number, text in questions]
            said = {"dataset": dataset.id, "questions": lines}
            typer.echo(json.dumps(said | (as_plain(found) if found else {}), indent=2))
        else:
            _show(found, dataset, failures, terminal())
            _show_questions(questions, manifest, terminal())
        if found and not found.is_well:
            raise typer.Exit(INCOMPLETE)


def _asked(given: str | None, question: str) -> str | None:
    """An option, or where there is none and somebody is there to answer, what they say."""
    if given is not None or not _somebody_is_there():
        return given
    return typer.prompt(question, default="", show_default=False) or None


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _trees(
    dataset: DatasetManifest, files: Path | None, raw: Path | None, mirror: Path | None
) -> Trees | None:
    """The files that a manifest is matched against: those of a folder, or of its archives."""
    from megamedical.authoring.check import archive_trees, folder_trees
    from megamedical.errors import SelectionError

    if files and (raw or mirror):
        raise SelectionError(
            "--files names unpacked files, --raw and --mirror archives.", "Give one or the other."
        )
    if files:
        return folder_trees(files)
    if raw or mirror:
        return archive_trees(dataset, raw=(raw or Path("raw")).resolve(), mirror=mirror)
    return None


def _show(found: Check | None, dataset: DatasetManifest, most: int, console: Console) -> None:
    if found is None:
        groups = f"{len(dataset.groups)} group{'s' * (len(dataset.groups) != 1)}"
        say(console, f"{dataset.id}: {groups}, and nothing that cannot be.", "[green]✓[/] ")
        say(console, "  Give --files, --raw or --mirror to match it against its files.")
        return
    for group in found.groups:
        _show_group(group, most, console)
    for missing in found.missing:
        say(console, missing, "[red]✗[/] ")
    if found.unmatched:
        count = sum(each.files for each in found.unmatched)
        say(console, f"Left over: {count:,} of {found.files:,} files fit no pattern.")
        for each in found.unmatched[:_SHOWN]:
            many = f" ({each.files:,} files)" if each.files > 1 else ""
            say(console, f"  {each.what}{many}")
        rest = sum(each.files for each in found.unmatched[_SHOWN:])
        if rest:
            say(console, f"  … and {rest:,} more")
    if found.is_well:
        say(console, f"{found.dataset}: the manifest fits its files.", "[green]✓[/] ")
    else:
        count = sum(len(group.problems) for group in found.groups) + len(found.missing)
        say(console, f"{found.dataset}: {count} problem{'s' * (count != 1)}.", "[red]✗[/] ")


def _show_questions(questions: Sequence[tuple[int, str]], path: Path, console: Console) -> None:
    if not questions:
        return
    numbers = ", ".join(str(number) for number, _ in questions)
    lines = "lines wait" if len(questions) > 1 else "line waits"
    say(
        console,
        f"{len(questions)} {lines} for you in {path} (marked with a question mark): {numbers}",
        "[yellow]?[/] ",
    )


def _show_group(group: GroupCheck, most: int, console: Console) -> None:
    say(console, group.path, "[bold]")
    say(console, f"  {group.subjects:,} subjects of {group.patients:,} patients")
    for count, what in (
        (group.images_without_mask, "images without their mask"),
        (group.masks_without_image, "masks without an image"),
    ):
        if count:
            say(console, f"  {what}: {count:,}")
    if group.shape and group.spacing:
        unit = "pixels" if group.dimension == 2 else f"voxels of {group.spacing} mm (Z, Y, X)"
        kinds = ", ".join(group.kinds)
        say(console, f"  {group.sampled:,} were read: {kinds}, {group.shape} {unit}")
    if group.sampled:
        shown = new_table("  label", ">value", ">pixels", ">masks")
        for label in group.labels:
            shown.add_row(
                f"  {label.name or '(no name)'}",
                "" if label.value is None else str(label.value),
                f"{label.pixels:,}",
                f"{label.masks:,}",
            )
        console.print(shown)
    for failure in group.failures[:most]:
        say(console, f"{failure.stage}: {failure.file}: {failure.reason}", "  [red]✗[/] ")
    if len(group.failures) > most:
        say(console, f"  … and {len(group.failures) - most:,} more: see them with --json")
    for remark in group.remarks:
        say(console, remark, "  [yellow]![/] ")
    for problem in group.problems:
        say(console, problem, "  [red]✗[/] ")
