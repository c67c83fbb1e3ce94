"""A few of the damaged files of `performance/damage.py`: nothing wrong gets in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

sys.path.append(str(Path(__file__).parents[3] / "performance"))
import damage


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_is_refused_or_right():
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    found = damage.measure(84, seed=3)
    assert sum(counted["wrong"] for counted in found.values()) == 0, found
    assert sum(counted["refused"] for counted in found.values()) > 25
