"""Worst, median and best cases as pictures: each slice and each outline is held once, and shared.

A slice becomes a small picture, a mask an outline drawn over it, so that one slice serves as query
and as support of all methods, tasks and support sizes.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cases import CaseReader, Example, TaskCases, draw_support, find_cases
from benchmark.judging.labels import with_labels
from benchmark.results import ENSEMBLE, POOL, ResultsError, unpacked
from benchmark.standings import Leaderboard
from benchmark.suite import Suite
from megamedical.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

_SUPPORTS = 4  # shown of each case
_QUALITY = 80  # of WebP
_MOST = 12_000_000  # characters of slices, outlines and cases in one page
_CASE = 1500  # characters of a case beside its slices and outlines

Cell = tuple[int, str, str]  # support size, task, method


@dataclass(frozen=True)
class Shown:
    """A slice and the outline of its mask, by their numbers in `Pictures`."""

    picture: int
    outline: int


@dataclass(frozen=True)
class Case:
    """A query of a method, and some of the support of its first draw.

    `place` is worst, median or best; `support_size` how many slices the support had.
    """

    place: str
    subject: str
    dice: float
    query: Shown
    found: int
    supports: tuple[Shown, ...]
    support_size: int


@dataclass(frozen=True)
class Pictures:
    """All that is drawn: slices as data URIs, outlines as SVG paths, and the cases of each cell.

    `side` is that of a slice, `queries` how many of them the store has of each task, and `left_out`
    counts the cells for which no room was left.
    """

    side: int
    slices: Sequence[str]
    outlines: Sequence[str]
    cells: Mapping[Cell, Sequence[Case]]
    queries: Mapping[str, int]
    left_out: int


def draw_pictures(
    board: Leaderboard, rows: pd.DataFrame, store: Store, most: int = _MOST
) -> Pictures:
    """Draw the cases of each method and task, the better methods first.

    Args:
        board: made of the rows.
        rows: of all methods.
        store: that they were made on.
        most: characters of slices, outlines and cases; cells beyond are left out.

    Raises:
        ResultsError: the suite is not known, the store is another one, or a mask in the rows is
            damaged.
    """
    suite = board.settings
    if suite is None:
        raise ResultsError(
            f"Supports cannot be drawn again: the rows were made with another suite {board.suite}",
            "Name its file with --suite, or leave --store away for a board without pictures.",
        )
    tasks = {cases.task: cases for cases in find_cases(suite, store).tasks}
    _expect_same_data(board, tasks, store)
    provenance = [said for entry in board.methods.values() for said in entry.provenance]
    scored = with_labels(rows[(rows["draw"] == ENSEMBLE) & rows["mask"].notna()], provenance)
    of_cell = dict(list(scored.groupby(["support_size", "task", "method"])))
    artist = _Artist(suite, store)
    cells: dict[Cell, Sequence[Case]] = {}
    wanted = [cell for cell in _in_order(board) if cell in of_cell]
    for size, task, method in wanted:
        if artist.drawn < most:
            cells[size, task, method] = [
                artist.case(tasks[task], place, row)
                for place, row in _extremes(of_cell[size, task, method])
            ]
    left_out = len(wanted) - len(cells)
    queries = {task: len(found.queries) for task, found in tasks.items()}
    return Pictures(suite.resolution, artist.slices, artist.outlines, cells, queries, left_out)


def _in_order(board: Leaderboard) -> list[Cell]:
    """Each cell once, those of the largest support and of the best methods first."""
    return list(
        dict.fromkeys(
            (POOL if one.uses_pool else ranking.support_size, task, one.method)
            for ranking in board.rankings
            for one in ranking.standings
            for task in ranking.tasks
        )
    )


class _Artist:
    """Draws slices and outlines, each once."""

    def __init__(self, suite: Suite, store: Store) -> None:
        self._suite = suite
        self._store = store
        self._readers: dict[str, CaseReader] = {}
        self._shown: dict[tuple[str, Example], Shown] = {}
        self._numbers: dict[tuple[str, int], int] = {}
        self.slices: list[str] = []
        self.outlines: list[str] = []
        self.drawn = 0

    def case(self, cases: TaskCases, place: str, row: Mapping[str, Any]) -> Case:
        size = int(row["support_size"])
        try:
            query = {each.subject: each for each in cases.queries}[row["subject"]]
            found = unpacked(row["mask"], (self._suite.resolution,) * 2)
        except (KeyError, ValueError, zlib.error) as error:
            raise ResultsError(
                f"The row of {row['method']} for {row['subject']} of {cases.task} is damaged",
                "Delete its file in the results, and run the method again.",
            ) from error
        support = draw_support(self._suite, cases, query, 0, size) if size != POOL else []
        self.drawn += _CASE
        return Case(
            place,
            query.subject,
            float(row["dice"]),
            self._show(cases.group, query),
            self._outline(found, 0.5),
            tuple(self._show(cases.group, each) for each in support[:_SUPPORTS]),
            size,
        )

    def _show(self, group: str, example: Example) -> Shown:
        if (group, example) not in self._shown:
            reader = self._readers.setdefault(group, CaseReader(self._store, group))
            image, mask = reader.query(example)
            self._shown[group, example] = Shown(
                self._slice(group, example.image, image),
                self._outline(mask, self._suite.threshold),
            )
        return self._shown[group, example]

    def _slice(self, group: str, index: int, image: NDArray[np.float32]) -> int:
        if (group, index) not in self._numbers:
            self._numbers[group, index] = len(self.slices)
            self.slices.append(_as_uri(image))
            self.drawn += len(self.slices[-1])
        return self._numbers[group, index]

    def _outline(self, mask: NDArray[np.generic], threshold: float) -> int:
        self.outlines.append(outline(mask.astype(float), threshold))
        self.drawn += len(self.outlines[-1])
        return len(self.outlines) - 1


def outline(mask: NDArray[np.floating], threshold: float) -> str:
    """The border of a soft mask (H, W) as an SVG path, in pixels from the upper left corner."""
    from contourpy import LineType, contour_generator

    framed = np.pad(mask, 1)
    lines = contour_generator(z=framed, line_type=LineType.Separate).lines(threshold)
    return "".join(_path(np.asarray(line) - 0.5) for line in lines)


def _path(line: NDArray[np.float64]) -> str:
    """A closed line (N, 2) without the points on its straight parts; none if it is but a point."""
    points = line[:-1].round(1)
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    is_corner = (before != after).any(axis=1)
    said = " ".join(f"{x:g} {y:g}" for x, y in points[is_corner])
    return f"M{said}Z" if said else ""


def _as_uri(image: NDArray[np.float32]) -> str:
    """An image (H, W) in [0, 1] as a small picture."""
    from PIL import Image

    grey = Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8))
    content = io.BytesIO()
    grey.save(content, "WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def _extremes(rows: pd.DataFrame) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The worst, the median and the best row; of one or two rows the worst and the best."""
    ordered = rows.sort_values(["dice", "subject"]).to_dict("records")
    places = {"worst": 0, "median": len(ordered) // 2, "best": len(ordered) - 1}
    if len(ordered) < len(places):
        del places["median"]
    if len(ordered) == 1:
        places = {"only": 0}
    for name, place in places.items():
        yield name, ordered[place]


def _expect_same_data(board: Leaderboard, tasks: Mapping[str, TaskCases], store: Store) -> None:
    differing = [
        task
        for task, data in board.data.items()
        if task not in tasks or tasks[task].fingerprint != data
    ]
    if differing:
        raise ResultsError(
            f"The store at {store.location} is not the one that the rows were made on: it has "
            f"other data of {', '.join(differing)}",
            "Name that store, or leave --store away for a board without pictures.",
        )
