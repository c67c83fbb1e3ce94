"""Commands that make a store or look into one: build, verify, info, preview."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from megamedical.commands.root import (
    AllOption,
    DatasetsArgument,
    JsonOption,
    ManifestsOption,
    MirrorOption,
    NoChecksumOption,
    RawOption,
    ResolutionOption,
    RoleOption,
    StoreOption,
    app,
    as_plain,
    new_table,
    print_json,
)
from megamedical.reporting.console import INCOMPLETE, echo, errors_explained, say, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from megamedical.building.report import BuildReport, Missing
    from megamedical.store.store import Store


class KnownErrorsChoice(StrEnum):
    """What becomes of subjects that are known to be wrong, as `--known-errors` takes it."""

    keep = "keep"
    drop = "drop"


_SHOWN = 20  # failures, before the summary points to the table
_MANY = 12  # groups of a dataset, before the summary adds them up


@app.command()
def build(
    datasets: DatasetsArgument = None,
    store: StoreOption = "store",
    raw: RawOption = None,
    mirror: MirrorOption = None,
    role: RoleOption = None,
    everything: AllOption = False,
    resolution: ResolutionOption = 128,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes; 0 for this one alone. (default: one per core)"),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler to work with, tls://HOST:PORT.")
    ] = None,
    subject_minutes: Annotated[
        float, typer.Option(min=0.01, help="Longest that a worker may take for one subject.")
    ] = 30,
    tasks: Annotated[int | None, typer.Option(min=1, help="Tasks of a generated dataset.")] = None,
    subjects: Annotated[int | None, typer.Option(min=1, help="Subjects of each of them.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the splits.")] = 0,
    known_errors: Annotated[
        KnownErrorsChoice,
        typer.Option(help="Keep or drop the subjects that are certainly wrong, see docs."),
    ] = KnownErrorsChoice.drop,
    no_checksum: NoChecksumOption = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    mend: Annotated[
        bool, typer.Option("--mend", help="Read all that is there, and make damaged groups anew.")
    ] = False,
    manifests: ManifestsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build datasets into a store: fetch, check, unpack, process, pack.

    What is in the store already, and whole, is kept, and finished subjects are not processed again,
    so an interrupted build goes on where it was, and a damaged store is mended. Exit code 3 says
    that something could not be had or processed; the rest is built all the same.
    """
    with errors_explained():
        from megamedical.building.build import build as run
        from megamedical.catalogue.datasets import catalog
        from megamedical.reporting.progress import Silence, listener

        console = terminal()
        if no_checksum and not as_json:
            console.print(
                "[yellow]Checksums are not checked: the archives are taken as they are.[/]"
            )
        report = run(
            *(datasets or ()),
            store=store,
            raw=raw,
            mirror=mirror,
            role=role.value if role else None,
            everything=everything,
            resolution=resolution,
            workers_count=workers,
            scheduler=scheduler,
            subject_minutes=subject_minutes,
            tasks=tasks,
            subjects=subjects,
            seed=seed,
            known_errors=known_errors.value,
            checksum=not no_checksum,
            offline=offline,
            mend=mend,
            manifests=catalog(manifests),
            listener=Silence() if as_json else listener(console),
        )
        if as_json:
            print_json(report)
        else:
            _summarise(report, console)
        if not report.is_complete:
            raise typer.Exit(INCOMPLETE)


@app.command()
def verify(store: StoreOption = "store", as_json: JsonOption = False) -> None:
    """Check a whole store against itself: every file, tables, slices, areas, splits."""
    with errors_explained():
        from megamedical.reporting.progress import Silence, listener
        from megamedical.store.verification import verify as run

        console = terminal()
        verdict = run(store, Silence() if as_json else listener(console))
        if as_json:
            print_json(verdict)
        else:
            for problem in verdict.problems:
                say(console, problem, "[red]✗[/] ")
            said = (
                f"{verdict.groups:,} groups, {verdict.images:,} images, {verdict.masks:,} masks, "
                f"{verdict.examples:,} examples"
            )
            for remark in verdict.remarks[:_SHOWN]:
                say(console, remark, "[yellow]![/] ")
            if len(verdict.remarks) > _SHOWN:
                say(console, f"  … and {len(verdict.remarks) - _SHOWN} more, see `Store.groups`.")
            wrong = f"[red]{len(verdict.problems)} problems[/]"
            console.print(f"{said}: {wrong if verdict.problems else '[green]all as it says[/]'}")
            if verdict.problems:
                say(console, "`megamedical build` of these groups makes them anew; see --mend.")
        if verdict.problems:
            raise typer.Exit(1)


@app.command()
def info(store: StoreOption = "store", as_json: JsonOption = False) -> None:
    """Say what a store holds."""
    with errors_explained():
        from megamedical.store.store import open_store

        opened = open_store(store)
        rows = _contents(opened)
        if as_json:
            typer.echo(
                json.dumps({"store": store, **as_plain(opened.attributes), "contents": rows})
            )
            return
        console = terminal()
        shown = new_table(
            "group", "modality", "role", ">subjects", ">patients", ">tasks", ">examples"
        )
        for row in _condensed(rows):
            row["subjects"] = _of_expected(row["subjects"], row.pop("expected"))
            shown.add_row(*(f"{v:,}" if isinstance(v, int) else v for v in row.values()))
        console.print(shown)
        say(
            console,
            f"{store}: {opened.resolution} x {opened.resolution} pixels, "
            f"{len(opened.tasks):,} tasks, {len(opened.failures):,} failures, "
            f"fingerprint {opened.attributes.fingerprint[:12]}",
        )


@app.command()
def preview(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Task ids, or how they begin: DATASET/GROUP.")
    ] = None,
    store: StoreOption = "store",
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("preview.png"),
    per_task: Annotated[int, typer.Option(min=1, max=32, help="Slices of each task.")] = 6,
    most: Annotated[int, typer.Option(min=1, max=500, help="Tasks, spread over the store.")] = 24,
) -> None:
    """Draw a contact sheet: slices of each task with the mask's outline."""
    with errors_explained():
        from megamedical.store.preview import preview as draw
        from megamedical.store.preview import save_preview
        from megamedical.store.store import open_store

        sheet = draw(open_store(store), tasks=tasks or (), per_task=per_task, most=most)
        save_preview(sheet, out)
        echo(f"{out}: {sheet.width} x {sheet.height} pixels")


def _summarise(report: BuildReport, console: Console) -> None:
    from rich.text import Text

    shown = new_table("group", ">subjects", ">failed", ">tasks", ">images", ">masks", "")
    for row in _condensed([{"group": g.path, **as_plain(g)} for g in report.groups]):
        shown.add_row(
            row["group"],
            _of_expected(row["subjects"], row["expected"] - row["failed"] * bool(row["subjects"])),
            Text(f"{row['failed']:,}", style="red" if row["failed"] else ""),
            *(f"{row[count]:,}" for count in ("tasks", "images", "masks")),
            "was there" if row["was_there"] else "",
        )
    if report.groups:
        console.print(shown)
    for group in report.groups:
        if group.empty_tasks:
            line = f"{group.path}: {group.empty_tasks:,} of {group.tasks:,} tasks show no pixel of "
            line += "their label in any subject: nothing is trained or tested on them"
            say(console, line, "[yellow]![/] ")
    for failure in report.failures[:_SHOWN]:
        subject = f"{failure.dataset}/{failure.group} {failure.subject}"
        line = f"{subject}: {failure.stage}: {failure.file}: {failure.reason}"
        say(console, line, "[red]✗[/] ")
    if len(report.failures) > _SHOWN:
        say(console, f"  … and {len(report.failures) - _SHOWN} more, see `Store.failures`.")
    for missing, *others in _wanted_alike(report.missing):
        say(console, missing.what, "[yellow]![/] ")
        say(console, f"  {missing.remedy}")
        if others:
            say(console, f"  The same holds for {', '.join(other.archive for other in others)}")
        lost = dict.fromkeys(group for each in (missing, *others) for group in each.groups)
        if lost:
            say(console, f"  Left out: {', '.join(lost)}")
        in_part = dict.fromkeys(group for each in (missing, *others) for group in each.in_part)
        if in_part:
            say(console, f"  Built in part: {', '.join(in_part)}")
    left_out = sum(group.left_out for group in report.groups)
    if left_out:
        say(
            console,
            f"{left_out:,} subjects are left out, known to be wrong (docs/datasets.md says what "
            "is); `--known-errors keep` takes them.",
        )
    say(console, f"Store: {report.store}  fingerprint {report.fingerprint[:12]}")


def _wanted_alike(missing: Sequence[Missing]) -> list[list[Missing]]:
    """Archives of which the same is said but for their names, in one list each."""
    names = [each.archive for each in missing if each.archive]
    alike: dict[str, list[Missing]] = {}
    for each in missing:
        said = f"{each.what}\n{each.remedy}"
        if each.archive:
            for name in names:
                said = said.replace(name, "")
        alike.setdefault(said, []).append(each)
    return list(alike.values())


def _of_expected(subjects: int, expected: int) -> str:
    """How many there are, and of how many, where some are missing."""
    return f"{subjects:,} of {expected:,}" if subjects < expected else f"{subjects:,}"


def _contents(store: Store) -> list[dict[str, Any]]:
    rows = []
    subjects = store.subjects.groupby(["dataset", "group"])
    expected = store.groups.set_index(["dataset", "group"])["expected"]
    for (dataset, group), tasks in store.tasks.groupby(["dataset", "group"]):
        members = subjects.get_group((dataset, group))
        rows.append(
            {
                "group": f"{dataset}/{group}",
                "modality": tasks["modality"].iloc[0],
                "role": tasks["role"].iloc[0],
                "subjects": len(members),
                "expected": int(expected.get((dataset, group), 0)),
                "patients": int(members["patient"].nunique()),
                "tasks": len(tasks),
                "examples": int(tasks[["train", "dev", "test"]].to_numpy().sum()),
            }
        )
    return rows


def _condensed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row instead of many, with the sums, for a dataset of very many groups."""
    datasets: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        datasets.setdefault(row["group"].partition("/")[0], []).append(row)
    condensed = []
    for dataset, groups in datasets.items():
        if len(groups) <= _MANY:
            condensed += groups
            continue
        sums = dict(groups[0])
        for key, value in groups[0].items():
            if isinstance(value, bool):
                sums[key] = all(row[key] for row in groups)
            elif isinstance(value, int):
                sums[key] = sum(row[key] for row in groups)
        condensed.append({**sums, "group": f"{dataset}/… ({len(groups):,} groups)"})
    return condensed
