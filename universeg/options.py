"""Options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PlaneOption(StrEnum):
    """Planes of a volume, as `--plane` takes them."""

    axial = "axial"
    coronal = "coronal"
    sagittal = "sagittal"


class CacheOption(StrEnum):
    """Where slices may be kept, as `--cache` takes it."""

    auto = "auto"
    none = "none"
    host = "host"
    device = "device"


SupportOption = Annotated[
    Path,
    typer.Option(
        help="Folder of images with masks or annotations, or a CSV, JSON or XML file of them."
    ),
]
WeightsOption = Annotated[
    str,
    typer.Option(help="`v1`, `megamedical-base`, or a file.", metavar="PATH"),
]
WindowOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        help="Intensities that become black and white, for CT: `-500 1000`.",
        metavar="LOW HIGH",
    ),
]
PercentilesOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        help="In place of a window, for MR: the percentiles of what is above zero, `0.5 99.5`.",
        metavar="LOW HIGH",
    ),
]
AlongOption = Annotated[PlaneOption, typer.Option(help="Volumes are cut along this plane.")]
LabelOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A value in the masks and its name, `1=nucleus`; give it once for each label. "
        "Values without a name are then left out.",
        metavar="VALUE=NAME",
    ),
]
SoughtOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        help="A value in the masks and its name, `1=nucleus`, a colour and its name, "
        "`'#ff0000=tumour'`, or a name that annotations have; give it once for each label. What is "
        "not named is then left out.",
        metavar="VALUE=NAME",
    ),
]
SupportSizeOption = Annotated[int, typer.Option(min=1, help="Labelled slices seen at once.")]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="`cpu`, or a GPU as `cuda`. (default: a GPU, if any)", metavar="NAME"),
]
