"""Which of the pictures of a folder an annotation means, by what it calls it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

_SEPARATORS = re.compile(r"[\\/]+")


class Pictures:
    """The pictures of a folder by their names; nothing else is opened, whatever a file says."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Take files."""
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            self._by_name[file.name.lower()].append(file)
            self._by_stem[file.name.lower().partition(".")[0]].append(file)
            self._by_stem[file.stem.lower()].append(file)

    def called(self, name: str, annotation: Path) -> Path | None:
        """The picture of a name that may have folders; None where there is none, or are several.

        Of several, that one is meant which lies deeper in the folders that the name has, or beside
        the file that names it. Without a picture of the name itself, one with another suffix is.
        """
        parts = [part for part in _SEPARATORS.split(name.lower()) if part not in ("", ".", "..")]
        last = parts[-1] if parts else ""
        for found in (self._by_name.get(last), self._by_stem.get(last), self._of_stem(last)):
            if found:
                return _nearest([*dict.fromkeys(found)], parts, annotation)
        return None

    def _of_stem(self, name: str) -> list[Path]:
        stem = name.rpartition(".")[0]
        return self._by_stem.get(stem, []) if stem else []


def _nearest(files: Sequence[Path], parts: Sequence[str], annotation: Path) -> Path | None:
    if len(files) == 1:
        return files[0]
    scores = [(_alike(file, parts), file.parent == annotation.parent) for file in files]
    best = max(scores)
    return files[scores.index(best)] if scores.count(best) == 1 else None


def _alike(file: Path, parts: Sequence[str]) -> int:
    """How many folders at the end of a path are those of a name."""
    own = [part.lower() for part in file.parts]
    count = 0
    for ours, theirs in zip(reversed(own), reversed(parts), strict=False):
        if ours != theirs:
            break
        count += 1
    return count
