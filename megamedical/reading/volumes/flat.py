"""Formats of volumes, of which a file may hold a single picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.contract import Grey, Part, Reader
from megamedical.reading.luma import one_value_a_pixel


class VolumeReader(Reader):
    """A volume, or a picture, which a subclass reads in `flat`."""

    dimension: ClassVar[Literal[2, 3]] = 3
    shares_nothing: ClassVar[bool] = True

    def flat(self, path: Path) -> NDArray[Any]:
        """The values of a file that holds one picture, whatever axes of length 1 it has besides.

        Raises:
            SubjectError: it holds something else.
        """
        raise NotImplementedError

    def picture(self, path: Path, grey: Grey) -> NDArray[Any]:
        """See `Reader`."""
        del grey  # it has none that were colour
        return one_value_a_pixel(self.part(path, Part()), path)

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        if part.array or part.frame is not None:
            return super().part(path, part)
        return np.squeeze(self.flat(path))
