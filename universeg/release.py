"""The weights that the authors of the paper released."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from megamedical.download import download

CACHE = "UNIVERSEG_CACHE"


@dataclass(frozen=True)
class Release:
    """Released weights: where they are, and what their owners ask of those who use them."""

    url: str
    terms: str


RELEASES = {
    "v1": Release(
        "https://github.com/JJGO/UniverSeg/releases/download/weights/universeg_v1_nf64_ss64_STA.pt",
        "UniverSeg v1 is licensed by its authors under OpenRAIL++-M, for research purposes only: "
        "https://github.com/JJGO/UniverSeg/blob/main/LICENSE-model",
    )
}


def obtain(name: str) -> Path:
    """The file of released weights, downloaded if it is not here yet; then its licence is shown.

    Their authors publish no checksum. GitHub is asked over HTTPS, and whoever loads the file
    must hold it to the layout of the network.

    Raises:
        Unobtainable: it cannot be downloaded.
        ArchiveError: the disk is full.
    """
    release = RELEASES[name]
    path = cache() / Path(release.url).name
    if not path.exists():
        print(release.terms, file=sys.stderr)
        download([release.url], path, expected=None, size=None)
    return path


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
