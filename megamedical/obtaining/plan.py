"""What a build would need, told before a byte moves: archives, terms, room, and steps by hand."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.datasets import Selection
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.obtaining.sources import archive_folder, expect_mirror, places

_MASK = 0.1  # what compression leaves of a mask
_LABELS = 8  # of one image, at most: most groups have fewer, and then less is needed


@dataclass(frozen=True)
class DatasetPlan:
    """What one dataset needs.

    Attributes:
        dataset: its id.
        access: how it is had.
        licence: its name.
        commercial: whether commercial use is allowed; None if nobody says.
        redistribution: whether it may be passed on; likewise.
        here: archives that are on this machine.
        to_download: archives that are fetched.
        by_hand: archives that only a user can fetch.
        download: bytes of what is fetched, by hand or not, as far as they are known.
        unknown: archives of unknown size among them.
        unpacked: bytes of all archives once more, as far as they are known: what unpacking takes of
            those that are no folders.
        store: bytes in the store, about.
        how_to_get: the steps by hand, for what is not here.
        put_into: the folder for it.
        in_part: groups that would be built from those of their parts that are here.
    """

    dataset: str
    access: str
    licence: str
    commercial: bool | None
    redistribution: bool | None
    here: tuple[str, ...]
    to_download: tuple[str, ...]
    by_hand: tuple[str, ...]
    download: int
    unknown: tuple[str, ...]
    unpacked: int
    store: int
    how_to_get: str
    put_into: Path
    in_part: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """In two words what is to be done."""
        if self.by_hand:
            return "by hand"
        return "download" if self.to_download else "ready"


@dataclass(frozen=True)
class Plan:
    """What a build of several datasets needs, and what room the disks of its folders have."""

    datasets: tuple[DatasetPlan, ...]
    free_raw: int
    free_store: int

    @property
    def need_raw(self) -> int:
        """Bytes in the folder of archives, as far as they are known."""
        return sum(each.download + each.unpacked for each in self.datasets)

    @property
    def need_store(self) -> int:
        """Bytes in the store, about."""
        return sum(each.store for each in self.datasets)

    @property
    def fits(self) -> bool:
        """Whether all that is known of has room, were both folders on one disk."""
        need = self.need_raw + self.need_store
        return need <= min(self.free_raw, self.free_store)


def plan(
    chosen: Sequence[Selection],
    *,
    raw: Path,
    mirror: Path | None = None,
    store: Path | None = None,
    resolution: int = 128,
) -> Plan:
    """What a build of some datasets needs; nothing is fetched and no folder is made.

    Args:
        chosen: datasets and their groups.
        raw: folder of the archives.
        mirror: folder of archives that are used in place.
        store: where it will be; by default on the disk of the archives.
        resolution: of its slices, in pixels.

    Raises:
        MegaMedicalError: the mirror is no folder.
    """
    expect_mirror(mirror)
    return Plan(
        tuple(_plan(selection, raw, mirror, resolution) for selection in chosen),
        _free(raw),
        _free(store or raw),
    )


def _plan(selection: Selection, raw: Path, mirror: Path | None, resolution: int) -> DatasetPlan:
    dataset = selection.dataset
    archives = selection.archives
    found = {
        archive.name: path
        for archive in archives
        if (path := _where(dataset, archive, raw, mirror)) is not None
    }
    wanted = [archive for archive in archives if archive.name not in found]
    in_place = {name for name, path in found.items() if path.is_dir()}
    in_place |= {a.name for a in archives if (raw / dataset.id / "unpacked" / a.name).is_dir()}
    return DatasetPlan(
        dataset=dataset.id,
        access=dataset.access,
        licence=dataset.licence.name,
        commercial=dataset.licence.commercial,
        redistribution=dataset.licence.redistribution,
        here=tuple(sorted(found)),
        to_download=tuple(archive.name for archive in wanted if archive.urls),
        by_hand=tuple(archive.name for archive in wanted if not archive.urls),
        download=sum(archive.known_size for archive in wanted),
        unknown=tuple(archive.name for archive in wanted if not archive.known_size),
        unpacked=sum(archive.known_size for archive in archives if archive.name not in in_place),
        store=_in_store(selection, resolution),
        how_to_get=dataset.how_to_get if wanted else "",
        put_into=archive_folder(raw, dataset),
        in_part=tuple(
            f"{dataset.id}/{name}"
            for name in selection.groups
            if dataset.suffice(name, found) and not found.keys() >= {*dataset.needed_by(name)}
        ),
    )


def _where(
    dataset: DatasetManifest, archive: Archive, raw: Path, mirror: Path | None
) -> Path | None:
    """The place of an archive, or of a folder instead of it, on this machine."""
    there = (path for path in places(dataset, archive, raw, mirror) if path.exists())
    return next(there, None)


def _in_store(selection: Selection, resolution: int) -> int:
    """Bytes of the slices: an image of each plane and slicing, and its compressed masks."""
    generator = selection.dataset.generator
    if generator:
        tasks = selection.tasks or generator.tasks
        return tasks * (selection.subjects or generator.subjects) * _bytes(_LABELS, resolution)
    return sum(
        group.subjects * group.views * _bytes(min(len(group.label_values), _LABELS), resolution)
        for group in selection.groups.values()
    )


def _bytes(labels: int, resolution: int) -> int:
    """Of an image and its masks."""
    return round(resolution**2 * (2 + labels * _MASK))


def _free(path: Path) -> int:
    """Bytes free on the disk where a path is or will be."""
    there = next(parent for parent in (path, *path.resolve().parents) if parent.exists())
    return shutil.disk_usage(there).free
