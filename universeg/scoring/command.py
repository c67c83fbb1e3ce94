"""The command `universeg score`; what it needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from megamedical.reporting.console import INCOMPLETE, errors_explained, say, terminal
from universeg.options import LabelOption


def score(
    predictions: Annotated[
        Path, typer.Argument(help="Folder of predicted masks, or one.", metavar="PREDICTIONS")
    ],
    truth: Annotated[Path, typer.Argument(help="Folder of true masks, or one.", metavar="TRUTH")],
    label: LabelOption = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0.0, help="Of the surface Dice: mm; pixels, where no spacing is known."),
    ] = 1.0,
    csv: Annotated[
        Path | None, typer.Option(help="CSV file for each label of each case.", metavar="FILE")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="JSON file for all of it.", metavar="FILE")
    ] = None,
) -> None:
    """Hold predicted masks against true ones.

    Masks are paired by their names, endings as `_mask` apart. Of each label: Dice, the 95 %
    Hausdorff distance, the surface Dice, and the volume in ml, or the area in pixels; means over
    cases with 95 % intervals. Cases in which nobody has the label do not count.

    Exit code 3 says that a case could not be scored, or that a truth has no prediction.
    """
    with errors_explained("the same command begins anew"):
        from megamedical.reporting.progress import listener
        from universeg.prediction.labels import named_labels
        from universeg.scoring.score import score as run
        from universeg.scoring.telling import as_table, notes, write_json, write_table

        console = terminal()
        names = named_labels(label or ())
        scored = run(
            predictions,
            truth,
            names,
            tolerance,
            lambda line: say(console, line),
            listener(console),
        )
        if scored.scores:
            console.print(as_table(scored))
        for note in notes(scored):
            say(console, note)
        if csv:
            write_table(scored, csv)
        if json:
            write_json(scored, json)
        for file, reason in scored.failures:
            say(console, f"{file}: {reason}", "[red]✗[/] ")
        if scored.missing:
            names_of = ", ".join(path.name for path in scored.missing)
            say(console, f"Without a prediction: {names_of}", "[red]✗[/] ")
        if scored.failures or scored.missing:
            raise typer.Exit(INCOMPLETE)
