"""The leaderboard as one HTML file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterator
from typing import Any

from benchmark.board import charts, wording
from benchmark.board.pictures import Pictures
from benchmark.results import POOL
from benchmark.standings import Leaderboard
from megamedical.catalogue.datasets import catalog


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
        charts=_charts(board),
        pool=POOL,
        commands=_commands(board),
        licences=list(_licences(board)),
        script=script,
        style=style,
        policy=_policy(script),
    )


def _charts(board: Leaderboard) -> dict[str, Any]:
    """The lines, where there are several support sizes, and the bars of each size and task."""
    return {
        "lines": charts.dice_by_support(board) if len(board.rankings) > 1 else "",
        "bars": {
            (ranking.support_size, task): charts.bars(ranking, task)
            for ranking in board.rankings
            for task in ranking.tasks
        },
    }


def _numbered(pictures: Pictures | None) -> dict[tuple[int, str, str], int]:
    return {cell: number for number, cell in enumerate(pictures.cells)} if pictures else {}


def _commands(board: Leaderboard) -> str:
    """What has to be typed to make the board again."""
    made = [said for entry in board.methods.values() for said in entry.provenance]
    methods = [f"--method {shlex.quote(asked)}" for asked in sorted({said.asked for said in made})]
    sizes = sorted(ranking.support_size for ranking in board.rankings if ranking.support_size)
    options = [
        f"--suite {shlex.quote(board.suite)} --store STORE --out results/",
        *methods,
        " ".join(f"--support-size {size}" for size in sizes),
    ]
    run = " \\\n    ".join(["megamedical-benchmark run", *filter(None, options)])
    return f"{run}\nmegamedical-benchmark leaderboard results/ --store STORE --html board.html"


def _licences(board: Leaderboard) -> Iterator[tuple[str, str, str]]:
    """Dataset, licence and DOI of what the pictures show."""
    known = catalog()
    for dataset in board.patients:
        if dataset in known:
            manifest = known[dataset]
            yield manifest.title, manifest.licence.name, manifest.citation.doi or ""


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
