"""The `universeg` command; each part imports what it needs, so `--help` is there at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from megamedical.reporting.commands import CommandLine, VersionOption
from megamedical.reporting.console import (
    INCOMPLETE,
    echo,
    errors_explained,
    say,
    terminal,
)
from universeg.desk.command import desk
from universeg.options import (
    AlongOption,
    CacheOption,
    DeviceOption,
    PercentilesOption,
    PlaneOption,
    SoughtOption,
    SupportOption,
    SupportSizeOption,
    WeightsOption,
    WindowOption,
)
from universeg.scoring.command import score

if TYPE_CHECKING:
    from rich.console import Console

    from universeg.prediction.predict import Report

app = CommandLine(
    "universeg", "Segment medical images from a few labelled examples, without training."
)


app.command()(desk)
app.command()(score)


@app.callback()
def main(version: VersionOption = False) -> None:
    """Segment medical images from a few labelled examples, without training."""


@app.command()
def predict(
    support: SupportOption,
    query: Annotated[Path, typer.Option(help="Folder or file to segment.", metavar="PATH")],
    out: Annotated[Path, typer.Option(help="Folder for what is found.", metavar="FOLDER")],
    weights: WeightsOption = "v1",
    window: WindowOption = None,
    percentiles: PercentilesOption = None,
    plane: AlongOption = PlaneOption.axial,
    label: SoughtOption = None,
    support_size: SupportSizeOption = 64,
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
    flips: Annotated[
        bool, typer.Option("--flips", help="Average over mirror images, in four times the time.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Let the network learn from the examples first.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="Seconds for learning: whatever does best within them on examples that are left "
            "out is taken, or with --tune the network alone. (default with --tune: 60, on a GPU 5)",
            metavar="SECONDS",
        ),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            help="Probability above which a label is found; `auto` is what suits the examples.",
            metavar="SHARE",
        ),
    ] = "0.5",
    fill_holes: Annotated[
        bool, typer.Option("--fill-holes", help="Fill holes in each label.")
    ] = False,
    largest: Annotated[
        bool, typer.Option("--largest", help="Keep only the largest part of each label.")
    ] = False,
    tell: Annotated[
        bool,
        typer.Option(
            "--expect/--no-expect",
            help="Say first how good it will be: some examples are found from the others.",
        ),
    ] = True,
    summary: Annotated[
        Path | None,
        typer.Option(help="JSON file for what is expected, chosen and why.", metavar="FILE"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="HTML file that shows what was found: sizes, objects, what to look at.",
            metavar="FILE",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="CSV file with a row for each label of each scan.", metavar="FILE"),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Segment pictures or volumes as a few labelled ones show it.

    Pictures are PNG, JPEG, TIFF, BMP, and DICOM of one frame; volumes are NIfTI, MHA, NRRD, and
    DICOM series, each in a folder of its own. Masks of pictures are PNG of the picture's size,
    those of volumes NIfTI on the volume's own voxels; both have the label values of the examples.

    Exit code 3 says that a file could not be used; the rest is done all the same. Images and masks
    of the examples that have no partner are named, and are no failure.
    """
    with errors_explained("the same command begins anew"):
        _expect_torch()
        from megamedical.reporting.progress import listener
        from universeg.prediction.labels import asked_labels
        from universeg.prediction.predict import Request
        from universeg.prediction.predict import predict as run
        from universeg.prediction.segmenter import Segmenter
        from universeg.prediction.writing import Outputs
        from universeg.tuning.fitting import TUNING, WAYS

        console = terminal()
        labels = asked_labels(label or ())
        segmenter = Segmenter(
            weights,
            window=window,
            percentiles=percentiles,
            support_size=support_size,
            ensemble=ensemble,
            seed=seed,
            flips=flips,
            device=device,
            threshold=_threshold(threshold),
            fill_holes=fill_holes,
            largest=largest,
        )
        outputs = Outputs(out, probabilities, overlay)
        ways = TUNING if tune else () if budget is None else WAYS
        request = Request(
            support, query, outputs, plane.value, labels, ways, budget, tell, summary, report, csv
        )
        done = run(segmenter, request, lambda line: say(console, line), listener(console))
        _summarise(done, out, console)
        if done.failures:
            raise typer.Exit(INCOMPLETE)


@app.command()
def tune(
    support: SupportOption,
    out: Annotated[Path, typer.Option(help="The .safetensors file to write.", metavar="FILE")],
    weights: WeightsOption = "v1",
    window: WindowOption = None,
    percentiles: PercentilesOption = None,
    plane: AlongOption = PlaneOption.axial,
    label: SoughtOption = None,
    support_size: SupportSizeOption = 64,
    budget: Annotated[
        float | None,
        typer.Option(min=0.0, help="Seconds. (default: 60, on a GPU 5)", metavar="SECONDS"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")] = 0,
    device: DeviceOption = None,
) -> None:
    """Let a network go on learning from a few labelled images, and keep it.

    What comes of it is used like any weights: `universeg predict --weights mine.safetensors`, with
    examples as before. Some of them are left out at first; where the network does not find them
    better than before, the weights stay as they were. Ctrl-C keeps the best so far.
    """
    with errors_explained("the same command begins anew"):
        _expect_torch()
        from megamedical.reporting.progress import listener
        from universeg.prediction.labels import asked_labels
        from universeg.prediction.segmenter import Segmenter
        from universeg.prediction.tune import TuneRequest
        from universeg.prediction.tune import tune as run

        console = terminal()
        segmenter = Segmenter(
            weights,
            window=window,
            percentiles=percentiles,
            support_size=support_size,
            seed=seed,
            device=device,
        )
        labels = asked_labels(label or ())
        request = TuneRequest(support, out, weights, plane.value, labels, budget, seed)
        report = run(segmenter, request, lambda line: say(console, line), listener(console))
        _summarise(report, out.parent, console)
        if report.failures:
            raise typer.Exit(INCOMPLETE)


@app.command()
def train(
    changes: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to change: `support_size=16 tasks.roles=[train,extra]`."),
    ] = None,
    store: Annotated[
        list[str] | None,
        typer.Option(help="Folder or URL of a store; may be given several times.", metavar="PATH"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("run"),
    preset: Annotated[str, typer.Option(help="`v1`, `base`, `mini` or `demo`.")] = "v1",
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings that differ from the preset.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The network to train, by its name.", metavar="NAME")
    ] = None,
    device: Annotated[
        str, typer.Option(help="`auto`, `cpu`, or a GPU as `cuda`.", metavar="NAME")
    ] = "auto",
    cache: Annotated[
        CacheOption | None,
        typer.Option(help="Where slices are kept while training. (default: auto)"),
    ] = None,
    preview_augmentation: Annotated[
        Path | None,
        typer.Option(help="Draw what augmentation makes of an episode, and train nothing."),
    ] = None,
    preview_tasks: Annotated[
        Path | None,
        typer.Option(help="Draw tasks of the store and of each drawn family, and train nothing."),
    ] = None,
) -> None:
    """Train a network from the tasks of a store, or of several, and from drawn ones.

    The same command goes on with a run that was broken off. Several GPUs: start it with `torchrun`.
    """
    with errors_explained():
        from megamedical.errors import MegaMedicalError

        _expect_torch()
        from universeg.training import command

        if not store:
            raise MegaMedicalError("No store was named", "Give --store, see `megamedical build`.")
        options = {"model": model, "cache": cache.value if cache else None}
        asked = [f"{name}={value}" for name, value in options.items() if value]
        asked += changes or []
        if preview_augmentation:
            command.preview(store, preview_augmentation, preset, config, asked)
        if preview_tasks:
            command.preview_tasks(store, preview_tasks, preset, config, asked)
        if not preview_augmentation and not preview_tasks:
            command.run(store, out, preset, config, asked, device)


@app.command()
def info(
    weights: Annotated[str, typer.Argument(help="A `.safetensors` file, or `megamedical-base`.")],
) -> None:
    """Show the card of weights: what they have seen, how they were made, how good they are."""
    with errors_explained():
        _expect_torch()
        import yaml

        from universeg.weights.files import read_card
        from universeg.weights.releases import RELEASES, file_of

        if weights in RELEASES:
            typer.echo(RELEASES[weights].terms, err=True)
        card = read_card(file_of(weights))
        if card is None:
            echo(f"{weights} carries no model card.")
        else:
            typer.echo(yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False), nl=False)


def _threshold(given: str) -> float | Literal["auto"]:
    from megamedical.errors import MegaMedicalError

    if given == "auto":
        return "auto"
    try:
        return float(given)
    except ValueError:
        raise MegaMedicalError(
            f"There is no threshold {given!r}", "Give one between 0 and 1, or `auto`."
        ) from None


def _expect_torch() -> None:
    from importlib.util import find_spec

    from megamedical.errors import MegaMedicalError

    if find_spec("torch") is None:
        raise MegaMedicalError(
            "torch is not installed", "Install it with `pip install 'megamedical[universeg]'`."
        )


def _summarise(report: Report, out: Path, console: Console) -> None:
    for file, reason in report.failures:
        say(console, f"{file}: {reason}", "[red]✗[/] ")
    if report.failures:
        say(
            console,
            f"{len(report.failures)} could not be used: mend what is said, or leave them out",
        )
    say(console, f"Files written to {out}: {len(report.written)}")
