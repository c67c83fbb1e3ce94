"""The folder that an archive is unpacked into, whatever its members are called.

What comes out is regular files and folders only, under names that mean the same on every system.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Literal

from megamedical.files.disk import in_words
from megamedical.files.linking import link_or_copy

MARKER = ".unpacked.json"
LONGEST_LINK = 4096  # bytes of a path
TELL_APART = (
    "Use a folder on a disk that tells capitals from small letters, on this or another machine; "
    "of archives that belong to you, rename one of the two."
)
REPACK = (
    "If you trust it, unpack it by hand, repack the result as a zip under the same name, and use "
    "--no-checksum."
)
BOMB = "Medical images are not like that. If you trust it, unpack it with larger `Limits`."

_CHUNK = 1024 * 1024
_LONGEST_PART = 255
_LONGEST_PATH = 1024  # bytes: far more than anybody's, and all of it may be kept in memory
_DEEPEST = 100  # folders in each other
_SHOWN = 300  # characters of a name in a message
_MOST_HOPS = 40  # from link to link, as Linux has it
_JUNK = {".DS_Store", "Thumbs.db", "Icon\r"}

_Kind = Literal["file", "folder", "link"]


@dataclass(frozen=True)
class Limits:
    """How much may come out of an archive before it is taken for a bomb.

    `total` is in bytes, `entries` counts files and folders, `names` the characters of all their
    paths and of what links point to, which are kept in memory. A file larger than `ratio_from`
    bytes may not be more than `ratio` times what it takes in the archive; smaller ones may be as
    empty as masks often are.
    """

    total: int = 4 * 1024**4
    entries: int = 2_000_000
    names: int = 256 * 1024**2
    ratio: int = 2_000
    ratio_from: int = 1024**3


GENEROUS = Limits()


def is_junk(name: str) -> bool:
    """Whether a system, not a person, has put a file there."""
    parts = name.split("/")
    return any(part in _JUNK or part == "__MACOSX" or part.startswith("._") for part in parts)


class Refused(Exception):
    """A member of an archive that is not unpacked, and what a user can do about it."""

    def __init__(self, reason: str, remedy: str = REPACK) -> None:
        super().__init__(reason)
        self.remedy = remedy


class SafeFolder:
    """The folder an archive is unpacked into: none of its names leads outside.

    A file that comes again under the same name takes the place of the one before, as `tar` and
    `unzip -o` have it. No other name is taken twice; and where the disk does not tell capitals from
    small letters, or two ways of writing an accent, neither are names that differ in these alone.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root = root
        self.limits = limits
        self._member = ""
        self._kinds: dict[str, _Kind] = {}
        # The first path of a spelling: what systems that ignore case see of it.
        self._spelled: dict[str, str] = {}
        self._links: dict[str, str] = {}
        self._hard: set[str] = set()
        self._kept = 0  # characters
        self._tells_apart = tells_case_apart(root)

    @property
    def place(self) -> str:
        """Where in the archive the reading is, as a part of a sentence."""
        return f", member {shown(self._member)}," if self._member else ""

    def enter(self, name: str) -> str | None:
        """The path of the next member below the folder, or None if it is junk.

        Raises:
            Refused: its name leads elsewhere, is longer or deeper than anybody's, or cannot be
                written on every system.
        """
        self._member = name[: _SHOWN + 1]
        refuse_long_name(name)
        parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
        if is_junk("/".join(parts)):
            return None
        _refuse_outside(name)
        if ".." in parts:
            raise Refused("has `..` in its name")
        if len(parts) > _DEEPEST:
            raise Refused(f"lies in {len(parts)} folders, {_DEEPEST} are possible")
        for part in parts:
            _refuse_unwritable(part)
        return "/".join(parts)

    def add_folder(self, path: str) -> None:
        """Make a folder, if it is not there."""
        if path:
            self._take(path, "folder")
            (self.root / path).mkdir(parents=True, exist_ok=True)

    def add_file(self, path: str, content: IO[bytes], size: int) -> None:
        """Write a file, which must be as long as the archive says."""
        with self.reserve_file(path).open("wb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
            if file.tell() != size:
                raise EOFError(f"{file.tell()} of {size} bytes")

    def reserve_file(self, path: str) -> Path:
        """Make an empty file, and say where it is."""
        self._take(path, "file")
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.open("wb").close()
        return target

    def add_link(self, path: str, target: str, *, start: str, hard: bool = False) -> None:
        """Note a link, whose target is given from the folder `start` of the archive.

        One that leads outside is left out. A `hard` one is a second name of a file, and no archive
        that is whole has one to something else.

        Raises:
            Refused: a hard one leads outside.
        """
        refuse_long_name(target)
        self._take(path, "link")
        self._keep(target)
        self._hard.discard(path)
        self._links.pop(path, None)
        try:
            self._links[path] = _inside(target, start)
        except Refused:
            if hard:
                raise
        if hard:
            self._hard.add(path)

    def resolve_links(self) -> None:
        """Put in the place of each link the file, or the files of the folder, that it points to.

        A folder's own links to folders are not followed, so that no link leads in circles. What
        points nowhere is left out.
        """
        files = [path for path, kind in self._kinds.items() if kind == "file"]
        ends = {path: end for path in self._links if (end := self._end_of(path)) is not None}
        for path, end in ends.items():
            if self._kinds.get(end) == "file":
                self._put_link(path, end)
                files.append(path)
        files.sort()
        for path, end in ends.items():
            # A folder in itself would be endless.
            if self._kinds.get(end) == "folder" and not path.startswith(f"{end}/"):
                (self.root / path).mkdir(parents=True, exist_ok=True)
                for file in _below(end, files):
                    below = path + file[len(end) :]
                    self._note(below, "file")
                    self._put_link(below, file)

    def _put_link(self, path: str, end: str) -> None:
        self._member = path
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(self.root / end, self.root / path)

    def _end_of(self, path: str) -> str | None:
        """What a link points to in the end, through other links too, or None if that is nothing.

        Raises:
            Refused: it is a second name of a file, which must be there.
        """
        self._member = path
        is_hard = path in self._hard
        parts, depth, hops = path.split("/"), 1, 0
        while depth <= len(parts):
            target = self._links.get("/".join(parts[:depth]))
            if target is None:
                depth += 1
                continue
            hops += 1
            if hops > _MOST_HOPS:
                break
            parts, depth = [*target.split("/"), *parts[depth:]], 1
        end = "/".join(parts)
        if is_hard and (hops > _MOST_HOPS or self._kinds.get(end) != "file"):
            raise Refused(f"links to {shown(end)}, which is not a file of the archive")
        return end if hops <= _MOST_HOPS else None

    def _take(self, path: str, kind: _Kind) -> None:
        """Take a path for one thing only, and the folders above it.

        Raises:
            Refused: it is something else already.
        """
        if not path:
            raise Refused("has no name")
        if _spelling(path.partition("/")[0]) == MARKER:
            raise Refused(f"has the name of {MARKER!r}, which is there already")
        while path and self._kinds.get(path) != kind:
            if path in self._kinds:
                raise Refused(f"has the name of {shown(path)}, which is there already")
            other = self._spelled.setdefault(_spelling(path), path)
            if other != path and not self._may_differ_in_case(kind, self._kinds[other]):
                raise Refused(
                    f"has the name of {shown(other)}, which is there already, but for capitals "
                    "or accents",
                    TELL_APART,
                )
            self._note(path, kind)
            path, kind = path.rpartition("/")[0], "folder"

    def _may_differ_in_case(self, *kinds: _Kind) -> bool:
        # A link takes the place of others when it is resolved: no name may be near it.
        return self._tells_apart and "link" not in kinds

    def _note(self, path: str, kind: _Kind) -> None:
        self._kinds[path] = kind
        if len(self._kinds) > self.limits.entries:
            raise Refused(f"is one too many: {self.limits.entries} are possible", BOMB)
        self._keep(path)

    def _keep(self, name: str) -> None:
        self._kept += len(name)
        if self._kept > self.limits.names:
            raise Refused(f"is too much: all names take {in_words(self._kept)}", BOMB)


class Names:
    """The names of members, as many as may be kept."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._kept = 0

    def add(self, name: str) -> None:
        """Keep one more.

        Raises:
            Refused: it is too long, or there are too many.
        """
        refuse_long_name(name)
        self._kept += len(name)
        if len(self.all) >= GENEROUS.entries or self._kept > GENEROUS.names:
            raise Refused(f"holds more than {len(self.all)} names", BOMB)
        self.all.append(name)


def tells_case_apart(folder: Path) -> bool:
    """Whether the disk of a folder takes `a` and `A` for two files, and both ways of an `é`."""
    names = ("\u00e9", "e\u0301", "\u00c9")
    with TemporaryDirectory(dir=folder) as scratch:
        for name in names:
            Path(scratch, name).touch()
        return len(list(Path(scratch).iterdir())) == len(names)


def _inside(target: str, start: str) -> str:
    """The path in the archive that a link in the folder `start` points to."""
    _refuse_outside(target)
    parts = start.split("/") if start else []
    for part in target.replace("\\", "/").split("/"):
        if part == ".." and not parts:
            raise Refused(f"links to {shown(target)}, outside the archive")
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _below(folder: str, files: Sequence[str]) -> Iterator[str]:
    """Those of some sorted paths that are below a folder."""
    start = bisect_left(files, f"{folder}/")
    return takewhile(lambda path: path.startswith(f"{folder}/"), files[start:])


def _spelling(path: str) -> str:
    """What is left of a path where neither case nor the composition of accents counts."""
    return unicodedata.normalize("NFC", path).casefold()


def shown(name: str) -> str:
    """A name as a message has it: no longer than anybody reads."""
    return repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}…"


def refuse_long_name(name: str) -> None:
    """Refuse a path that is longer than anybody's, before more is done with it."""
    if len(name) > _LONGEST_PATH or len(name.encode("utf-8", "surrogatepass")) > _LONGEST_PATH:
        raise Refused(f"has a name of {len(name)} characters, {_LONGEST_PATH} bytes are possible")


def _refuse_outside(name: str) -> None:
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name):
        raise Refused(f"has an absolute path, {shown(name)}")


def _refuse_unwritable(part: str) -> None:
    if any(ord(character) < 32 for character in part):
        raise Refused("has control characters in its name")
    try:
        length = len(os.fsencode(part))
    except UnicodeEncodeError:
        raise Refused("has a name that is no text") from None
    if length > _LONGEST_PART:
        raise Refused(f"has a name of {length} bytes, {_LONGEST_PART} are possible")


def refuse_bomb(limits: Limits, size: int, packed: int) -> None:
    """Refuse content that is larger than anybody's data."""
    if size > limits.total:
        raise Refused(f"is {in_words(size)} large, more than {in_words(limits.total)}", BOMB)
    if size > limits.ratio_from and size > limits.ratio * packed:
        raise Refused(f"unpacks {in_words(packed)} to {in_words(size)}", BOMB)
