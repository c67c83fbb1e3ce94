"""Arrays in HDF5 files, by name. What a file says to lie in another file is not followed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from megamedical.reading.arrays.named import expect_array, expect_numbers
from megamedical.reading.contract import Part, Reader

if TYPE_CHECKING:
    import h5py

_DEEPEST = 32  # links on the way to an array: more run in circles


class Hdf5Reader(Reader):
    """Datasets of an HDF5 file; of many pictures in one, only the one that is meant is read."""

    def part(self, path: Path, part: Part) -> NDArray[Any]:
        """See `Reader`."""
        with dataset_of(path, part.array) as found:
            expect_array(found.shape, part.frame)
            expect_chunks(found, part.array)
            stored = np.asarray(found[() if part.frame is None else part.frame])
            return _in_unit(stored, found.attrs, part.array)

    def count(self, path: Path, array: str) -> int:
        """See `Reader`."""
        with dataset_of(path, array) as found:
            return int(found.shape[0])


@contextmanager
def dataset_of(path: Path, array: str) -> Iterator[h5py.Dataset]:
    """The dataset of a name, all of which lies in the file itself.

    Raises:
        ValueError: there is none; it lies in other files; or it was never written.
    """
    import h5py

    with h5py.File(path, "r") as file:
        found = _inside(file, array)
        if not isinstance(found, h5py.Dataset) or found.shape is None:
            raise ValueError(f"holds no array {array}")
        if found.external or found.is_virtual:
            raise ValueError(f"says that {array} lies in other files, which are not read")
        if h5py.check_string_dtype(found.dtype) is None:
            expect_numbers(found.dtype, array)
        if found.size and not found.id.get_storage_size():
            raise ValueError(f"claims an array {array} of {found.shape}, and holds none of it")
        yield found


def expect_chunks(found: h5py.Dataset, array: str) -> None:
    """Make sure that no piece of an array is missing, for which HDF5 would give zeros.

    Raises:
        ValueError: one was never written.
    """
    if found.chunks is None:
        return
    sides = zip(found.shape, found.chunks, strict=True)
    claimed = math.prod(math.ceil(length / chunk) for length, chunk in sides)
    there = found.id.get_num_chunks()
    if there < claimed:
        raise ValueError(
            f"lacks {claimed - there} of the {claimed} pieces of {array}: they were never written"
        )


def _in_unit(stored: NDArray[Any], said: Mapping[str, Any], array: str) -> NDArray[Any]:
    """Values in the unit that their attributes give, as netCDF has them (the CF conventions).

    Raises:
        ValueError: some are marked as missing, or the attributes are no numbers.
    """
    if stored.dtype.kind not in "iuf":
        return stored
    for name in ("_FillValue", "missing_value"):
        missing = np.isin(stored, said.get(name, ()))
        if missing.any():
            raise ValueError(
                f"marks {np.count_nonzero(missing)} values of {array} as missing ({name})"
            )
    slope, intercept = (
        float(np.asarray(said.get(name, otherwise)).item())
        for name, otherwise in (("scale_factor", 1), ("add_offset", 0))
    )
    if (slope, intercept) == (1, 0):
        return stored
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope):
        raise ValueError(f"gives {array} a scale of {slope:g} and an offset of {intercept:g}")
    return stored * np.float64(slope) + np.float64(intercept)


def _inside(file: h5py.File, array: str) -> Any:  # noqa: ANN401  (a group or a dataset)
    """What is under a path, link by link, so that none is followed out of the file."""
    import h5py

    place, steps, followed = "", [step for step in array.split("/") if step], 0
    while steps:
        step = steps.pop(0)
        group = file[place or "/"]
        link = group.get(step, getlink=True) if isinstance(group, h5py.Group) else None
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(  # noqa: TRY004  (the file is wrong, no caller is)
                f"says that {array} lies in another file, which is not read"
            )
        if isinstance(link, h5py.SoftLink):
            followed += 1
            if followed > _DEEPEST:
                raise ValueError(f"links {array} to itself")
            target = [each for each in link.path.split("/") if each and each != "."]
            place, steps = ("" if link.path.startswith("/") else place), [*target, *steps]
        elif link is None:
            raise ValueError(f"holds no array {array}")
        else:
            place = f"{place}/{step}"
    return file[place or "/"]
