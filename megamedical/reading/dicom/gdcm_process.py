"""The process in which GDCM decodes: files that standard input lists, each into a `.npy`.

What its libraries print of a file goes into a `.txt` beside that: libjpeg fills up what is damaged,
and says so nowhere else.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def decode_all() -> None:
    """Decode the files that are listed, each with its target, up to one that cannot be decoded."""
    import numpy as np
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for source, target in json.load(sys.stdin):
        reader.SetFileName(source)
        with _told_to(Path(target).with_suffix(".txt")):
            voxels = sitk.GetArrayFromImage(reader.Execute())
        np.save(target, voxels)


@contextmanager
def _told_to(path: Path) -> Iterator[None]:
    """Have all that is printed as an error in a file, from C too."""
    usual = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(usual, 2)
        os.close(usual)


if __name__ == "__main__":
    decode_all()
