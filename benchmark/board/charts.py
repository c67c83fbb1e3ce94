"""Charts as SVG inside the page: their colours are the page's variables, so that it can be dark.

Matplotlib knows no CSS. So each variable is drawn in a colour of its own, which is then replaced.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmark.board import wording
from benchmark.standings import Ranking, Standing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SERIES = 8  # colours of lines; one that comes again has another marker
_MARKERS = "osD^vPX*<"
_INK, _FAINT, _RULE, _BAR, _BOUND = (f"#0c0c{number:02x}" for number in range(1, 6))
_VARIABLES = {_INK: "ink", _FAINT: "faint", _RULE: "rule", _BAR: "bar", _BOUND: "bound"} | {
    f"#0d0d{number:02x}": f"series-{number}" for number in range(_SERIES)
}
_POINT = 1 / 72  # inch; a point is a pixel of the drawing
_LONGEST = 24  # letters of a method beside its bar


def dice_by_support(rankings: Sequence[Ranking]) -> str:
    """Mean Dice of each method of a track against the labelled slices, with 95 % bands."""
    sizes = sorted(ranking.support_size for ranking in rankings)
    ends = (sizes[0] / 1.25, sizes[-1] * 1.25)
    methods = dict.fromkeys(one.method for ranking in rankings for one in ranking.standings)
    with _drawn_as_text(f"dice-by-support-{rankings[0].track}"):
        figure = _figure(400, 270 + 18 * -(-len(methods) // 2))
        axes = figure.subplots()
        for number, method in enumerate(methods):
            colour = f"#0d0d{number % _SERIES:02x}"
            found = [
                (ranking.support_size, one)
                for ranking in reversed(rankings)
                for one in ranking.standings
                if one.method == method and one.dice
            ]
            if found and found[0][1].uses_pool:
                _draw_bound(axes, found[-1][1], ends)
            elif found:
                marker = _MARKERS[number % len(_MARKERS)]
                _draw_line(axes, found, colour, marker)
        axes.set_xscale("log", base=2)
        axes.set_xlim(*ends)
        axes.set_xticks(sizes, labels=map(str, sizes))
        axes.set_xticks([], minor=True)
        axes.set_ylim(0, 100)
        axes.set_xlabel("Labelled slices")
        axes.set_ylabel("Dice × 100")
        axes.grid(axis="y", color=_RULE, linewidth=0.6)
        figure.legend(loc="outside lower left", ncols=2, frameon=False, labelcolor=_INK)
        return _svg(figure)


def bars(ranking: Ranking, name: str) -> str:
    """The Dice of each method in a dataset or a task, with 95 % intervals, as they are ranked."""
    standings = ranking.standings
    with _drawn_as_text(f"{name}-{ranking.track}-{ranking.support_size}-{ranking.is_single}"):
        figure = _figure(340, 34 + 17 * len(standings))
        axes = figure.subplots()
        for place, one in enumerate(standings):
            if estimate := one.tasks[name] if name in one.tasks else one.datasets[name]:
                value, low, high = (
                    100 * each for each in (estimate.value, estimate.low, estimate.high)
                )
                axes.barh(place, value, height=0.62, color=_BOUND if one.uses_pool else _BAR)
                axes.plot([low, high], [place, place], color=_INK, linewidth=1.1)
        axes.set_ylim(len(standings) - 0.4, -0.6)
        axes.set_yticks(range(len(standings)), labels=[_cut(one.method) for one in standings])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 100)
        axes.set_xticks(range(0, 101, 25))
        axes.grid(axis="x", color=_RULE, linewidth=0.6)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0)
        return _svg(figure)


def _draw_line(axes: Axes, found: Sequence[tuple[int, Standing]], colour: str, marker: str) -> None:
    sizes = [size for size, _ in found]
    dice = [one.dice for _, one in found if one.dice]
    axes.fill_between(
        sizes,
        [100 * each.low for each in dice],
        [100 * each.high for each in dice],
        color=colour,
        alpha=0.13,
        linewidth=0,
    )
    axes.plot(
        sizes,
        [100 * each.value for each in dice],
        color=colour,
        marker=marker,
        markersize=4.5,
        linewidth=1.5,
        label=_cut(found[0][1].method),
    )


def _draw_bound(axes: Axes, one: Standing, ends: tuple[float, float]) -> None:
    if one.dice:
        axes.fill_between(
            ends, 100 * one.dice.low, 100 * one.dice.high, color=_BOUND, alpha=0.2, linewidth=0
        )
        value = 100 * one.dice.value
        label = f"{_cut(one.method)}, {wording.support(0)}"
        axes.plot(ends, [value] * 2, color=_FAINT, linewidth=1.2, linestyle="--", label=label)


def _cut(name: str) -> str:
    half = _LONGEST // 2
    return name if len(name) <= _LONGEST else f"{name[: half - 1]}…{name[-half:]}"


@contextmanager
def _drawn_as_text(chart: str) -> Iterator[None]:
    """Letters stay letters, those of files are no formulas, and ids are those of one chart."""
    import matplotlib as mpl

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": chart,
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 11,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _FAINT,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.axisbelow": True,
        "xtick.color": _FAINT,
        "xtick.labelcolor": _INK,
        "ytick.color": _FAINT,
        "ytick.labelcolor": _INK,
        "ytick.major.size": 0,
    }
    with mpl.rc_context(settings):
        yield


def _figure(width: int, height: int) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width * _POINT, height * _POINT), layout="constrained")


def _svg(figure: Figure) -> str:
    """A figure as an SVG element without a size, which takes its colours from the page."""
    content = io.StringIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    drawn = content.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<(metadata|style).*?</\1>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 class="chart"', drawn, count=1)
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 aria-hidden="true"', drawn, count=1)
    return re.sub(
        "|".join(_VARIABLES), lambda colour: f"var(--{_VARIABLES[colour.group()]})", drawn
    )
