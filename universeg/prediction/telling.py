"""What is told of a prediction before it is made: how good it will be, and what it comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from megamedical.files.writing import whole_file
from universeg.prediction.segmenter import Segmenter


def tell(segmenter: Segmenter, say: Callable[[str], None]) -> None:
    """Say how good each label will be found, with a warning where that is low."""
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
        "labels": {name: each.facts for name, each in segmenter.expected.items()},
        "chosen": list(learnt.chosen) if learnt else ["in context"],
        "why": learnt.why if learnt else "",
        "thresholds": dict(zip(names, segmenter.thresholds, strict=True)),
    }
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
