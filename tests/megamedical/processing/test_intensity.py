"""Intensities that slices cannot hold are refused; what they can hold exactly is not."""

import numpy as np
import pytest

from megamedical.catalogue.datasets import catalog
from megamedical.errors import SubjectError
from megamedical.processing.grid import standard_axes
from megamedical.processing.intensity import intensity_range
from megamedical.reading.scan import Scan

(PICTURES,) = [group for _, group in sorted(catalog()["wbc"].groups.items())][:1]
STEPS = np.arange(80.0).reshape(8, 10)


def range_of(voxels):
    scan = Scan(voxels, (1.0, 1.0))
    return intensity_range(scan, standard_axes(scan, PICTURES, 8), None)


@pytest.mark.parametrize(
    "voxels",
    [
        STEPS * 1e300,
        STEPS + 1e9,
        1 + STEPS * 1e-9,
        STEPS.astype(np.int64) + (1 << 31),
    ],
)
def test_what_single_precision_does_not_tell_apart_is_refused(voxels):
    with pytest.raises(SubjectError, match="too large or too close to each other"):
        range_of(voxels)


@pytest.mark.parametrize(
    "voxels",
    [
        STEPS > 40,
        STEPS.astype(np.uint8) // 79 + 254,
        STEPS.astype(np.int32) + (1 << 24) - 100,
        STEPS.astype(np.uint32) * 10_000_000,
        STEPS.astype(np.float32) * np.float32(1e36),
        STEPS - 1024.5,
        STEPS * 1e-30,
    ],
)
def test_what_it_holds_is_taken(voxels):
    found = range_of(voxels)
    assert (found.low, found.high) == (voxels.min(), voxels.max())
