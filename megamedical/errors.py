"""What can go wrong, each error with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Literal

# Where on its way a subject may fail: its files are matched and read, its labels decoded, its
# intensities standardised, its slices cut; `process` is what nobody has foreseen.
Stage = Literal["match", "read", "decode", "standardise", "slice", "process"]


class MegaMedicalError(Exception):
    """A problem a user can act on: what is wrong, and the remedy."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  {self.remedy}" if self.remedy else self.problem


class ManifestError(MegaMedicalError):
    """A dataset's YAML file says something that cannot be."""


class SelectionError(MegaMedicalError):
    """A dataset or group was asked for that the catalogue does not have."""


class ArchiveError(MegaMedicalError):
    """An archive is damaged, unsafe, or not the file the manifest means."""


class Unobtainable(MegaMedicalError):
    """An archive cannot be had here: gated, gone, or no network."""


class StoreError(MegaMedicalError):
    """A store is missing, of another kind, or not whole."""


class SubjectError(MegaMedicalError):
    """One subject cannot be processed; every other one goes on.

    `file` is the file at fault, relative to what was unpacked ("" where no single file is).
    """

    def __init__(self, stage: Stage, file: str, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage
        self.file = file
        self.reason = reason

    def __reduce__(self) -> tuple[type[SubjectError], tuple[Stage, str, str]]:
        return type(self), (self.stage, self.file, self.reason)


def nearest(name: str, known: Iterable[str]) -> str:
    """What to do about a name that is unknown: take the one that is like it, or else any of all.

    >>> nearest("heldot", ["demo", "heldout"])
    'Did you mean heldout?'
    """
    names = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), names, n=1)
    return f"Did you mean {names[near[0]]}?" if near else f"There are: {', '.join(names.values())}."


class NotInstalled(MegaMedicalError):
    """Something needs a package that is an extra, and is not here."""


@contextmanager
def needing(package: str, extra: str, what: str) -> Iterator[None]:
    """Say which extra it is, where a package is imported and not installed.

    Raises:
        NotInstalled: it is not.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise NotInstalled(
            f"{what} needs {package}, which is not installed",
            f"pip install 'megamedical[{extra}]'",
        ) from error
