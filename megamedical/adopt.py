"""Archives fetched by hand: recognised, put where a build looks for them, and what is missing yet.

A file is recognised by its checksum, else by its name, else by the names of the files inside it; a
folder that was unpacked, or never was packed, by the names of its files.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple
from urllib.parse import unquote

from megamedical.archives import names_in
from megamedical.catalogue import Catalog, Selection
from megamedical.checksums import Algorithm, Digest, digest_of
from megamedical.disk import explain_full, require_room
from megamedical.errors import ArchiveError, MegaMedicalError
from megamedical.folders import files_in, state_of_files
from megamedical.location import whole_file
from megamedical.manifest import Archive, DatasetManifest
from megamedical.patterns import Pattern
from megamedical.plan import DatasetPlan, plan
from megamedical.sources import archive_folder, differs_in_length, remember, stated_digest

How = Literal["checksum", "name", "content"]

_LOOKED_AT = 2_000  # names inside an archive: enough to know it by
_MOST_FILES = 100_000  # of a folder
_PACKED = re.compile(r"\.(zip|z\d\d|tar(\.\w+)?|tgz|tbz2?|txz|7z|rar|\d{3})$", re.IGNORECASE)
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".opdownload", ".aria2")
# What browsers, file managers and Google Drive add to a name.
_ADDED = re.compile(r"( ?\(\d+\)| - copy|-\d{8}t\d{6}z(-\d+)*)(?=\.|$)")


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
class Refused:
    """A file or folder that is not taken, why, and what to do."""

    file: Path
    reason: str
    remedy: str


@dataclass(frozen=True)
class Adoption:
    """What became of all files: `unknown` are packed files of a folder that nobody knows."""

    adopted: tuple[Adopted, ...]
    refused: tuple[Refused, ...]
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
    archives = [_Known(each, archive) for each in datasets for archive in each.archives]
    shelf = _Shelf(archives, is_named=bool(only))
    adoption = _Adopting(shelf, raw, checksum, copy)
    for path in paths:
        adoption.take(path)
    touched = sorted({each.dataset for each in adoption.adopted})
    needs = plan([Selection(manifests[dataset]) for dataset in touched], raw=raw)
    return Adoption(
        tuple(adoption.adopted), tuple(adoption.refused), tuple(adoption.unknown), needs.datasets
    )


class _Refusal(MegaMedicalError):
    """A file is not taken."""


class _Unknown(_Refusal):
    """Nobody knows what a file is."""


@dataclass(frozen=True, eq=False)
class _Known:
    """An archive of the catalogue."""

    dataset: DatasetManifest
    archive: Archive

    def __str__(self) -> str:
        return f"{self.archive.name} of {self.dataset.id}"

    @cached_property
    def digest(self) -> Digest | None:
        return stated_digest(self.dataset, self.archive)

    @cached_property
    def patterns(self) -> Sequence[Pattern]:
        return self.dataset.patterns_of(self.archive)

    def count(self, names: Iterable[str]) -> int:
        """How many of some files inside are read."""
        return sum(specific > 0 for specific in self._likeness(names))

    def likeness(self, names: Sequence[str]) -> tuple[int, bool]:
        """How much some files look like those inside.

        The more of their paths a pattern tells, the more; then whether they lie in a folder that
        is called as the archive.
        """
        tops = {name.partition("/")[0] for name in names}
        return sum(self._likeness(names)), tops == {_stem(self.archive.name)}

    def may_hold(self, names: Sequence[str]) -> bool:
        """Whether masks are among some files too, where masks and images are not archives apart."""
        dataset, found = self.dataset, [self._into + name for name in names]
        for name, group in dataset.groups.items():
            archives = dataset.archives_of(name)
            masks = group.patterns[1 : 1 + len(group.mask.patterns)]
            if self.archive in archives and (
                len(archives) > 1 or any(mask.match(each) for mask in masks for each in found)
            ):
                return True
        return False

    def _likeness(self, names: Iterable[str]) -> Iterator[int]:
        for name in names:
            fitting = (pattern for pattern in self.patterns if pattern.match(self._into + name))
            yield max((1 + _literal(pattern) for pattern in fitting), default=0)

    @property
    def _into(self) -> str:
        return f"{self.archive.into}/" if self.archive.into else ""


class _Match(NamedTuple):
    """What a file is, what it was recognised by, and the name that it gets."""

    known: _Known
    how: How
    name: str


class _Shelf:
    """The archives that a file may be; whether a user has named them."""

    def __init__(self, archives: Sequence[_Known], *, is_named: bool) -> None:
        self.archives = archives
        self._is_named = is_named
        self._sums = {(d.algorithm, d.value): each for each in archives if (d := each.digest)}
        self._names: dict[str, list[_Known]] = defaultdict(list)
        self._stems: dict[str, list[_Known]] = defaultdict(list)
        for each in archives:
            self._names[_simple(each.archive.name)].append(each)
            self._stems[_stem(each.archive.name)].append(each)

    def may_hold(self, file: Path) -> bool:
        """Whether a file of a folder is worth a look."""
        packed = _PACKED.search(file.name) or file.name.lower().endswith(_UNFINISHED)
        return bool(packed) or _simple(file.name) in self._names

    def by_checksum(self, digests: Mapping[Algorithm, str]) -> _Match | None:
        """The archive of which somebody says that it hashes to this."""
        for sums in digests.items():
            if sums in self._sums:
                known = self._sums[sums]
                return _Match(known, "checksum", known.archive.name)
        return None

    @property
    def algorithms(self) -> set[Algorithm]:
        return {algorithm for algorithm, _ in self._sums}

    def by_name(self, file: Path, inside: Sequence[str]) -> _Match | None:
        """The archive of that name, if it may hold such files.

        Raises:
            _Refusal: archives of several datasets have this name.
        """
        part = re.search(r"\.z\d\d$", file.name, re.IGNORECASE)
        if part:
            whole = file.name.removesuffix(part[0]) + ".zip"
            found = self._names.get(_simple(whole), [])
        else:
            found = self._names.get(_simple(file.name)) or self._stems.get(_stem(file.name), [])
        if inside:
            found = [known for known in found if known.count(inside)]
        if not found:
            return None
        if len(found) > 1:
            raise _ambiguous(file, found)
        name = found[0].archive.name
        return _Match(found[0], "name", Path(name).stem + part[0].lower() if part else name)

    def by_content(self, place: Path, inside: Sequence[str]) -> _Match | None:
        """The archive whose dataset is read from such files.

        Raises:
            _Refusal: several are, to the same extent.
        """
        alike = {k: k.likeness(inside) for k in self.archives if k.may_hold(inside)}
        most = max(alike.values(), default=(0, False))
        found = [known for known, likeness in alike.items() if likeness == most]
        # A few files may look like those of any dataset.
        is_sure = self._is_named or found[0].count(inside) * 4 >= len(inside)
        if not most[0] or not is_sure:
            return None
        if len(found) > 1:
            raise _ambiguous(place, found)
        return _Match(found[0], "content", found[0].archive.name)


@dataclass
class _Adopting:
    """One run of `adopt`, file by file."""

    shelf: _Shelf
    raw: Path
    checksum: bool
    copy: bool
    adopted: list[Adopted] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
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
            self.refused.append(Refused(folder, error.problem, error.remedy))
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
        except (_Refusal, ArchiveError) as error:
            if not (beside and isinstance(error, _Unknown)):
                self.refused.append(Refused(folder, error.problem, error.remedy))

    def _take_file(self, file: Path, *, in_folder: bool) -> bool:
        """Take a file; whether anybody knows what it is."""
        try:
            self.adopted.append(self._adopt(file))
        except _Unknown as error:
            if in_folder:
                self.unknown.append(file)
            else:
                self.refused.append(Refused(file, error.problem, error.remedy))
            return False
        except (_Refusal, ArchiveError) as error:
            self.refused.append(Refused(file, error.problem, error.remedy))
        return True

    def _adopt(self, file: Path) -> Adopted:
        if not file.is_file():
            raise _Refusal(f"{file} is not there", "Look at its name.")
        if file.name.lower().endswith(_UNFINISHED):
            raise _Refusal(
                f"{file.name} is the unfinished download of a browser", "Let it come to its end."
            )
        digests = self._digests(file)
        match = self.shelf.by_checksum(digests) or self._by_looks(file)
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

    def _by_looks(self, file: Path) -> _Match:
        names = names_in(file)
        inside = _spread(names)
        match = self.shelf.by_name(file, inside) or self.shelf.by_content(file, inside)
        if match is None:
            said = f"none of the {len(names)} files in it" if names else "nothing in it"
            raise _Unknown(
                f"{file.name} is not an archive of the catalogue: neither its checksum nor its "
                f"name is known, and {said} is what a dataset is read from",
                "If it is one all the same, rename it to what `megamedical plan` calls it.",
            )
        return match

    def _adopt_folder(self, folder: Path, files: Sequence[Path]) -> Adopted:
        """Take a folder in the place of the archive whose files it holds, or is one of."""
        ways = (self.shelf.by_name, self.shelf.by_content)
        for recognised, base in product(ways, (folder, folder.parent)):
            names = _spread([file.relative_to(base).as_posix() for file in files])
            match = recognised(folder, names)
            if match:
                break
        else:
            raise _Unknown(
                f"{folder} holds no archive, and no files that a dataset is read from",
                "Name the folder or the file that you downloaded.",
            )
        known = match.known
        if self.checksum and known.digest:
            raise _Refusal(
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


def _spread(names: Sequence[str]) -> Sequence[str]:
    """Some of many names, from all over an archive."""
    return names[:: -(-len(names) // _LOOKED_AT) or 1]


def _simple(name: str) -> str:
    """What is left of a name where neither case, spaces nor what browsers add counts."""
    return re.sub(r"[ _+]+", "_", _ADDED.sub("", unquote(name).casefold()))


def _stem(name: str) -> str:
    """A simple name without what says how it is packed, which is told by the content anyway."""
    return _PACKED.sub("", _simple(name))


def _literal(pattern: Pattern) -> int:
    """How many characters of a path a pattern tells."""
    return len(pattern.fill(dict.fromkeys(pattern.fields, "")))


def _ambiguous(file: Path, found: Sequence[_Known]) -> _Refusal:
    datasets = sorted({known.dataset.id for known in found})
    remedy = (
        "Say which it is with --dataset."
        if len(datasets) > 1
        else "Rename it to the one that it is."
    )
    return _Refusal(f"{file.name} may be {' or '.join(map(str, found))}", remedy)


def _refuse_other_version(file: Path, known: _Known, digests: Mapping[Algorithm, str]) -> None:
    """Make sure that a file is the version that the manifest means, as far as that says so."""
    if known.digest and digests[known.digest.algorithm] != known.digest.value:
        reason = known.digest.differs_from(digests[known.digest.algorithm])
    else:
        reason = differs_in_length(file, known.archive.size)
    if not reason:
        return
    raise _Refusal(
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


def _taken(place: Path, file: Path) -> _Refusal:
    return _Refusal(
        f"{place} is there already and differs from {file.name}",
        "Nothing is overwritten: move away the one that is wrong.",
    )


def _put(file: Path, place: Path, copy: bool) -> None:
    """Put a file somewhere else too, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(file.resolve(), place)
        except OSError:  # another disk, or one that knows no links
            pass
        else:
            return
    size, purpose = file.stat().st_size, f"copying {file.name}"
    require_room(place.parent, size, purpose)
    with explain_full(place.parent, size, purpose), whole_file(place) as unfinished:
        shutil.copyfile(file, unfinished)


def _put_folder(folder: Path, place: Path, inside: Path, copy: bool) -> None:
    """Link or copy a folder to `inside`, which is `place` or in it, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix=".") as scratch:
        whole = Path(scratch, place.name)
        target = whole / inside.relative_to(place)
        target.parent.mkdir(exist_ok=True)
        if copy:
            _copy_folder(folder, target)
        else:
            target.symlink_to(folder.resolve(), target_is_directory=True)
        whole.replace(place)


def _copy_folder(folder: Path, target: Path) -> None:
    size = sum(file.stat().st_size for file in files_in(folder).values())
    purpose = f"copying {folder.name}"
    require_room(target.parent, size, purpose)
    with explain_full(target.parent, size, purpose):
        shutil.copytree(folder, target)
