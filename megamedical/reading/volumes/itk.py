"""MetaImage and NRRD, which ITK reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.contract import Reader
from megamedical.reading.volume import Volume
from megamedical.reading.volumes.claims import expect_volume

if TYPE_CHECKING:
    import SimpleITK


class _Held:
    """The memory of a SimpleITK image for NumPy, uncopied; the array keeps the image alive."""

    def __init__(self, image: SimpleITK.Image) -> None:
        import SimpleITK as sitk

        self.image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


class ItkReader(Reader):
    """A format of ITK, by the name of what reads it there."""

    dimension: ClassVar[Literal[2, 3]] = 3

    def __init__(self, image_io: str) -> None:
        self._image_io = image_io

    def volume(self, path: Path, channel: int | None = None) -> Volume:
        """See `Reader`."""
        if channel is not None:
            raise SubjectError("read", path.name, f"has no channel {channel}")
        reader = opened(path, self._image_io)
        reader.ReadImageInformation()
        expect_volume(path, reader.GetSize(), reader.GetNumberOfComponents())
        return with_voxels(reader, voxels_of(reader))


def opened(path: Path, image_io: str) -> SimpleITK.ImageFileReader:
    """One of ITK's readers of a file, whatever its name or its content would suggest."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    path.stat()  # of a file that is not there, ITK says that its format is wrong
    return reader


def voxels_of(reader: SimpleITK.ImageFileReader) -> NDArray[Any]:
    """The voxels (k, j, i) of what a reader has opened."""
    size = reader.GetSize()
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *[0] * (len(size) - 3)])
    return np.asarray(_Held(reader.Execute()))


def with_voxels(reader: SimpleITK.ImageFileReader, voxels: NDArray[Any]) -> Volume:
    """Voxels where the header says that they lie."""
    count = len(reader.GetSize())
    directions = np.array(reader.GetDirection()).reshape(count, count)[:3, :3]
    return Volume(voxels, directions, tuple(reader.GetSpacing()[:3]), tuple(reader.GetOrigin()[:3]))
