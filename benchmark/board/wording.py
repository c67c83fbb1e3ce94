"""How the figures of a leaderboard are written wherever they are read. Dice is in points of 100."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmark.results import POOL
from benchmark.standings import Estimate, Leaderboard, Ranking, Standing
from megamedical.task_id import TaskId

NOTHING = "–"
BOUNDS = "Upper bounds, trained once on all labelled slices"
MARK = "†"  # after what a note is on
_MINUTE = 60


def dice(value: float | None) -> str:
    """A Dice, `33.1`."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def interval(estimate: Estimate | None) -> str:
    """The ends of the interval of a Dice, `27.3–36.7`."""
    return f"{dice(estimate.low)}–{dice(estimate.high)}" if estimate else ""


def with_interval(estimate: Estimate | None) -> str:
    """A Dice and its interval, `33.1 (27.3–36.7)`."""
    return f"{dice(estimate.value)} ({interval(estimate)})" if estimate else NOTHING


def rank(value: int | None) -> str:
    """A rank, `2`."""
    return NOTHING if value is None else f"{value}"


def places(estimate: Estimate | None) -> str:
    """The places that a method has in resamples, `place 1–3`."""
    if not estimate:
        return ""
    low, high = f"{estimate.low:g}", f"{estimate.high:g}"
    return f"place {low}" if low == high else f"place {low}–{high}"


def share(value: float | None) -> str:
    """A share of resamples, `83 %`."""
    return NOTHING if value is None else f"{100 * value:.0f} %"


def p_value(value: float | None) -> str:
    """A p-value, `p = 0.03`."""
    if value is None:
        return ""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def gain(estimate: Estimate | None) -> str:
    """A difference, `−4.2`."""
    return signed(estimate.value) if estimate else NOTHING


def gains(estimate: Estimate | None, p: float | None = None) -> str:
    """The interval of a difference, `−6.1 to −2.0`, and its p-value."""
    said = f"{signed(estimate.low)} to {signed(estimate.high)}" if estimate else ""
    return ", ".join(filter(None, (said, p_value(p))))


def signed(value: float) -> str:
    """A difference with its sign, and with none where it is written as zero."""
    said = f"{100 * abs(value):.1f}"
    return said if said == "0.0" else f"{'−' if value < 0 else '+'}{said}"


def duration(seconds: float) -> str:
    """A time, `6.8 ms`, `120 ms`, `4.2 s`, `26 s`, `13 min`."""
    if seconds >= 10 * _MINUTE:
        return f"{seconds / _MINUTE:.0f} min"
    value, unit = (seconds, "s") if seconds >= 1 else (1000 * seconds, "ms")
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"


def memory(size: int) -> str:
    """Bytes, `337 MB`."""
    return f"{size / 1e6:,.0f} MB"


def support(size: int) -> str:
    """How many labelled slices a query came with."""
    if size == POOL:
        return "all labelled slices"
    return "1 labelled slice" if size == 1 else f"{size} labelled slices"


def heading(ranking: Ranking) -> str:
    """What is ranked together: `64 labelled slices, in context`."""
    if ranking.support_size == POOL:
        return support(POOL)
    single = ", single draws" if ranking.is_single else ""
    return f"{support(ranking.support_size)}, {ranking.track}{single}"


def anchor(ranking: Ranking) -> str:
    """The place of a ranking in a page."""
    words = [ranking.track, f"{ranking.support_size}", *["single"] * ranking.is_single]
    return "-".join(words).replace(" ", "-")


def remark(standing: Standing) -> str:
    """What has to be known with a method's name."""
    remarks = ["trained on all labelled slices"] if standing.uses_pool else []
    if standing.shares_support:
        remarks.append(f"{_counted(standing.supports, 'draw')}, shared by all queries")
    if not standing.dice:
        remarks.append(f"incomplete ({standing.scored})")
    return ", ".join(remarks)


def label(task: str) -> str:
    """What is segmented in a task."""
    return TaskId.parse(task).label.replace("-", " ")


def source(task: str) -> str:
    """Where the slices of a task are from."""
    return " / ".join(TaskId.parse(task)[:-1])


def marked(board: Leaderboard, dataset: str) -> str:
    """A dataset, marked where its interval is too narrow."""
    return f"{dataset}\N{NO-BREAK SPACE}{MARK}" if dataset in board.small else dataset


def patients(board: Leaderboard, dataset: str) -> str:
    """How many patients a dataset has, and whether that is too few to rank by it."""
    count = board.patients[dataset]
    return too_few(count) if dataset in board.small else _counted(count, "patient")


def too_few(count: int) -> str:
    """That nothing is ranked by so few patients."""
    return f"n = {count}: too few to rank"


def scored(standing: Standing, task: str) -> str:
    """How many cases of a task have a score, `2 of 5`."""
    return f"{standing.cases[task] - standing.missing[task]} of {standing.cases[task]}"


def highest(board: Leaderboard, ranking: Ranking, task: str) -> float | None:
    """The best mean Dice of a task, where methods are compared and patients are enough."""
    if TaskId.parse(task).dataset in board.small:
        return None
    found = [one.tasks[task] for one in ranking.standings if not one.uses_pool]
    return max((each.value for each in found if each), default=None)


def summary(board: Leaderboard) -> str:
    """The leaderboard in a few sentences."""
    counts = f"{_counted(len(board.methods), 'method')} on {_counted(len(board.data), 'task')}"
    said = f"{counts} of {board.of_how_many(board.rankings[0])}."
    first = {ranking.track: ranking for ranking in board.rankings[::-1]}
    return " ".join([said, *(_headline(board, each) for each in list(first.values())[::-1])])


def _headline(board: Leaderboard, ranking: Ranking) -> str:
    """Who is first, and who cannot be told from it."""
    if not ranking.best:
        return f"With {heading(ranking)}, no method has a score of every case."
    best = ranking.standings[0]
    if ranking.too_few:
        return f"With {heading(ranking)}, {too_few(ranking.too_few)}."
    found = board.methods[best.method].contamination
    seen = (
        ""
        if found.in_words == "no"
        else f" What its weights have seen of this data: {found.in_words}."
    )
    level = (
        f", not distinguishable from {_listed(ranking.level)}, whose intervals overlap its own"
        if ranking.level
        else ""
    )
    return (
        f"With {heading(ranking)}, {best.method} does best: Dice "
        f"{with_interval(best.dice)}{level}.{seen}"
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def unfinished(board: Leaderboard, queries: Mapping[str, int]) -> str:
    """What has to be known where the store has more queries of the tasks than were run."""
    run = board.rankings[0].standings[0].cases
    total = sum(queries[task] for task in run)
    if sum(run.values()) == total:
        return ""
    return f"A quick look: {sum(run.values())} of the store's {total} queries were run."


def notes(board: Leaderboard) -> Iterator[str]:
    """What has to be known to read the tables."""
    standings = [one for ranking in board.rankings for one in ranking.standings]
    yield (
        "Dice × 100 of the mean prediction of all draws, averaged over the subjects of a task, the "
        "tasks of a dataset, and datasets, with the 95 % interval of "
        f"{board.resamples:,} resamples of patients."
    )
    yield (
        "Rank: one more than the methods whose whole interval lies above, so that methods which "
        "cannot be told from the best share its rank, and never better than that of a higher Dice. "
        "Place: 95 % of resamples. To best: the difference to the first, in the same resamples; p "
        "of a test of the signs of patients' differences, Holm's correction for the number of "
        "methods."
    )
    if any(ranking.too_few for ranking in board.rankings):
        yield f"Of fewer than {board.least} patients nothing is ranked, whatever the means."
    if len({ranking.track for ranking in board.rankings}) > 1:
        yield (
            "In context: weights stay as they are, whatever is shown. Tuned: they change with the "
            "labelled slices. Each is ranked by itself."
        )
    if any(one.shares_support for one in standings):
        yield (
            "Methods that are too dear to be fitted for each query see draws that all queries of a "
            "task share, and fewer; their time of fitting stands for itself."
        )
    if any("native_dice" in one.measures for one in standings):
        yield (
            "On scans: Dice × 100 on the grid of each scan, to which predictions are brought back, "
            "linear between pixels; its own mask is finer than a slice can show. Distances there "
            "are in mm, of scans that say how large a voxel is."
        )
    if any(one.expected is not None for one in standings):
        yield (
            "Expected: the Dice that a method expected of queries from its labelled slices alone, "
            "each found from the others."
        )
    if board.small:
        yield (
            f"{MARK} Fewer than {board.least} patients in {', '.join(board.small)}: intervals that "
            "they are part of are too narrow."
        )
    if any(one.uses_pool for one in standings):
        yield (
            "A method that was trained on all labelled slices is an upper bound, and takes no "
            "place among those that were shown a few."
        )
    if any(not one.dice for one in standings):
        yield (
            "A method that misses cases has no mean and no rank: those it misses are seldom easy."
        )
    yield (
        "Contamination: whether a method's weights have seen held-out slices, or other images of "
        "those patients; undisclosed, where nobody says what they have seen."
    )
    if board.missing:
        absent = sorted({TaskId.parse(task).dataset for task in board.missing})
        total = len(board.missing) + len(board.data)
        yield (
            f"{len(board.missing)} of {total} tasks of the suite are not in the results, of "
            f"{', '.join(absent)}; they are named below."
        )


def origin(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """What figures depend on, and what they are of."""
    settings = board.settings
    yield "Suite", f"{board.suite}, version {settings.version}" if settings else board.suite
    yield "Protocol", board.protocol
    if settings:
        yield "Draws", f"{settings.draws} supports of each query, seed {settings.seed}"
        shared = {
            one.supports for each in board.rankings for one in each.shown if one.shares_support
        }
        if shared:
            said = " or ".join(map(str, sorted(shared)))
            yield "Draws that queries share", f"{said} supports of each task, seed {settings.seed}"
        yield (
            "Splits",
            f"queries from {settings.evaluated}, supports from {settings.support}, "
            f"{settings.resolution} × {settings.resolution} pixels",
        )
        yield "Threshold", f"{settings.threshold:g}"
        yield "Both masks empty", f"Dice {settings.both_empty:g}"
    else:
        yield "Settings", "unknown here: the suite's file is not the one that rows were made with"
    made = [said for entry in board.methods.values() for said in entry.provenance]
    yield "Store", ", ".join(sorted({said.store_fingerprint for said in made}))
    yield "Hardware", "; ".join(sorted({said.hardware for said in made}))
    devices = {name for each in board.rankings for one in each.standings for name in one.devices}
    if devices:
        yield "Devices", "; ".join(sorted(devices))
    yield "megamedical", ", ".join(sorted({said.package for said in made}))
    yield "Intervals", f"{board.resamples:,} resamples, seed {board.seed}"
    yield "Not in the results", ", ".join(board.missing) or "nothing is missing"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
