"""Which measures fit a task beside Dice: lines want another than cells."""

from __future__ import annotations

import re

from benchmark.measures.centrelines import cldice
from benchmark.measures.certainty import Floats, calibration_error, dice_at
from benchmark.measures.objects import object_f1
from megamedical.task_id import TaskId

_LINES = re.compile(r"\b(vessels?|arter(y|ies)|veins?|airways?|capillar(y|ies))\b")
_CELLS = re.compile(r"\b(cells?|nucle(us|i)|cytoplasm)\b")


FITTING = ("cldice", "object_f1", "calibration_error", "dice_at")


def fitting_scores(
    task: str, probability: Floats, truth: Floats, threshold: float, both_empty: float
) -> dict[str, float | list[float] | None]:
    """The scores of `FITTING` of one prediction; None of what does not fit its task.

    Args:
        task: its id.
        probability: of the label, (H, W) in [0, 1].
        truth: soft mask, (H, W) in [0, 1].
        threshold: of both; what is above it is the mask.
        both_empty: the score where both masks are empty.
    """
    found, meant = probability > threshold, truth > threshold
    return {
        "cldice": cldice(found, meant, both_empty) if of_lines(task) else None,
        "object_f1": object_f1(found, meant, both_empty=both_empty) if of_cells(task) else None,
        "calibration_error": calibration_error(probability, meant),
        "dice_at": dice_at(probability, meant, both_empty),
    }


def of_lines(task: str) -> bool:
    """Whether the label of a task is thin and long: vessels, airways."""
    return _LINES.search(_label(task)) is not None


def of_cells(task: str) -> bool:
    """Whether the label of a task is cells, or parts of them, under a microscope."""
    return TaskId.parse(task).modality == "microscopy" and _CELLS.search(_label(task)) is not None


def _label(task: str) -> str:
    return TaskId.parse(task).label.replace("-", " ")
