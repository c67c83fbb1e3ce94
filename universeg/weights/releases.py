"""Released weights: those of the authors of the paper, and those that come with this package."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from megamedical.obtaining.fetch import fetch

CACHE = "UNIVERSEG_CACHE"


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
        Unobtainable: it cannot be downloaded.
        ArchiveError: the disk is full.
    """
    release = RELEASES[name]
    if release.is_here:
        return Path(__file__).parent / "released" / release.place
    path = cache() / Path(release.place).name
    if not path.exists():
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
    """The folder for what was downloaded: `$UNIVERSEG_CACHE`, or the platform's own for caches."""
    if chosen := os.environ.get(CACHE):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "universeg"
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "universeg" / "Cache"
        )
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "universeg"
