"""The `megamedical-benchmark` command; each part imports what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from megamedical.cli import INCOMPLETE
from megamedical.console import errors_explained, say, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from benchmark.run import RunReport

app = typer.Typer(
    name="megamedical-benchmark",
    help="Held-out evaluation of in-context segmenters, and a leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def main() -> None:
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
    method: Annotated[
        list[str], typer.Option(help="NAME or NAME:WEIGHTS, see `methods`; may be repeated.")
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
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that share the tasks; 0 for this one alone.")
    ] = 0,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler to work with, tcp://HOST:PORT.")
    ] = None,
) -> None:
    """Run methods on a suite: a row for each query and draw.

    Rows that are there are kept, so an interrupted run goes on where it was. Exit code 3 says that
    a task is missing from the store, or that a method failed somewhere.
    """
    with errors_explained():
        from benchmark.run import run as evaluate
        from benchmark.suite import load_suite
        from megamedical.progress import listener
        from megamedical.store import open_store
        from megamedical.workers import workers as at_work

        asked = load_suite(suite)
        if support_size:
            asked = asked.model_copy(update={"support_sizes": tuple(support_size)})
        console = terminal()
        opened = open_store(store)
        reports = []
        with at_work(workers, scheduler) as team:
            for name in method:
                reports.append(evaluate(asked, opened, name, out, team, listener(console), limit))
                _summarise(reports[-1], console)
        for task in reports[0].missing:
            say(console, f"not in the store: {task}", "[yellow]![/] ")
        if any(report.missing or report.failures for report in reports):
            raise typer.Exit(INCOMPLETE)


def _summarise(report: RunReport, console: Console) -> None:
    for task, reason in dict.fromkeys(report.failures):
        say(console, f"{task}: {reason}", "[red]✗[/] ")
    say(console, f"{report.rows} rows in {report.folder}")
