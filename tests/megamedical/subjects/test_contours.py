"""Lines around structures: what is inside them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from megamedical.errors import SubjectError
from megamedical.subjects.contours import inside, read_contour


@pytest.mark.parametrize(
    "text", ["1 2\n3 2\n3 4\n", "1,2\r\n3,2\r\n\r\n3,4", " 1.0\t2\n3;2\n3 4\n\n"]
)
def test_a_point_a_line_whatever_is_between_its_numbers(text, tmp_path):
    path = tmp_path / "contour.txt"
    path.write_text(text)
    assert read_contour(path).tolist() == [[1, 2], [3, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 2\n3 2\n", "has 2 points"),
        ("", "has 0 points"),
        ("1 2\n3 2 1\n3 4\n", "line 2 is no point"),
        ("x y\n1 2\n3 2\n3 4\n", "line 1 is no point"),
        ("1 2\n3 nan\n3 4\n", "line 2 is a point far away"),
        ("1 2\n3 inf\n3 4\n", "line 2 is a point far away"),
        ("1 2\n3 1e300\n3 4\n", "line 2 is a point far away"),
        ("1 2\n" * 70_000, "more than 65,536 points"),
        ("1 2\n\0\n", "is no text"),
    ],
)
def test_what_is_no_line_is_refused_in_words(text, said, tmp_path):
    path = tmp_path / "contour.txt"
    path.write_text(text)
    with pytest.raises(SubjectError) as error:
        read_contour(path)
    assert error.value.file == "contour.txt"
    assert said in error.value.reason


def test_a_pixel_is_inside_where_its_centre_is():
    box = np.array([[0.6, 1.6], [3.4, 1.6], [3.4, 2.4], [0.6, 2.4]])
    mask = inside(box, (4, 6))
    assert np.argwhere(mask).tolist() == [[2, 1], [2, 2], [2, 3]]
    assert (inside(box[::-1], (4, 6)) == mask).all()


def test_structures_that_share_a_line_share_no_pixel():
    left = np.array([[0, 0], [3, 0], [3, 4], [0, 4.0]])
    both = inside(left, (6, 8)).astype(int) + inside(np.add(left, (3, 0)), (6, 8))
    assert both.max() == 1
    assert both[:4, :6].all()
    assert both.sum() == 24


def test_what_lies_beyond_the_picture_is_cut_off():
    around = np.array([[-9, -9], [99, -9], [99, 99], [-9, 99.0]])
    assert inside(around, (3, 5)).all()
    assert not inside(around + 200, (3, 5)).any()


_PLACES = st.floats(-4, 36, allow_nan=False).map(lambda place: round(place, 2) + 0.003)


@given(points=st.lists(st.tuples(_PLACES, _PLACES), min_size=3, max_size=3, unique=True))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_triangle_is_that_of_pillow_but_for_its_edge(points):
    """Pillow draws on a canvas eight times as fine, in which an edge is an eighth of a pixel."""
    fine = Image.new("1", (32 * 8, 32 * 8))
    ImageDraw.Draw(fine).polygon([(8 * x + 4, 8 * y + 4) for x, y in points], fill=1)
    within, reach = (
        each.reshape(32, 8, 32, 8) for each in (np.asarray(fine), ndimage.binary_dilation(fine))
    )
    mask = inside(np.array(points), (32, 32))
    assert not mask[~reach.any(axis=(1, 3))].any()
    assert mask[within.all(axis=(1, 3))].all()
