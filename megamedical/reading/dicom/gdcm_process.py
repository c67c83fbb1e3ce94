"""The process in which GDCM decodes: files that standard input lists, each into a `.npy`."""

from __future__ import annotations

import json
import sys


def decode_all() -> None:
    """Decode the files that are listed, each with its target, up to one that cannot be decoded."""
    import numpy as np
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    for source, target in json.load(sys.stdin):
        reader.SetFileName(source)
        np.save(target, sitk.GetArrayFromImage(reader.Execute()))


if __name__ == "__main__":
    decode_all()
