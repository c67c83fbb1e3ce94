"""What a file or a folder is: known by its checksum, else by its name, else by what is inside."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.catalogue.patterns import Pattern
from megamedical.errors import MegaMedicalError
from megamedical.files.checksums import Algorithm, Digest
from megamedical.obtaining.sources import stated_digest
from megamedical.unpacking.archives import names_in

How = Literal["checksum", "name", "content"]

_LOOKED_AT = 2_000  # names inside an archive: enough to know it by
_PACKED = re.compile(r"\.(zip|z\d\d|tar(\.\w+)?|tgz|tbz2?|txz|7z|rar|\d{3})$", re.IGNORECASE)
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".opdownload", ".aria2")
# What browsers, file managers and Google Drive add to a name.
_ADDED = re.compile(r"( ?\(\d+\)| - copy|-\d{8}t\d{6}z(-\d+)*)(?=\.|$)")


class Refusal(MegaMedicalError):
    """A file is not taken."""


class Unknown(Refusal):
    """Nobody knows what a file is."""


@dataclass(frozen=True, eq=False)
class Known:
    """An archive of the catalogue."""

    dataset: DatasetManifest
    archive: Archive

    def __str__(self) -> str:
        return f"{self.archive.name} of {self.dataset.id}"

    @cached_property
    def digest(self) -> Digest | None:
        """What it hashes to, if its manifest says so."""
        return stated_digest(self.dataset, self.archive)

    @cached_property
    def patterns(self) -> Sequence[Pattern]:
        """What the files inside are called."""
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
        if self._masks is None:
            return True
        found = [self.archive.prefix + name for name in names]
        return any(mask.match(each) for mask in self._masks for each in found)

    @cached_property
    def _masks(self) -> Sequence[Pattern] | None:
        """What the masks inside are called; None if those of a group may be in another archive."""
        masks = []
        for name, group in self.dataset.groups.items():
            archives = self.dataset.archives_of(name)
            if self.archive in archives:
                if len(archives) > 1:
                    return None
                masks += group.mask_patterns
        return masks

    def _likeness(self, names: Iterable[str]) -> Iterator[int]:
        for name in names:
            path = self.archive.prefix + name
            fitting = (pattern for pattern in self.patterns if pattern.match(path))
            yield max((1 + _literal(pattern) for pattern in fitting), default=0)


class Match(NamedTuple):
    """What a file is, what it was recognised by, and the name that it gets."""

    known: Known
    how: How
    name: str


_Way = Callable[[Path, Sequence[str]], Match | None]


class Shelf:
    """The archives that a file may be; whether a user has named them."""

    def __init__(self, archives: Sequence[Known], *, is_named: bool) -> None:
        self.archives = archives
        self._is_named = is_named
        self._sums = {(d.algorithm, d.value): each for each in archives if (d := each.digest)}
        self._names: dict[str, list[Known]] = defaultdict(list)
        self._stems: dict[str, list[Known]] = defaultdict(list)
        for each in archives:
            self._names[_simple(each.archive.name)].append(each)
            self._stems[_stem(each.archive.name)].append(each)

    def may_hold(self, file: Path) -> bool:
        """Whether a file of a folder is worth a look."""
        packed = _PACKED.search(file.name) or file.name.lower().endswith(UNFINISHED)
        return bool(packed) or _simple(file.name) in self._names

    def recognise(self, file: Path, digests: Mapping[Algorithm, str]) -> Match:
        """What a file is.

        Raises:
            Unknown: nobody knows.
            Refusal: it may be several.
            ArchiveError: it is damaged.
        """
        return self._by_checksum(digests) or self._by_looks(file)

    def recognise_folder(self, folder: Path, files: Sequence[Path]) -> tuple[Match, Path]:
        """The archive that has the files of a folder inside, and where their paths begin.

        That is the folder itself, or the one that it is in.

        Raises:
            Unknown: none has.
            Refusal: several have.
        """
        ways: tuple[_Way, ...] = (self._by_name, self._by_content)
        for recognised, base in product(ways, (folder, folder.parent)):
            names = _spread([file.relative_to(base).as_posix() for file in files])
            match = recognised(folder, names)
            if match:
                return match, base
        raise Unknown(
            f"{folder} holds no archive, and no files that a dataset is read from",
            "Name the folder or the file that you downloaded.",
        )

    def _by_checksum(self, digests: Mapping[Algorithm, str]) -> Match | None:
        """The archive of which somebody says that it hashes to this."""
        for sums in digests.items():
            if sums in self._sums:
                known = self._sums[sums]
                return Match(known, "checksum", known.archive.name)
        return None

    @property
    def algorithms(self) -> set[Algorithm]:
        """By which some of them are known."""
        return {algorithm for algorithm, _ in self._sums}

    def _by_looks(self, file: Path) -> Match:
        names = names_in(file)
        inside = _spread(names)
        # A name that is given to several versions is believed where its masks are there too.
        match = (
            self._by_name(file, inside, is_whole=True)
            or self._by_content(file, inside)
            or self._by_name(file, inside)
        )
        if match is None:
            said = f"none of the {len(names)} files in it" if names else "nothing in it"
            raise Unknown(
                f"{file.name} is not an archive of the catalogue: neither its checksum nor its "
                f"name is known, and {said} is what a dataset is read from",
                "If it is one all the same, rename it to what `megamedical plan` calls it.",
            )
        return match

    def _by_name(
        self, file: Path, inside: Sequence[str], *, is_whole: bool = False
    ) -> Match | None:
        """The archive of that name, if it may hold such files; `is_whole` if masks are among them.

        Raises:
            Refusal: archives of several datasets have this name.
        """
        part = re.search(r"\.z\d\d$", file.name, re.IGNORECASE)
        if part:
            whole = file.name.removesuffix(part[0]) + ".zip"
            found = self._names.get(_simple(whole), [])
        else:
            found = self._names.get(_simple(file.name)) or self._stems.get(_stem(file.name), [])
        if inside:
            found = [known for known in found if known.count(inside)]
        if inside and is_whole:
            found = [known for known in found if known.may_hold(inside)]
        if not found:
            return None
        if len(found) > 1:
            raise _ambiguous(file, found)
        name = found[0].archive.name
        return Match(found[0], "name", Path(name).stem + part[0].lower() if part else name)

    def _by_content(self, place: Path, inside: Sequence[str]) -> Match | None:
        """The archive whose dataset is read from such files.

        Raises:
            Refusal: several are, to the same extent.
        """
        alike = {k: k.likeness(inside) for k in self.archives if k.may_hold(inside)}
        most = max(alike.values(), default=(0, False))
        found = [known for known, likeness in alike.items() if likeness == most]
        if not most[0]:
            return None
        # A few files may look like those of any dataset.
        if not self._is_named and found[0].count(inside) * 4 < len(inside):
            return None
        if len(found) > 1:
            raise _ambiguous(place, found)
        return Match(found[0], "content", found[0].archive.name)


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


def _ambiguous(file: Path, found: Sequence[Known]) -> Refusal:
    datasets = sorted({known.dataset.id for known in found})
    remedy = (
        "Say which it is with --dataset."
        if len(datasets) > 1
        else "Rename it to the one that it is."
    )
    return Refusal(f"{file.name} may be {' or '.join(map(str, found))}", remedy)
