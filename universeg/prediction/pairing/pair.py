"""An image and its mask, and all that were paired in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from megamedical.reading.scan import Scan
from megamedical.reading.volume import Volume
from universeg.prediction.inputs import Input

Say = Callable[[str], None]


class Made(Protocol):
    """A mask that is made from what lies in files: outlines, segments, colours, several masks."""

    @property
    def path(self) -> Path:
        """The file that it is named after."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that are read."""
        ...

    @property
    def dimension(self) -> int:
        """3 for a volume, 2 for a picture."""
        ...

    def labels_on(self, scan: Scan, volume: Volume | None, say: Say) -> NDArray[Any]:
        """The label values of a scan, on axes like its own; with one axis before, overlapping.

        Raises:
            SubjectError: it cannot be made.
        """
        ...


@dataclass(frozen=True)
class Pair:
    """An image and its mask, which are yet to be read."""

    image: Input
    mask: Input | Made


@dataclass(frozen=True)
class Pairing:
    """What was paired, `how` in a few words, and the files and folders without a partner.

    `names` are those that the files themselves have for values of labels, `colours` likewise, as
    `#rrggbb`; `notes` is what a person should know of the files.
    """

    pairs: tuple[Pair, ...]
    how: str
    unpaired: tuple[Path, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
