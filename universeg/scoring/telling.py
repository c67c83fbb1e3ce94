"""Scores as a table on a terminal, as CSV, and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from megamedical.files.writing import whole_file
from megamedical.reporting.cleaning import cell
from universeg.scoring.score import MEASURES, Estimate, Scored

if TYPE_CHECKING:
    from rich.table import Table


def as_table(scored: Scored) -> Table:
    """The means of each label with their intervals, for a terminal."""
    from rich import box

    from megamedical.reporting.clean_console import LiteralTable

    table = LiteralTable(box=box.SIMPLE_HEAD, pad_edge=False)
    length, size = _units(scored)
    table.add_column("label")
    heads = ("cases", "Dice", f"HD95, {length}", "surface Dice", f"found, {size}", f"true, {size}")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for label, name in scored.names.items():
        if own := scored.of(label):
            near = [scored.mean(label, measure) for measure in MEASURES[:3]]
            sizes = [scored.mean(label, measure).mean for measure in MEASURES[3:]]
            said = [_in_words(*each) for each in zip(near, (3, 2, 3), strict=True)]
            decimals = 3 if scored.has_spacing else 0
            table.add_row(name, str(len(own)), *said, *(f"{x:,.{decimals}f}" for x in sizes))
    return table


def notes(scored: Scored) -> list[str]:
    """What a person must know to read the table."""
    length, _ = _units(scored)
    within = f"{scored.tolerance:g} {length}"
    said = [f"Means over cases, with 95 % intervals; the surface Dice is within {within}"]
    missed = sum(each.is_missed for each in scored.scores)
    if missed:
        said.append(
            f"In {missed} of {len(scored.scores)} a label is there or found alone: "
            "its Dice is 0, its HD95 the diagonal of the image"
        )
    if len({each.case for each in scored.scores}) < 10:
        said.append("Intervals of fewer than ten cases are too narrow")
    return said


def write_table(scored: Scored, path: Path) -> None:
    """Write a row for each label of each case as CSV, whole or not at all."""
    length, size = _units(scored)
    text = io.StringIO()
    writer = csv.writer(text)
    head = ["case", "label", "value", "dice", f"hd95_{length}", "surface_dice"]
    writer.writerow([*head, f"found_{size}", f"true_{size}"])
    for each in scored.scores:
        figures = [f"{getattr(each, measure):.6g}" for measure in MEASURES]
        writer.writerow([cell(each.case), cell(scored.names[each.label]), each.label, *figures])
    with whole_file(path) as unfinished:
        unfinished.write_text(text.getvalue(), encoding="utf-8-sig", newline="")


def write_json(scored: Scored, path: Path) -> None:
    """Write means, cases and failures as JSON, whole or not at all."""
    length, size = _units(scored)
    said = {
        "units": {"hd95": length, "size": size, "true_size": size},
        "tolerance": scored.tolerance,
        "labels": [
            {
                "label": label,
                "name": name,
                "cases": len(scored.of(label)),
                **{measure: asdict(scored.mean(label, measure)) for measure in MEASURES},
            }
            for label, name in scored.names.items()
            if scored.of(label)
        ],
        "cases": [asdict(each) for each in scored.scores],
        "failures": [{"file": path.name, "reason": why} for path, why in scored.failures],
        "missing": [path.name for path in scored.missing],
    }
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _units(scored: Scored) -> Sequence[str]:
    return ("mm", "ml") if scored.has_spacing else ("pixels", "pixels")


def _in_words(found: Estimate, decimals: int) -> str:
    mean = f"{found.mean:,.{decimals}f}"
    if found.low is None or found.high is None:
        return mean
    return f"{mean} ({found.low:,.{decimals}f}-{found.high:,.{decimals}f})"
