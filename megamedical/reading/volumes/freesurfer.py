"""FreeSurfer's MGH, and MGZ, which is the same in gzip."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO, ClassVar, Literal

import numpy as np

from megamedical.errors import SubjectError
from megamedical.reading.contract import Reader
from megamedical.reading.volume import Volume, from_ras
from megamedical.reading.volumes.header import expect_channel, expect_volume
from megamedical.reading.volumes.packed import expect_room, opened, voxels_in

_LENGTH = 284  # bytes of the header
_KINDS = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2"}
_FOOTER = 20  # bytes: repetition, flip, echo and inversion time, field of view
_TAGS = range(1, 100)  # numbers of what may follow on these: commands, colours, transforms
_WITHOUT_LENGTH = (1, 2, 20)  # tags whose content runs on as it likes
_LONGEST = 1 << 26  # bytes of what follows
_OF_A_TRANSFORM = 30  # the tag whose length has four bytes, others have eight


class FreeSurferReader(Reader):
    """MGH and MGZ: a volume, or several on one grid."""

    dimension: ClassVar[Literal[2, 3]] = 3
    shares_nothing: ClassVar[bool] = True

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        from nibabel.freesurfer.mghformat import MGHHeader

        with opened(path) as content:
            block = content.read(_LENGTH)
            if len(block) < _LENGTH:
                raise SubjectError("read", path.name, "is cut off in its header")
            version, *size, code = struct.unpack(">6i", block[:24])
            if version != 1 or code not in _KINDS:
                raise SubjectError("read", path.name, "is no MGH, whatever its name says")
            i, j, k, volumes = size
            named = size if volumes != 1 else size[:3]
            if channel is None:
                expect_volume(path, named)
            else:
                expect_channel(path, named, channel)
            kind = np.dtype(_KINDS[code])
            expect_room(math.prod(size) * kind.itemsize, path, path)
            for number in range(volumes):
                voxels = voxels_in(content, kind, (k, j, i), path)
                if number == (channel or 0):
                    found = voxels
            _expect_footer(content, path)
        return from_ras(found.T, MGHHeader(block, check=False).get_affine())


def _expect_footer(content: BinaryIO, path: Path) -> None:
    """Make sure that what follows on the voxels is a footer, and no more of them."""
    content.read(_FOOTER)
    while tag := content.read(4):
        (number,) = struct.unpack(">i", tag.ljust(4, b"\0"))
        if number == 0 and not any(content.read(_LONGEST)):
            return
        if number not in _TAGS:
            raise SubjectError("read", path.name, "holds more voxels than its header claims")
        if number in _WITHOUT_LENGTH:
            content.read(_LONGEST)
            return
        width = 4 if number == _OF_A_TRANSFORM else 8
        length = int.from_bytes(content.read(width), "big")
        if length > _LONGEST or len(content.read(length)) < length:
            raise SubjectError("read", path.name, "is damaged in what follows its voxels")
