"""The first stage of a build: the archives that are needed, unpacked, or missed in words."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from megamedical.building.report import Missing, stop
from megamedical.building.workers import Workers
from megamedical.catalogue.archive import Archive
from megamedical.catalogue.datasets import Selection
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import ArchiveError, Unobtainable
from megamedical.obtaining.archive_content import Unpacked
from megamedical.reporting.progress import Listener

Obtain = Callable[[tuple[DatasetManifest, Archive]], Unpacked]


def obtain_archives(
    chosen: Sequence[Selection], obtain: Obtain, crew: Workers, listener: Listener
) -> tuple[dict[tuple[str, str], Unpacked], list[Missing]]:
    """The archives by dataset and name, and what cannot be had of them.

    Raises:
        MegaMedicalError: something else than an archive is wrong, as a full disk.
    """
    needed = {(s.dataset.id, a.name): (s.dataset, a) for s in chosen for a in s.archives}
    if not needed:
        return {}, []
    unpacked: dict[tuple[str, str], Unpacked] = {}
    errors: dict[tuple[str, str], Unobtainable | ArchiveError] = {}
    with listener.stage("obtain", len(needed), "archives") as step:
        for (dataset, archive), result in crew.run(
            obtain, list(needed.values()), tell=listener.say
        ):
            if isinstance(result, Unpacked):
                unpacked[dataset.id, archive.name] = result
            elif isinstance(result, (Unobtainable, ArchiveError)):
                errors[dataset.id, archive.name] = result
            else:
                stop(result)
            step(archive.name)
    missing = []
    for (dataset_id, name), error in sorted(errors.items()):
        (selection,) = (s for s in chosen if s.dataset.id == dataset_id)
        here = {archive for dataset, archive in unpacked if dataset == dataset_id}
        lost, in_part = _groups_that_need(name, selection, here)
        missing.append(Missing.for_want_of(error, lost, in_part, name))
    return unpacked, missing


def _groups_that_need(
    archive: str, selection: Selection, here: Container[str]
) -> tuple[list[str], list[str]]:
    """The groups that cannot be built without an archive, and those that can in part."""
    dataset = selection.dataset
    needing = [name for name in selection.groups if archive in dataset.needed_by(name)]
    in_part = [f"{dataset.id}/{name}" for name in needing if dataset.suffice(name, here)]
    lost = [f"{dataset.id}/{name}" for name in needing if not dataset.suffice(name, here)]
    return lost, in_part
