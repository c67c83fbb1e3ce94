"""FreeSurfer's MGH, and MGZ, which is the same in gzip."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from megamedical.errors import SubjectError
from megamedical.reading.contract import Reader
from megamedical.reading.volume import Volume, from_ras
from megamedical.reading.volumes.claims import expect_volume


class FreeSurferReader(Reader):
    """MGH and MGZ."""

    dimension: ClassVar[Literal[2, 3]] = 3

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        import nibabel as nib

        if channel is not None:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        image = nib.load(path)
        expect_volume(path, image.shape, 1)
        return from_ras(np.asanyarray(image.dataobj).reshape(image.shape[:3]), image.affine)
