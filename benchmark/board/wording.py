"""How the figures of a leaderboard are written wherever they are read. Dice is in points of 100."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmark.results import POOL
from benchmark.standings import FEW, Estimate, Leaderboard, Ranking, Standing
from megamedical.task_id import TaskId

NOTHING = "–"
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


def rank(estimate: Estimate | None) -> str:
    """A rank, `2` or, where methods are level, `2.5`."""
    return f"{estimate.value:g}" if estimate else NOTHING


def ranks(estimate: Estimate | None) -> str:
    """The interval of a rank, `1–3`."""
    return f"{estimate.low:g}–{estimate.high:g}" if estimate else ""


def gain(estimate: Estimate | None) -> str:
    """A difference, `−4.2`."""
    return signed(estimate.value) if estimate else NOTHING


def gains(estimate: Estimate | None) -> str:
    """The interval of a difference, `−6.1 to −2.0`."""
    return f"{signed(estimate.low)} to {signed(estimate.high)}" if estimate else ""


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


def remark(standing: Standing) -> str:
    """What has to be known with a method's name."""
    remarks = ["trained on all labelled slices"] if standing.uses_pool else []
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


def patients(count: int) -> str:
    """How many patients a dataset has."""
    return _counted(count, "patient")


def scored(standing: Standing, task: str) -> str:
    """How many cases of a task have a score, `2 of 5`."""
    return f"{standing.cases[task] - standing.missing[task]} of {standing.cases[task]}"


def highest(ranking: Ranking, task: str) -> float | None:
    """The best mean Dice of a task, where methods are compared."""
    found = [one.tasks[task] for one in ranking.standings if not one.uses_pool]
    return max((each.value for each in found if each), default=None)


def summary(board: Leaderboard) -> str:
    """The leaderboard in a few sentences."""
    first = board.rankings[0]
    counts = f"{_counted(len(board.methods), 'method')} on {_counted(len(board.data), 'task')}"
    said = f"{counts} of {board.of_how_many(first)}."
    if not first.best:
        return f"{said} No method has a score of every case."
    best = first.standings[0]
    found = board.methods[best.method].contamination.in_words
    seen = "" if found == "none" else f" What its weights have seen of this data: {found}."
    return (
        f"{said} With {support(first.support_size)}, {best.method} does best: Dice "
        f"{with_interval(best.dice)}.{seen}"
    )


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
        "Single draws: the same mean of the scores of single draws. To best: the difference to the "
        "first of the ranked, in the same resamples."
    )
    if board.small:
        yield (
            f"{MARK} Fewer than {FEW} patients in {', '.join(board.small)}: intervals that they "
            "are part of are too narrow."
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
        "Contamination: held-out data that a method's weights have seen, or whose patients they "
        "have seen elsewhere."
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
    yield "megamedical", ", ".join(sorted({said.package for said in made}))
    yield "Intervals", f"{board.resamples:,} resamples, seed {board.seed}"
    yield "Not in the results", ", ".join(board.missing) or "nothing is missing"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
