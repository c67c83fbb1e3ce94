"""Archives obtained and unpacked, where a build and a check read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from megamedical.archives import unpack
from megamedical.manifest import Archive, DatasetManifest
from megamedical.sources import obtain


@dataclass(frozen=True)
class Unpacked:
    """An archive whose content lies in a folder; `digest` says which archive it was."""

    folder: Path
    digest: str


def obtain_unpacked(
    wanted: tuple[DatasetManifest, Archive],
    *,
    raw: Path,
    mirror: Path | None,
    checksum: bool = True,
    offline: bool = False,
) -> Unpacked:
    """Find an archive or download it, and unpack it, if that was not done before.

    Raises:
        ArchiveError: see `obtain` and `unpack`.
        Unobtainable: see `obtain`.
    """
    dataset, archive = wanted
    obtained = obtain(dataset, archive, raw=raw, mirror=mirror, checksum=checksum, offline=offline)
    folder = raw / dataset.id / "unpacked" / archive.name
    unpack(obtained.path, folder / archive.into, digest=obtained.sha256)
    return Unpacked(folder, obtained.sha256)
