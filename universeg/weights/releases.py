"""Released weights: those of the authors of the paper, and those that come with this package."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from megamedical.errors import Unobtainable
from megamedical.obtaining.fetch import fetch

CACHE = "UNIVERSEG_CACHE"

_NAME_ONE = f"Name a folder that can be written to in the variable {CACHE}."


@dataclass(frozen=True)
class Release:
    """Released weights: where they are, and what their owners ask of those who use them.

    `place` is an address, or the name of a file of this package.
    """

    place: str
    terms: str

    @property
    def is_here(self) -> bool:
        """Whether the file is a part of this package."""
        return "/" not in self.place


RELEASES = {
    "v1": Release(
        "https://github.com/JJGO/UniverSeg/releases/fetch/weights/universeg_v1_nf64_ss64_STA.pt",
        "UniverSeg v1 is licensed by its authors under OpenRAIL++-M, for research purposes only: "
        "https://github.com/JJGO/UniverSeg/blob/main/LICENSE-model",
    ),
    "megamedical-mini": Release(
        "megamedical-mini.safetensors",
        "megamedical-mini is licensed under GPL-3.0: it learnt from the mouse brain atlas "
        "(GPL-3.0), the hippocampus of MSD (CC-BY-SA-4.0), DRIVE, whose owners state no licence, "
        "and synthetic tasks. It is small, and made to try things out: see docs/results.md.",
    ),
}


def obtain(name: str) -> Path:
    """The file of released weights, downloaded if it is not here yet; then its licence is shown.

    The authors of v1 publish no checksum. GitHub is asked over HTTPS, and whoever loads the file
    must hold it to the layout of the network.

    Raises:
        Unobtainable: it cannot be downloaded, or there is nowhere to keep it.
        ArchiveError: the disk is full.
    """
    release = RELEASES[name]
    if release.is_here:
        return Path(__file__).parent / "released" / release.place
    path = cache() / Path(release.place).name
    if not path.exists():
        _expect_writable(path.parent)
        print(release.terms, file=sys.stderr)
        fetch([release.place], path, expected=None, size=None)
    return path


def file_of(weights: str | Path) -> Path:
    """The file that weights are in: a release by its name, or any file.

    Raises:
        Unobtainable: the release cannot be downloaded.
        ArchiveError: the disk is full.
    """
    return obtain(str(weights)) if weights in RELEASES else Path(weights)


def cache() -> Path:
    """The folder for what was downloaded: `$UNIVERSEG_CACHE`, or the platform's own for caches.

    Raises:
        Unobtainable: the user has no home, and no folder was named.
    """
    if chosen := os.environ.get(CACHE):
        return Path(chosen)
    try:
        home = Path.home()
    except RuntimeError as error:  # no HOME, and a user whom the system does not know
        raise Unobtainable("This user has no home to keep weights in", _NAME_ONE) from error
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "universeg"
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "universeg" / "Cache"
        )
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "universeg"


def _expect_writable(folder: Path) -> None:
    """Make a folder, and make sure that files can be put there.

    Raises:
        Unobtainable: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Unobtainable(
            f"Weights cannot be kept in {folder}: {error.strerror}", _NAME_ONE
        ) from error
