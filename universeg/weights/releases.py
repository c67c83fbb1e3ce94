"""Released weights: those of the authors of the paper, and those of this project."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from megamedical.errors import Unobtainable
from megamedical.files.checksums import Digest
from megamedical.obtaining.fetch import fetch

CACHE = "UNIVERSEG_CACHE"
SERVER = "UNIVERSEG_RELEASES"

_REPOSITORY = Path(__file__).parents[2] / "weights"

_NAME_ONE = f"Name a folder that can be written to in the variable {CACHE}."


@dataclass(frozen=True)
class Release:
    """Released weights: where they are, and what their owners ask of those who use them.

    Attributes:
        file: its name.
        terms: on which they may be used, and what they learnt from.
        address: where others than this project publish it.
        sha256: of the file, where it is known.
    """

    file: str
    terms: str
    address: str | None = None
    sha256: str | None = None


RELEASES = {
    "v1": Release(
        "universeg_v1_nf64_ss64_STA.pt",
        "UniverSeg v1 is licensed by its authors under OpenRAIL++-M, for research purposes only: "
        "https://github.com/JJGO/UniverSeg/blob/main/LICENSE-model",
        address="https://github.com/JJGO/UniverSeg/releases/fetch/weights/"
        "universeg_v1_nf64_ss64_STA.pt",
    ),
    "megamedical-base": Release(
        "megamedical-base.safetensors",
        "megamedical-base is for research only: it learnt from LGG FLAIR (CC-BY-NC-SA-4.0), BUSI "
        "and DRIVE, whose owners state no licence, the mouse brain atlas (GPL-3.0), the "
        "hippocampus of MSD (CC-BY-SA-4.0), BBBC038 (CC0-1.0), and drawn tasks.",
        sha256="b25a7f6abd55b05b9e3bdc61dcc4dbd75b4091416132b8be88a931d2f98f7f51",
    ),
    "megamedical-mini": Release(
        "megamedical-mini.safetensors",
        "megamedical-mini is licensed under GPL-3.0: it learnt from the mouse brain atlas "
        "(GPL-3.0), the hippocampus of MSD (CC-BY-SA-4.0), DRIVE, whose owners state no licence, "
        "and synthetic tasks. It is small, and made to try things out: see docs/results.md.",
        sha256="a9cb7e01b76f675ea399f31d029f8db5312a904ce0b6f3afc966feec7cfab727",
    ),
}


def obtain(name: str) -> Path:
    """The file of released weights; where it is not here yet it is downloaded, and its terms shown.

    Those of this project lie in `weights/` of its repository, and not in its wheel, whose licence
    is another. `$UNIVERSEG_RELEASES` may name an address below which they are served.

    The authors of v1 publish no checksum. GitHub is asked over HTTPS, and whoever loads the file
    must hold it to the layout of the network.

    Raises:
        Unobtainable: it cannot be downloaded, or there is nowhere to keep it.
        ArchiveError: the disk is full.
    """
    release = RELEASES[name]
    if (beside := _REPOSITORY / release.file).exists() and release.address is None:
        return beside
    path = cache() / release.file
    if not path.exists():
        address = release.address or _served(name, release, path.parent)
        _expect_writable(path.parent)
        print(release.terms, file=sys.stderr)
        expected = Digest("sha256", release.sha256, "this package") if release.sha256 else None
        fetch([address], path, expected=expected, size=None)
    return path


def _served(name: str, release: Release, folder: Path) -> str:
    """The address of weights of this project.

    Raises:
        Unobtainable: no server of them was named.
    """
    if server := os.environ.get(SERVER):
        return f"{server.rstrip('/')}/{release.file}"
    raise Unobtainable(
        f"{name} is not a part of this package: {release.terms}",
        f"Copy weights/{release.file} from the project's repository to {folder}, or name an "
        f"address below which it is served in the variable {SERVER}.",
    )


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
