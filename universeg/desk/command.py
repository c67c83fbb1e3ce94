"""The command `universeg desk`; what it needs is imported when it runs."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from megamedical.reporting.console import errors_explained


class PlaneOption(StrEnum):
    """Planes of a volume, as `--plane` takes them."""

    axial = "axial"
    coronal = "coronal"
    sagittal = "sagittal"


def desk(
    scans: Annotated[Path, typer.Argument(help="Folder of scans, or one of them.", metavar="PATH")],
    support: Annotated[
        Path | None, typer.Option(help="Folder or CSV of images with masks.", metavar="PATH")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for all that is drawn and found. (default: beside the scans)",
            metavar="FOLDER",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(
            help="`v1`, `megamedical-base`, `megamedical-mini`, or a file.", metavar="PATH"
        ),
    ] = "megamedical-base",
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Intensities that become black and white, for CT: `-500 1000`.",
            metavar="LOW HIGH",
        ),
    ] = None,
    percentiles: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="In place of a window, for MR: the percentiles of what is above zero, `0.5 99.5`.",
            metavar="LOW HIGH",
        ),
    ] = None,
    plane: Annotated[
        PlaneOption, typer.Option(help="Volumes are predicted along this plane.")
    ] = PlaneOption.axial,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="A value in the masks and its name, `1=nucleus`; give it once for each label.",
            metavar="VALUE=NAME",
        ),
    ] = None,
    support_size: Annotated[int, typer.Option(min=1, help="Labelled slices seen at once.")] = 16,
    device: Annotated[str, typer.Option(help="`cpu`, or a GPU as `cuda`.", metavar="NAME")] = "cpu",
    host: Annotated[
        str, typer.Option(help="Address of this machine for others; it takes TLS.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port. (default: any that is free)")
    ] = 0,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, in PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, in PEM.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the browser.")] = True,
) -> None:
    """Look at scans, correct what is found in them, and have the next ones found better.

    Opens a page in the browser, served from this machine and to it alone. Draw on two or three
    scans, or give labelled ones with `--support`: the others are predicted, and each that you
    accept or correct makes the next prediction better. Every stroke is kept; the same command goes
    on from there.
    """
    with errors_explained("the same command opens the desk again"):
        _expect_installed()
        from universeg.desk.server.opening import Place, run, settings_of, tls_of

        settings = settings_of(weights, window, percentiles, support_size, plane.value, device)
        place = Place(host, port, tls_of(tls_cert, tls_key))
        run(scans, support, out, settings, label or (), place, browser)


def _expect_installed() -> None:
    from megamedical.errors import MegaMedicalError

    for name in ("torch", "fastapi", "uvicorn"):
        if find_spec(name) is None:
            raise MegaMedicalError(
                f"{name} is not installed", "Install it with `pip install 'megamedical[desk]'`."
            )
