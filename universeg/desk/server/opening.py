"""What the command was given, made into an open desk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from megamedical.errors import MegaMedicalError
from megamedical.reporting.console import say, terminal
from universeg.desk.predicting.tasks import Settings
from universeg.desk.serving import Opening, folder_beside, open_desk
from universeg.prediction.labels import named_labels
from universeg.weights.releases import file_of

Ends = tuple[float, float]


class Place(NamedTuple):
    """Where the desk listens."""

    host: str
    port: int
    tls: tuple[Path, Path] | None


def settings_of(
    weights: str,
    window: Ends | None,
    percentiles: Ends | None,
    support_size: int,
    plane: str,
    device: str | None,
) -> Settings:
    """What the network is asked with, if there is such a network.

    Raises:
        Unobtainable: the weights cannot be had.
        MegaMedicalError: there is no such file of weights.
    """
    file = file_of(weights)
    if not file.is_file():
        raise MegaMedicalError(f"{file} is not there", "Name a file of weights, or a release.")
    return Settings(str(file), window, percentiles, support_size, plane, device or "")


def tls_of(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """A certificate and its key, or neither.

    Raises:
        MegaMedicalError: one is given without the other.
    """
    if certificate and key:
        return certificate, key
    if certificate or key:
        raise MegaMedicalError(
            "--tls-cert and --tls-key go together", "Give both, or neither of them."
        )
    return None


def run(
    scans: Path,
    support: Path | None,
    out: Path | None,
    settings: Settings,
    labels: Sequence[str],
    place: Place,
    browser: bool,
) -> None:
    """Open the desk and serve it until it is interrupted."""
    import webbrowser

    console = terminal()
    if support and not support.exists():
        raise MegaMedicalError(f"{support} is not there", "Name a folder of images and masks.")
    opening = Opening(
        scans,
        out or folder_beside(scans),
        support,
        settings,
        named_labels(labels),
        place.host,
        place.port,
        place.tls,
    )
    open_desk(opening, lambda line: say(console, line), webbrowser.open if browser else None)
