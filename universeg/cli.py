"""The `universeg` command; each part imports what it needs, so `--help` is there at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from megamedical.cli import INCOMPLETE
from megamedical.console import errors_explained, say, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from universeg.predict import Report

app = typer.Typer(
    name="universeg",
    help="Segment medical images from a few labelled examples, without training.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


class PlaneOption(StrEnum):
    """Planes of a volume, as `--plane` takes them."""

    axial = "axial"
    coronal = "coronal"
    sagittal = "sagittal"


@app.callback()
def main() -> None:
    """Segment medical images from a few labelled examples, without training."""


@app.command()
def predict(
    support: Annotated[
        Path, typer.Option(help="Folder or CSV of images and their masks.", metavar="PATH")
    ],
    query: Annotated[Path, typer.Option(help="Folder or file to segment.", metavar="PATH")],
    out: Annotated[Path, typer.Option(help="Folder for what is found.", metavar="FOLDER")],
    weights: Annotated[
        str, typer.Option(help="`v1`, as released, or a file.", metavar="PATH")
    ] = "v1",
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Intensities that become black and white, for CT: `-500 1000`.",
            metavar="LOW HIGH",
        ),
    ] = None,
    plane: Annotated[
        PlaneOption, typer.Option(help="Volumes are cut along this plane.")
    ] = PlaneOption.axial,
    support_size: Annotated[int, typer.Option(min=1, help="Labelled slices seen at once.")] = 64,
    ensemble: Annotated[
        int, typer.Option(min=1, help="Draws of so many examples that are averaged.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probability of each label too.")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Write pictures with the outlines of what is found.")
    ] = False,
    device: Annotated[str, typer.Option(help="`cpu`, or a GPU as `cuda`.", metavar="NAME")] = "cpu",
) -> None:
    """Segment pictures or volumes as a few labelled ones show it.

    Masks of pictures are PNG of the picture's size, those of volumes NIfTI on the volume's own
    voxels; both have the label values of the examples. Exit code 3 says that a file could not be
    used; the rest is done all the same.
    """
    with errors_explained("the same command begins anew"):
        from importlib.util import find_spec

        from megamedical.errors import MegaMedicalError

        if find_spec("torch") is None:
            raise MegaMedicalError(
                "torch is not installed", "Install it with `pip install 'megamedical[universeg]'`."
            )
        from universeg.predict import Request
        from universeg.predict import predict as run
        from universeg.segmenter import Segmenter
        from universeg.writing import Outputs

        if window and window[0] >= window[1]:
            raise MegaMedicalError(
                f"The window {window[0]:g} to {window[1]:g} is empty", "Give the low end first."
            )
        console = terminal()
        segmenter = Segmenter(
            weights,
            window=window,
            support_size=support_size,
            ensemble=ensemble,
            seed=seed,
            device=device,
        )
        outputs = Outputs(out, probabilities, overlay)
        request = Request(support, query, outputs, plane.value, window)
        report = run(segmenter, request, lambda line: say(console, line))
        _summarise(report, out, console)
        if report.failures:
            raise typer.Exit(INCOMPLETE)


def _summarise(report: Report, out: Path, console: Console) -> None:
    for file, reason in report.failures:
        say(console, f"{file}: {reason}", "[red]✗[/] ")
    say(console, f"{len(report.written)} files written to {out}")
