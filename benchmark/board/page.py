"""The leaderboard as one HTML file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterator
from typing import Any

from benchmark.board import beside, charts, wording
from benchmark.board.pictures import Pictures
from benchmark.results import POOL
from benchmark.standings import Leaderboard, Ranking
from benchmark.suite import suite_names
from megamedical.catalogue.datasets import manifest_folder
from megamedical.catalogue.manifest_file import read_manifest
from megamedical.task_id import TaskId


def as_page(board: Leaderboard, pictures: Pictures | None) -> str:
    """The page; without pictures where no store was at hand.

    Whatever comes from files is escaped, and the page's own policy forbids every request and every
    script but its own.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("benchmark.board"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script, style = (environment.get_template(name).render() for name in ("page.js", "page.css"))
    return environment.get_template("page.html").render(
        board=board,
        title=board.settings.title if board.settings else board.suite,
        pictures=pictures,
        templates=_numbered(pictures),
        say=wording,
        beside=beside,
        tasks_of=_tasks_of,
        charts=_charts(board),
        pool=POOL,
        commands=_commands(board),
        licences=list(_licences(board)),
        script=script,
        style=style,
        policy=_policy(script),
    )


def _charts(board: Leaderboard) -> dict[str, Any]:
    """The lines of each track with several support sizes, and bars of each dataset and task."""
    tracks: dict[str, list[Ranking]] = {}
    for ranking in board.rankings:
        if not ranking.is_single:
            tracks.setdefault(ranking.track, []).append(ranking)
    return {
        "lines": {
            track: charts.dice_by_support(own) for track, own in tracks.items() if len(own) > 1
        },
        "bars": {
            (wording.anchor(ranking), name): charts.bars(ranking, name)
            for ranking in board.rankings
            for name in (*ranking.datasets, *ranking.tasks)
        },
    }


def _tasks_of(ranking: Ranking, dataset: str) -> list[str]:
    return [task for task in ranking.tasks if TaskId.parse(task).dataset == dataset]


def _numbered(pictures: Pictures | None) -> dict[tuple[int, str, str], int]:
    return {cell: number for number, cell in enumerate(pictures.cells)} if pictures else {}


def _commands(board: Leaderboard) -> str:
    """What has to be typed to make the board again: a run for each way in which methods were."""
    runs: dict[tuple[tuple[int, ...], tuple[str, ...]], set[str]] = {}
    for name, entry in board.methods.items():
        for said in entry.provenance:
            runs.setdefault((_sizes(board, name), (*said.options,)), set()).add(said.asked)
    suite = board.suite if board.suite in suite_names() else f"{board.suite}.yaml"
    lines = [
        " \\\n    ".join(
            [
                "megamedical-benchmark run",
                f"--suite {shlex.quote(suite)} --store STORE --out results/",
                *filter(None, [" ".join(f"--support-size {size}" for size in sizes)]),
                *(f"--method {shlex.quote(asked)}" for asked in sorted(methods)),
                *filter(None, [" ".join(options)]),
            ]
        )
        for (sizes, options), methods in sorted(runs.items())
    ]
    natives = {each for _, options in runs for each in options if each.startswith("--native ")}
    lines = [
        *(
            f"megamedical-benchmark native --suite {shlex.quote(suite)} --store STORE --out {file}"
            for file in sorted(each.removeprefix("--native ") for each in natives)
        ),
        *lines,
    ]
    own = "" if board.suite in suite_names() else f"--suite {shlex.quote(suite)} "
    last = f"megamedical-benchmark leaderboard results/ {own}--store STORE --html board.html"
    return "\n".join([*lines, last])


def _sizes(board: Leaderboard, method: str) -> tuple[int, ...]:
    """The numbers of labelled slices that a method was run with; none of one that had them all."""
    found = {
        ranking.support_size
        for ranking in board.rankings
        if any(one.method == method and not one.uses_pool for one in ranking.standings)
    }
    return tuple(sorted(found))


def _licences(board: Leaderboard) -> Iterator[tuple[str, str, str]]:
    """Dataset, licence and DOI of what the pictures show."""
    there = {path.stem: path for path in (manifest_folder() / "datasets").glob("*.yaml")}
    for dataset in board.patients:
        if dataset in there:
            manifest = read_manifest(there[dataset])
            yield manifest.title, manifest.licence.name, manifest.citation.doi or ""


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
