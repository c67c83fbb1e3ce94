"""What the reader of a format promises, so that all that is above it is alike for every format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.volume import Volume

Grey = Literal["float", "rounded"]


@dataclass(frozen=True)
class Part:
    """What is meant of a file: an array by name, one of its pictures, one of its channels.

    Pictures are counted from 0 along the first axis, channels from 0 along the last; `any` is the
    brightest of the colours. `is_label` says that values of labels are meant: what a palette of
    colours has are then its indices, and else its colours.
    """

    array: str = ""
    frame: int | None = None
    channel: int | Literal["any"] | None = None
    is_label: bool = False


class Reader:
    """Reads the files of one format. What a format cannot hold is refused here, in words.

    To add a format, write a subclass in a module of its own, and its line in `formats.FORMATS`.
    From then on a build, `check`, `new` and `predict` know it.

    Axes: the voxels of a volume are (k, j, i), what varies fastest in the file last, and they stay
    on the axes of the file; its place is told, and `canonical` turns it. A picture is (H, W), its
    first row at the top, or (H, W, C) where parts of it are asked for.

    Units: millimetres, in the patient's LPS. Spacing is positive, its sign is in the directions.

    Values: in the unit that the file's slope and intercept give, in the file's own type where it
    has none. Nothing is clipped, and nothing that is missing becomes zero.

    Files: the file that is named is the one that is read. What lies in another file is read from
    the folder of the first one or below it, and nowhere else.

    Raises:
        SubjectError: of stage `read` where the file is damaged, cut off, too large or of another
            kind, of stage `decode` where it holds no labels. Callers turn whatever else a library
            raises into one (see `blaming`), so a reader needs to catch nothing.
    """

    dimension: ClassVar[Literal[2, 3]] = 2  # what is in a file of this format, if nobody says it
    shares_nothing: ClassVar[bool] = False  # with other threads: warnings, settings of a library

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """A volume on its own axes; one of several on one grid, where a channel is named."""
        if channel is not None:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        suffix = "".join(path.suffixes[-1:]).lower()
        raise SubjectError("read", path.name, f"no reader for volumes in {suffix or 'no'} files")

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """The intensities of a file of one picture, (H, W); `grey` is what becomes of colour."""
        del grey
        raise SubjectError("read", path.name, "holds no picture")

    def labels(self, path: Path) -> NDArray[Any]:
        """The label values of a file of one picture, (H, W), of any type that holds numbers."""
        return self.picture(path, "rounded")

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """What is in an array or a frame of a file, all of its channels: (H, W) or (H, W, C)."""
        what = part.array or ("frames" if part.frame is not None else "parts")
        raise SubjectError("read", path.name, f"holds no {what}")

    def facing(self, path: Path) -> NDArray[np.float64] | None:
        """Where the axes of a file's voxels point, (3, 3), i first, LPS; None where it says not."""
        del path
        return None

    def count(self, path: Path, array: str) -> int:
        """How many pictures a file, or its array of that name, holds one after the other."""
        what = f"pictures in {array}" if array else "pictures"
        raise SubjectError("read", path.name, f"holds no {what} that could be counted")

    def shown_times(self, path: Path) -> int:
        """How many times as large as they are stored the values of a picture are read."""
        del path
        return 1

    def lossy_format(self, path: Path) -> str:
        """The format of a picture that gives values near to its own; "" where it keeps each."""
        del path
        return ""

    def is_colour(self, path: Path) -> bool:
        """Whether its values are colours, which will be made grey; False where nobody can tell."""
        del path
        return False
