"""Archives fetched by hand: recognised, put where a build looks for them, and what is missing yet.

A file is recognised by its checksum, else by its name, else by the names of the files inside it; a
folder that was unpacked, or never was packed, by the names of its files.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from megamedical.catalogue.datasets import Catalog, Selection
from megamedical.errors import ArchiveError
from megamedical.files.checksums import Algorithm, digest_of
from megamedical.files.disk import explain_full, require_room
from megamedical.files.folders import files_in, state_of_files
from megamedical.files.linking import link_or_copy, linked_folder
from megamedical.files.writing import whole_file
from megamedical.obtaining.plan import DatasetPlan, plan
from megamedical.obtaining.recognition import UNFINISHED, How, Known, Refusal, Shelf, Unknown
from megamedical.obtaining.sources import archive_folder, differs_in_length, remember

_MOST_FILES = 100_000  # of a folder


@dataclass(frozen=True)
class Adopted:
    """A file that is an archive of a dataset, or a folder of what is in one.

    Attributes:
        file: as it was given.
        dataset: id.
        archive: its name in the manifest.
        how: what it was recognised by.
        place: where it is now.
        was_there: whether it was there before.
    """

    file: Path
    dataset: str
    archive: str
    how: How
    place: Path
    was_there: bool


@dataclass(frozen=True)
class NotAdopted:
    """A file or folder that is not taken, why, and what to do."""

    file: Path
    reason: str
    remedy: str


@dataclass(frozen=True)
class Adoption:
    """What became of all files: `unknown` are packed files of a folder that nobody knows."""

    adopted: tuple[Adopted, ...]
    refused: tuple[NotAdopted, ...]
    unknown: tuple[Path, ...]
    datasets: tuple[DatasetPlan, ...]


def adopt(
    paths: Sequence[Path],
    *,
    raw: Path,
    manifests: Catalog,
    only: Sequence[str] = (),
    checksum: bool = True,
    copy: bool = False,
) -> Adoption:
    """Put files that were fetched by hand where a build looks for them.

    Nothing is unpacked, and no file is overwritten by another. Hard links are made where the disk
    can, copies elsewhere. A folder without archives, whose files are what a dataset is read from,
    is linked as a whole, and read where it is.

    Args:
        paths: files, and folders that are searched.
        raw: folder of the archives: a file becomes `<raw>/<dataset>/archives/<name>`.
        manifests: the catalogue.
        only: ids of the datasets that the files may belong to, all where it is empty.
        checksum: whether a file whose checksum is not the manifest's is refused, and a folder in
            the place of an archive that has one.
        copy: never link.

    Raises:
        SelectionError: `only` names a dataset that is not in the catalogue.
        ArchiveError: the disk is full.
    """
    datasets = [each.dataset for each in manifests.select(only)] if only else manifests.values()
    archives = [Known(each, archive) for each in datasets for archive in each.archives]
    shelf = Shelf(archives, is_named=bool(only))
    adoption = _Adopting(shelf, raw, checksum, copy)
    for path in paths:
        adoption.take(path)
    touched = sorted({each.dataset for each in adoption.adopted})
    needs = plan([Selection(manifests[dataset]) for dataset in touched], raw=raw)
    return Adoption(
        tuple(adoption.adopted), tuple(adoption.refused), tuple(adoption.unknown), needs.datasets
    )


@dataclass
class _Adopting:
    """One run of `adopt`, file by file."""

    shelf: Shelf
    raw: Path
    checksum: bool
    copy: bool
    adopted: list[Adopted] = field(default_factory=list)
    refused: list[NotAdopted] = field(default_factory=list)
    unknown: list[Path] = field(default_factory=list)

    def take(self, path: Path) -> None:
        """Take a file, or what is in a folder."""
        if path.is_dir():
            self._take_folder(path)
        else:
            self._take_file(path, in_folder=False)

    def _take_folder(self, folder: Path) -> None:
        try:
            files = list(islice(files_in(folder.absolute()).values(), _MOST_FILES))
        except ArchiveError as error:
            self.refused.append(NotAdopted(folder, error.problem, error.remedy))
            return
        packed = [file for file in files if self.shelf.may_hold(file)]
        are_known = [self._take_file(file, in_folder=True) for file in packed]
        if not any(are_known):
            self._take_unpacked(folder.absolute(), files, beside=packed)

    def _take_unpacked(
        self, folder: Path, files: Sequence[Path], *, beside: Sequence[Path]
    ) -> None:
        try:
            self.adopted.append(self._adopt_folder(folder, files))
        except (Refusal, ArchiveError) as error:
            if not (beside and isinstance(error, Unknown)):
                self.refused.append(NotAdopted(folder, error.problem, error.remedy))

    def _take_file(self, file: Path, *, in_folder: bool) -> bool:
        """Take a file; whether anybody knows what it is."""
        try:
            self.adopted.append(self._adopt(file))
        except Unknown as error:
            if in_folder:
                self.unknown.append(file)
            else:
                self.refused.append(NotAdopted(file, error.problem, error.remedy))
            return False
        except (Refusal, ArchiveError) as error:
            self.refused.append(NotAdopted(file, error.problem, error.remedy))
        return True

    def _adopt(self, file: Path) -> Adopted:
        if not file.is_file():
            raise Refusal(f"{file} is not there", "Look at its name.")
        if file.name.lower().endswith(UNFINISHED):
            raise Refusal(
                f"{file.name} is the unfinished download of a browser", "Let it come to its end."
            )
        digests = self._digests(file)
        match = self.shelf.recognise(file, digests)
        known = match.known
        if self.checksum and match.name == known.archive.name:
            _refuse_other_version(file, known, digests)
        place = archive_folder(self.raw, known.dataset) / match.name
        was_there = place.exists()
        if was_there:
            _refuse_overwriting(file, place)
        else:
            _put(file, place, self.copy)
        if digests:
            remember(place, digests)
        return Adopted(file, known.dataset.id, match.name, match.how, place, was_there)

    def _digests(self, file: Path) -> dict[Algorithm, str]:
        if not self.checksum:
            return {}
        return {algorithm: digest_of(file, algorithm) for algorithm in self.shelf.algorithms}

    def _adopt_folder(self, folder: Path, files: Sequence[Path]) -> Adopted:
        """Take a folder in the place of the archive whose files it holds, or is one of."""
        match, base = self.shelf.recognise_folder(folder, files)
        known = match.known
        if self.checksum and known.digest:
            raise Refusal(
                f"{folder} holds what is in {known}, unpacked, and a folder has no checksum",
                "Adopt the archive itself, or, if you trust the folder, use --no-checksum, here "
                "and when you build.",
            )
        place = archive_folder(self.raw, known.dataset) / match.name
        was_there = place.exists()
        inside = place if base == folder else place / folder.name
        if not was_there:
            _put_folder(folder, place, inside, self.copy)
        elif not _are_same(inside, folder):
            raise _taken(place, folder)
        return Adopted(folder, known.dataset.id, match.name, match.how, place, was_there)


def _refuse_other_version(file: Path, known: Known, digests: Mapping[Algorithm, str]) -> None:
    """Make sure that a file is the version that the manifest means, as far as that says so."""
    if known.digest and digests[known.digest.algorithm] != known.digest.value:
        reason = known.digest.differs_from(digests[known.digest.algorithm])
    else:
        reason = differs_in_length(file, known.archive.size)
    if not reason:
        return
    raise Refusal(
        f"{file.name} is not the {known} that is expected: {reason}",
        "Fetch it anew. If its owners have repacked it and you trust it, use --no-checksum, here "
        "and when you build.",
    )


def _refuse_overwriting(file: Path, place: Path) -> None:
    same = place.samefile(file) or (
        place.is_file()
        and place.stat().st_size == file.stat().st_size
        and digest_of(place, "sha256") == digest_of(file, "sha256")
    )
    if not same:
        raise _taken(place, file)


def _are_same(one: Path, other: Path) -> bool:
    """Whether two folders are one, or the copy of one."""
    if not one.is_dir():
        return False
    return one.samefile(other) or state_of_files(files_in(one)) == state_of_files(files_in(other))


def _taken(place: Path, file: Path) -> Refusal:
    return Refusal(
        f"{place} is there already and differs from {file.name}",
        "Nothing is overwritten: move away the one that is wrong.",
    )


def _put(file: Path, place: Path, copy: bool) -> None:
    """Put a file somewhere else too, whole or not at all."""
    size, purpose = file.stat().st_size, f"copying {file.name}"
    with explain_full(place.parent, size, purpose), whole_file(place) as unfinished:
        if copy:
            require_room(place.parent, size, purpose)
            shutil.copyfile(file, unfinished)
        else:
            link_or_copy(file.resolve(), unfinished)


def _put_folder(folder: Path, place: Path, inside: Path, copy: bool) -> None:
    """Link or copy a folder to `inside`, which is `place` or in it, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix=".") as scratch:
        whole = Path(scratch, place.name)
        target = whole / inside.relative_to(place)
        target.parent.mkdir(exist_ok=True)
        if copy or not linked_folder(folder, target):
            _copy_folder(folder, target)
        whole.replace(place)


def _copy_folder(folder: Path, target: Path) -> None:
    size = sum(file.stat().st_size for file in files_in(folder).values())
    purpose = f"copying {folder.name}"
    require_room(target.parent, size, purpose)
    with explain_full(target.parent, size, purpose):
        shutil.copytree(folder, target)
