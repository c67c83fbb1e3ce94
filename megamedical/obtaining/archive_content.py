"""Archives obtained and unpacked, or folders in their place, as a build and a check read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.files.folders import files_in, list_files
from megamedical.obtaining.sources import obtain
from megamedical.unpacking.archives import unpack


@dataclass(frozen=True)
class Unpacked:
    """An archive whose content lies in a folder; `digest` says which archive it was."""

    folder: Path
    digest: str

    def files(self) -> dict[str, Path]:
        """Every file in it, by its path."""
        return list_files([self.folder])


@dataclass(frozen=True)
class InPlace(Unpacked):
    """A folder in the place of an archive, which is read where it is."""

    prefix: str

    def files(self) -> dict[str, Path]:
        """Every file in it, by the path that it would have were it unpacked."""
        return {self.prefix + name: path for name, path in files_in(self.folder).items()}


def obtain_unpacked(
    wanted: tuple[DatasetManifest, Archive],
    *,
    raw: Path,
    mirror: Path | None,
    checksum: bool = True,
    offline: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Unpacked:
    """Find an archive or download it, and unpack it, if that was not done before.

    Where another process is just doing either, this one waits, and `tell` is told for whom.

    Raises:
        ArchiveError: see `obtain` and `unpack`.
        Unobtainable: see `obtain`.
    """
    dataset, archive = wanted
    obtained = obtain(
        dataset, archive, raw=raw, mirror=mirror, checksum=checksum, offline=offline, tell=tell
    )
    if obtained.path.is_dir():
        return InPlace(obtained.path, obtained.sha256, archive.prefix)
    folder = raw / dataset.id / "unpacked" / archive.name
    unpack(
        obtained.path,
        folder / archive.into,
        digest=obtained.sha256,
        password=archive.password,
        tell=tell,
    )
    return Unpacked(folder, obtained.sha256)


def files_of(archives: Iterable[Unpacked]) -> dict[str, Path]:
    """The files of several archives, by their paths."""
    files: dict[str, Path] = {}
    for archive in archives:
        files |= archive.files()
    return files
