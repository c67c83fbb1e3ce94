"""Outlines that are seen on small and large pictures, and a report that says what it knows."""

import csv

import numpy as np
import pytest
from PIL import Image

from universeg.results.drawing import Size, outlined, sheet_of, with_legend
from universeg.results.labels import COLOURS, Label
from universeg.results.measures import LabelMap, findings, measures
from universeg.results.report import Report, Row

LABELS = [Label(value=n, name=f"label {n}", colour=COLOURS[n]) for n in (1, 2)]


def halves(shape):
    """Two labels that touch in the middle, and all the rest empty."""
    left = np.zeros(shape, bool)
    left[shape[0] // 4 : -shape[0] // 4, shape[1] // 4 : shape[1] // 2] = True
    return {1: left, 2: left[:, ::-1]}


def coloured(picture, label):
    return (picture == label.rgb).all(axis=-1)


@pytest.mark.parametrize(("shape", "least"), [((60, 80), 2), ((480, 640), 2), ((3000, 4000), 6)])
def test_lines_are_as_wide_as_the_picture_asks_for(shape, least):
    picture = outlined(np.full(shape, 90, np.uint8), halves(shape), LABELS, Size(512, 2048))
    assert max(picture.shape) <= 2048 and max(picture.shape) >= 480
    rows = coloured(picture, LABELS[0])[:, picture.shape[1] * 3 // 8]
    assert rows.sum() // 2 >= least  # above and below


def test_labels_that_touch_have_a_line_each():
    shape = (400, 600)
    picture = outlined(np.full(shape, 90, np.uint8), halves(shape), LABELS, Size(512, 2048))
    middle = picture[200]
    first, second = (np.flatnonzero((middle == label.rgb).all(axis=-1)) for label in LABELS)
    assert first.max() < 300 <= second.min()
    assert first.max() >= 297 and second.min() <= 303


def test_a_photograph_keeps_its_colours_and_a_thin_line_is_not_lost_when_it_shrinks():
    photograph = np.zeros((3000, 4000, 3), np.uint8)
    photograph[..., 1] = 200
    vessel = np.zeros((3000, 4000), bool)
    vessel[1500:1503] = True
    picture = outlined(photograph, {1: vessel}, LABELS, Size(512, 2048))
    assert (picture[0, 0] == (0, 200, 0)).all()
    changed = (picture != (0, 200, 0)).any(axis=-1)
    assert changed.any(axis=0).all()


@pytest.mark.parametrize(
    ("shape", "mm", "size"),
    [
        ((40, 50), (1, 1), (400, 500)),
        ((40, 50), (2, 1), (480, 300)),
        ((4000, 3000), (1, 1), (2048, 1536)),
        ((700, 600), (1, 1), (700, 600)),
    ],
)
def test_sizes(shape, mm, size):
    assert Size(512, 2048).of(shape, mm) == size


def test_a_legend_is_below_and_as_wide():
    picture = np.zeros((100, 300, 3), np.uint8)
    drawn = with_legend(picture, LABELS, {1: "3 ml"})
    assert drawn.shape[1] == 300 and drawn.shape[0] > 110
    np.testing.assert_array_equal(drawn[:100], picture)
    for label in LABELS:
        assert coloured(drawn[100:], label).any()


def test_a_legend_of_many_long_names_is_broken_into_lines():
    many = [Label(value=n, name="a rather long name " * 2, colour=COLOURS[0]) for n in range(1, 9)]
    drawn = with_legend(np.zeros((100, 300, 3), np.uint8), many, {})
    assert drawn.shape[0] > 100 + 8 * 12


def test_a_sheet_has_every_tile():
    tiles = [np.full((20, 30, 3), shade, np.uint8) for shade in (10, 20, 30)]
    sheet = sheet_of(tiles, ["1 of 3", "2 of 3", "3 of 3"], 2)
    for shade in (10, 20, 30):
        assert np.count_nonzero((sheet == shade).all(axis=-1)) >= 600


def row(spacing, **changes):
    mask = np.zeros((4, 10, 10), np.uint8)
    mask[1:3, 2:6, 2:7] = 1
    found = list(measures(LabelMap(mask), LABELS, spacing))
    said = {
        "name": "=case <1>", "patient": "", "state": "predicted", "expected": None,
        "agreed": None, "measures": found, "flags": findings(found),
        "has_spacing": spacing is not None,
    }  # fmt: skip
    return Row(**{**said, **changes})


def test_a_report_has_ml_where_the_spacing_is_known_and_says_where_it_is_not(tmp_path):
    report = Report("Predictions", "voxels", ("A note.",), [row((2.0, 1.0, 0.5)), row(None)])
    page = report.write_page(tmp_path / "a.html").read_text()
    assert "0.040 ml" in page and "Sizes of 1 are in voxels, as no spacing is known" in page
    assert "<1>" not in page and "A note." in page
    table = report.write_table(tmp_path / "a.csv").read_text(encoding="utf-8-sig")
    first, *_, last = csv.DictReader(table.splitlines())
    assert (first["scan"], first["voxels"], float(first["volume_ml"])) == ("'=case <1>", "40", 0.04)
    assert last["volume_ml"] == ""


def test_pictures_are_in_mm2():
    mask = np.zeros((10, 10), np.uint8)
    mask[0:2, 0:3] = mask[6:8, 6:8] = 1
    one, other = measures(LabelMap(mask), LABELS, (0.5, 0.5))
    assert (one.area, one.objects, one.at_border, one.size) == (2.5, 2, True, "2.50 mm²")
    assert findings([one, other]) == ["label 1 reaches the border"]
    assert findings([other]) == ["nothing found"]


def test_what_is_drawn_is_a_picture(tmp_path):
    shape = (50, 40)
    picture = outlined(np.zeros(shape, np.uint8), halves(shape), LABELS, Size(360, 360))
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert picture.shape == (350, 280, 3)
