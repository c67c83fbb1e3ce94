"""The `megamedical-benchmark` command; each part imports what it needs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from megamedical.reporting.commands import CommandLine, VersionOption
from megamedical.reporting.console import INCOMPLETE, errors_explained, say, terminal

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from benchmark.evaluation import RunReport
    from benchmark.standings import Leaderboard
    from benchmark.submission import Submission
    from megamedical.store.store import Store

_ELSEWHERE = {"method", "store", "suite", "out", "support_size"}  # of the options of `run`
_SUITE = "Its name, or its YAML file. (default: what the rows say)"

app = CommandLine(
    "megamedical-benchmark", "Held-out evaluation of in-context segmenters, and a leaderboard."
)


@app.callback()
def main(version: VersionOption = False) -> None:
    """Held-out evaluation of in-context segmenters, and a leaderboard."""


@app.command()
def methods() -> None:
    """List the methods, and the suites."""
    with errors_explained():
        from benchmark.method import described, method_names
        from benchmark.suite import load_suite, suite_names

        console = terminal()
        for name in method_names():
            say(console, f"{name:14} {described(name)}")
        for name in suite_names():
            suite = load_suite(name)
            say(console, f"suite {name}: {suite.title}, {len(suite.tasks)} tasks")


@app.command()
def run(
    context: typer.Context,
    method: Annotated[
        list[str],
        typer.Option(help="NAME, NAME:ARGUMENT or FILE.py:CLASS, see `methods`; may be repeated."),
    ],
    store: Annotated[str, typer.Option(help="Folder or URL of the store.", metavar="PATH")],
    suite: Annotated[str, typer.Option(help="A suite's name, or its YAML file.")] = "heldout",
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    support_size: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Labelled slices of each query; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Queries of each task, for a quick look.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where networks compute: cpu, cuda, cuda:1 …; auto takes a GPU.")
    ] = "auto",
    shared_draws: Annotated[
        int | None,
        typer.Option(
            min=1, help="Supports of each task, for methods that are fitted once for all queries."
        ),
    ] = None,
    native: Annotated[
        Path | None,
        typer.Option(help="Score on the grids of scans too, by a file that `native` made."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that share the tasks; 0 for this one alone.")
    ] = 0,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler to work with, tls://HOST:PORT.")
    ] = None,
) -> None:
    """Run methods on a suite: a row for each query and draw.

    Rows that are there are kept, so an interrupted run goes on where it was. Exit code 3 says that
    a task is missing from the store, or that a method failed somewhere.
    """
    with errors_explained():
        from benchmark.evaluation import run as evaluate
        from benchmark.method import make_method
        from benchmark.suite import load_suite
        from megamedical.building.workers import workers as at_work
        from megamedical.reporting.progress import listener
        from megamedical.store.store import open_store

        asked = load_suite(suite)
        if support_size:
            sizes = tuple(dict.fromkeys(support_size))
            asked = asked.model_copy(update={"support_sizes": sizes})
        if shared_draws:
            asked = asked.model_copy(update={"shared_draws": shared_draws})
        console = terminal()
        opened = open_store(store)
        for name in method:
            make_method(name, device)  # what cannot be made is said before the others take hours
        reports = []
        with at_work(workers, scheduler) as team:
            for name in method:
                heard = listener(console)
                reports.append(
                    evaluate(
                        asked, opened, name, out, team, heard, limit, device, native, _told(context)
                    )
                )
                _summarise(reports[-1], console)
        for task in reports[0].missing:
            say(console, f"not in the store: {task}", "[yellow]![/] ")
        if any(report.missing or report.failures for report in reports):
            raise typer.Exit(INCOMPLETE)


def _told(context: typer.Context) -> list[str]:
    """The options as they were typed, but for those that stand elsewhere beside the rows."""
    told = []
    for param in context.command.params:
        source = context.get_parameter_source(str(param.name))
        if param.name not in _ELSEWHERE and getattr(source, "name", "") == "COMMANDLINE":
            value = context.params[str(param.name)]
            values = value if isinstance(value, (list, tuple)) else [value]
            told += [_as_typed(param, each) for each in values]
    return told


def _as_typed(param: Any, value: object) -> str:  # noqa: ANN401  (Typer's own, or Click's)
    """An option with its value; files by their names, and an address by a word."""
    if isinstance(value, bool):
        return (param.opts if value else param.secondary_opts)[0]
    written = value.name if isinstance(value, Path) else str(value)
    if "://" in written:
        written = str(param.name).upper()
    return f"{param.opts[0]} {shlex.quote(written)}"


def _summarise(report: RunReport, console: Console) -> None:
    for task, reason in dict.fromkeys(report.failures):
        say(console, f"{task}: {reason}", "[red]✗[/] ")
    say(console, f"{report.rows} rows in {report.folder}")


@app.command()
def native(
    store: Annotated[str, typer.Option(help="Folder or URL of the store.", metavar="PATH")],
    suite: Annotated[str, typer.Option(help="A suite's name, or its YAML file.")] = "heldout",
    raw: Annotated[
        Path | None,
        typer.Option(help="Folder of archives, as the build had it. (default: beside the store)"),
    ] = None,
    mirror: Annotated[
        Path | None, typer.Option(help="Folder with archives as DATASET/FILE, used first.")
    ] = None,
    manifests: Annotated[
        Path | None, typer.Option(help="Folder with manifests of your own, as the build had it.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("native.parquet"),
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that share the subjects; 0 for this one alone.")
    ] = 0,
) -> None:
    """Read the masks of a suite's queries again on the grids of their scans, for `run --native`.

    Each is made into a slice once more, which must be what the store has.
    """
    with errors_explained():
        from benchmark.native.making import make_truths
        from benchmark.suite import load_suite
        from megamedical.building.workers import workers as at_work
        from megamedical.catalogue.datasets import catalog
        from megamedical.reporting.progress import listener
        from megamedical.store.store import open_store

        asked, opened, console = load_suite(suite), open_store(store), terminal()
        with at_work(workers) as team:
            found = make_truths(
                asked, opened, out, team, listener(console), catalog(manifests), raw, mirror
            )
        for task, best in found.items():
            mean = 100 * sum(best) / len(best)
            say(console, f"{task}: {len(best)} masks, of which slices show Dice {mean:.1f}")
        say(console, f"{out}: {sum(map(len, found.values()))} masks on the grids of their scans")


@app.command()
def leaderboard(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of results, as `run` left them, files of `pack`, or folders of these."
        ),
    ],
    store: Annotated[
        str | None,
        typer.Option(help="The store they were made on, for pictures.", metavar="PATH"),
    ] = None,
    suite: Annotated[str | None, typer.Option(help=_SUITE)] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts and cases.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write all figures as CSV.")] = None,
    md: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")] = False,
) -> None:
    """Rank methods by their rows: means, 95 % intervals, ranks, and what their weights have seen.

    Rows of different protocols or data are refused. A method that misses cases has no rank.
    """
    with errors_explained():
        from benchmark.board import tables, wording
        from benchmark.ranking import leaderboard as rank
        from benchmark.results import read_results
        from benchmark.submission import unpacked
        from benchmark.suite import load_suite
        from megamedical.store.store import open_store

        opened = open_store(store) if store else None  # what is mistyped is said at once
        with unpacked(results) as folders:
            rows, provenance = read_results(*folders)
        board = rank(rows, provenance, load_suite(suite) if suite else None)
        console = terminal()
        if as_json:
            typer.echo(tables.as_json(board))
        else:
            for ranking in board.rankings:
                for table in tables.as_terminal(board, ranking):
                    console.print(table)
            say(console, wording.summary(board))
            for note in wording.notes(board):
                say(console, note)
        if html:
            _write(html, _page(board, rows, opened), as_json)
        if csv:
            _write(csv, tables.as_csv(board), as_json)
        if md:
            _write(md, tables.as_markdown(board), as_json)


@app.command()
def pack(
    results: Annotated[Path, typer.Argument(help="Folder of the results, as `run` left it.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("submission.zip"),
    suite: Annotated[str | None, typer.Option(help=_SUITE)] = None,
) -> None:
    """Put results into one file for others: rows, who made them on what, and hashes."""
    with errors_explained():
        from benchmark.submission import pack as packed
        from benchmark.suite import load_suite

        found = packed(results, out, load_suite(suite) if suite else None)
        say(terminal(), f"{out}: {_in_words(found)}")


@app.command()
def check(
    submission: Annotated[Path, typer.Argument(help="A file that `pack` made.")],
    suite: Annotated[str | None, typer.Option(help=_SUITE)] = None,
) -> None:
    """Check a file of results: whole, nothing in it that does not belong there, rows that rank."""
    with errors_explained():
        from benchmark.submission import check as checked
        from benchmark.suite import load_suite

        found = checked(submission, load_suite(suite) if suite else None)
        say(terminal(), f"{submission}: {_in_words(found)}", "[green]✓[/] ")


def _in_words(found: Submission) -> str:
    return (
        f"{found.rows} rows of {', '.join(found.methods)} on {found.tasks} tasks, suite "
        f"{found.suite}, protocol {found.protocol[:8]}"
    )


def _page(board: Leaderboard, rows: pd.DataFrame, store: Store | None) -> str:
    from benchmark.board.page import as_page
    from benchmark.board.pictures import draw_pictures

    return as_page(board, draw_pictures(board, rows, store) if store else None)


def _write(path: Path, text: str, is_silent: bool) -> None:
    from megamedical.files.disk import in_words
    from megamedical.files.writing import whole_file

    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    if not is_silent:
        say(terminal(), f"{path} ({in_words(path.stat().st_size)})")
