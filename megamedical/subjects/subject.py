"""One subject of a group, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from megamedical.errors import Stage, SubjectError

Tree = Mapping[str, Path]  # what was unpacked: path in the archive -> file


@dataclass(frozen=True)
class Subject:
    """One image with its annotation: `files` maps a pattern's filled-in path to where it lies.

    `images` are the paths of the image, several where it has one file a slice, in their order;
    `masks` are, for each of the mask's patterns, the paths that belong to each of these: more than
    one where several make one mask together, none where a label lacks its file.
    """

    name: str
    patient: str
    fields: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    files: Mapping[str, Path] = field(default_factory=dict)
    images: Sequence[str] = ()
    masks: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)

    def masks_of(self, pattern: str) -> Iterator[str]:
        """The paths of one of the mask's patterns."""
        return (path for paths in self.masks[pattern] for path in paths)

    def all_masks(self) -> Iterator[str]:
        """The paths of all of the mask's patterns."""
        return (path for pattern in self.masks for path in self.masks_of(pattern))


@dataclass(frozen=True)
class Failure:
    """One subject that could not be processed: a row of failures.parquet."""

    dataset: str
    group: str
    subject: str
    stage: Stage
    file: str
    reason: str

    @classmethod
    def of(cls, dataset: str, group: str, subject: str, error: SubjectError) -> Failure:
        """The row of an error."""
        return cls(dataset, group, subject, error.stage, error.file, error.reason)
