"""The command `universeg desk`; what it needs is imported when it runs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from megamedical.reporting.console import errors_explained
from universeg.options import (
    AlongOption,
    DeviceOption,
    LabelOption,
    PercentilesOption,
    PlaneOption,
    SupportSizeOption,
    WeightsOption,
    WindowOption,
)


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
    weights: WeightsOption = "megamedical-base",
    window: WindowOption = None,
    percentiles: PercentilesOption = None,
    plane: AlongOption = PlaneOption.axial,
    label: LabelOption = None,
    support_size: SupportSizeOption = 16,
    device: DeviceOption = None,
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
