"""What is told of a prediction before it is made: how good it will be, and why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from megamedical.files.writing import whole_file
from megamedical.reporting.progress import Listener
from universeg.prediction.segmenter import Segmenter


def tell(segmenter: Segmenter, say: Callable[[str], None], listener: Listener) -> None:
    """Say how good each label will be found, with a warning where that is low."""
    segmenter.look_ahead(lambda total: listener.stage("Expect", total, "slices"))
    names = segmenter.labels.values()
    for name in names:
        if name not in segmenter.expected:
            say(f"{name}: one example cannot tell how good it will be")
            continue
        expectation = segmenter.expected[name]
        say(f"{name}: {expectation}, {expectation.scans} examples left out in turn")
        if expectation.warning:
            say(f"Warning: {name}: {expectation.warning}")


def write_summary(segmenter: Segmenter, path: Path) -> None:
    """Write what is to be expected, what was chosen and why, as JSON."""
    names, learnt = segmenter.labels.values(), segmenter.learnt
    said = {
        "values": {str(value): name for value, name in segmenter.labels.items()},
        "labels": {name: each.facts for name, each in segmenter.expected.items()},
        "chosen": list(learnt.chosen) if learnt else ["in context"],
        "why": learnt.why if learnt else "",
        "thresholds": dict(zip(names, segmenter.thresholds, strict=True)),
    }
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


@contextmanager
def by_the_clock(listener: Listener, name: str, seconds: float) -> Iterator[None]:
    """A stage of so many seconds; each is counted as it passes, the rest when the work is done."""
    total = max(1, math.ceil(seconds))
    is_done = Event()
    with listener.stage(name, total, "seconds") as step:

        def count() -> None:
            for _ in range(total - 1):
                is_done.wait(1.0)
                step()

        counting = Thread(target=count, daemon=True)
        counting.start()
        try:
            yield
        finally:
            is_done.set()
            counting.join()
            step()
