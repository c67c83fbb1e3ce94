"""Labels of a scan: where each lies."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from megamedical.reading.scan import LabelMap


@pytest.mark.parametrize("highest", [3, 7, 8, 300])
@given(data=st.data())
def test_boxes_of_a_label_map_are_those_of_scipy(data, highest):
    kind = np.uint8 if highest < 256 else np.uint16
    shapes = arrays.array_shapes(min_dims=2, max_dims=3, max_side=6)
    values = data.draw(arrays.arrays(kind, shapes, elements=st.integers(0, min(highest + 2, 255))))
    labels = {f"label {value}": (value,) for value in range(1, highest + 1)}
    found = enumerate(ndimage.find_objects(values, max_label=highest), 1)
    expected = {f"label {value}": box for value, box in found if box is not None}
    assert LabelMap(values, labels).boxes() == expected
