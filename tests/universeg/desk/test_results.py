"""What a person takes away lies on the scans' own grids, and says what it is."""

import csv
import errno
import io
import json
import multiprocessing

import nibabel as nib
import numpy as np
import pytest
from made_desk import SHAPE, disc, open_desk, patch, write_pictures, write_volumes
from PIL import Image, ImageDraw
from pydicom import dcmread

from tests.megamedical.reading.test_dicom import write_series
from universeg.desk.masks import Masks
from universeg.desk.predicting.tasks import Judged
from universeg.desk.results import writing
from universeg.desk.results.order import Order, Step
from universeg.desk.results.polygons import rings_of
from universeg.desk.results.writing import results_of
from universeg.prediction.examples import find_pairs, read_example
from universeg.results.labels import Label
from universeg.tuning.expectation import Expectation

SAID = {
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyInstanceUID": "1.2",
    "StudyID": "1",
    "StudyDate": "",
    "StudyTime": "",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "FrameOfReferenceUID": "1.2.4",
    "Modality": "CT",
}
LABELS = {1: "cell", 2: "=HYPERLINK(1) <b>"}


def results(desk, *, unseen=True, patients=False):
    order = Order.of(desk, unseen=unseen, patients=patients)
    return results_of(order, lambda _: None)


def rows(desk):
    text = (desk.folder / "report.csv").read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def done(desk, number, cut, *patches: object):
    identity = [*desk.records][number]
    desk.edit(identity, 0, cut, [*patches])
    desk.finish(identity, 1)
    return identity


def test_one_scan_does_not_keep_the_others_from_being_written(pictures, monkeypatch):
    done(pictures, 1, ("2d", 0), patch(disc()))

    def shown(entry, *given: object, plain=writing.shown_of):
        if entry.name == "0":
            raise TypeError("so")
        return plain(entry, *given)

    monkeypatch.setattr(writing, "shown_of", shown)
    outcome = results(pictures)
    assert outcome.failures == [("0", "TypeError: so")]
    assert {row["scan"] for row in rows(pictures)} == {"1"}


def test_a_scan_that_was_taken_away_meanwhile_is_said_to_be_gone(pictures, tmp_path):
    (tmp_path / "scans" / "0.png").unlink()
    assert results(pictures).failures == [("0", "is not there any more")]


def test_a_full_disk_is_told_with_what_to_do(pictures, monkeypatch):
    def fill(report, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(writing.Report, "write_page", fill)
    monkeypatch.setattr(writing.os, "nice", lambda _: None)
    ours, theirs = multiprocessing.Pipe()
    writing.write_results(theirs, Order.of(pictures, unseen=True, patients=False))
    while isinstance(said := ours.recv(), Step):
        pass
    assert said.problem.startswith("No space left for ")
    assert "Free some space" in said.problem


@pytest.fixture
def pictures(tmp_path):
    desk = open_desk(write_pictures(tmp_path / "scans"), tmp_path / "out", LABELS)
    ring = disc() & ~disc(radius=4)
    two = np.zeros(SHAPE, bool)
    two[0:3, 0:4] = two[30:35, 40:50] = True
    done(desk, 0, ("2d", 0), patch(ring), patch(two, 2))
    return desk


class TestPictures:
    def test_the_mask_has_the_values_of_the_labels(self, pictures):
        assert results(pictures).failures == []
        mask = np.asarray(Image.open(pictures.folder / "masks" / "0.png"))
        np.testing.assert_array_equal(mask == 1, disc() & ~disc(radius=4))
        assert np.count_nonzero(mask == 2) == 3 * 4 + 5 * 10

    def test_only_what_was_looked_at_is_an_example_for_the_next_time(self, pictures):
        results(pictures)
        pairing = find_pairs(pictures.folder / "examples")
        assert len(pairing.pairs) == 1
        _, mask = read_example(pairing.pairs[0], print)
        assert [*np.unique(mask)] == [0, 1, 2]

    def test_the_table_says_pixels_where_nobody_knows_millimetres(self, pictures):
        results(pictures)
        cell, other = rows(pictures)
        ring = np.count_nonzero(disc() & ~disc(radius=4))
        assert (cell["scan"], cell["label"], cell["pixels"]) == ("0", "cell", str(ring))
        assert (cell["area_mm2"], cell["volume_ml"], cell["objects"]) == ("", "", "1")
        assert (other["pixels"], other["objects"], other["state"]) == ("62", "2", "corrected")

    def test_names_run_neither_in_a_browser_nor_in_a_spreadsheet(self, pictures):
        results(pictures)
        assert rows(pictures)[1]["label"] == "'=HYPERLINK(1) <b>"
        page = (pictures.folder / "report.html").read_text()
        assert "=HYPERLINK(1) &lt;b&gt;" in page and "<b>" not in page
        assert "<script" not in page and "http://" not in page and "https://" not in page
        assert "no spacing is known" in page

    def test_it_says_how_well_labelled_scans_are_found_from_the_others(self, pictures):
        pictures.judged = Judged({1: Expectation(0.8, 0.7, 0.9, 0.5, 4, 0.9)})
        results(pictures)
        page = (pictures.folder / "report.html").read_text()
        assert "have a Dice of 0.80 (0.70-0.90, 4 scans)" in page

    def test_coco_has_every_object_exactly(self, pictures):
        results(pictures)
        coco = json.loads((pictures.folder / "polygons" / "coco.json").read_text())
        assert coco["images"] == [{"id": 1, "file_name": "0.png", "height": 40, "width": 50}]
        ring, *two = coco["annotations"]
        counts, mask = ring["segmentation"]["counts"], []
        for number, length in enumerate(counts):
            mask += [number % 2] * length
        again = np.array(mask).reshape(SHAPE[::-1]).T.astype(bool)
        np.testing.assert_array_equal(again, disc() & ~disc(radius=4))
        assert [each["area"] for each in two] == [12, 50]
        assert [each["bbox"] for each in two] == [[0, 0, 4, 3], [40, 30, 10, 5]]

    def test_polygons_are_where_the_pixels_are(self, pictures):
        results(pictures)
        path = pictures.folder / "polygons" / "0.geojson"
        first = json.loads(path.read_text())["features"][0]
        drawn = Image.new("L", (SHAPE[1] * 8, SHAPE[0] * 8))
        pen = ImageDraw.Draw(drawn)
        outer, *holes = first["geometry"]["coordinates"]
        for ring, ink in [(outer, 255), *((hole, 0) for hole in holes)]:
            pen.polygon([(8 * x, 8 * y) for x, y in ring], fill=ink)
        again = np.asarray(drawn.resize(SHAPE[::-1], Image.Resampling.BOX)) > 127
        np.testing.assert_array_equal(again, disc() & ~disc(radius=4))
        assert first["properties"]["classification"]["name"] == "cell"

    def test_overlapping_labels_have_a_mask_each(self, tmp_path):
        desk = open_desk(write_pictures(tmp_path / "scans", 1), tmp_path / "out", {1: "a", 2: "b"})
        desk.set_labels(desk.notes.labels, overlap=True)
        done(desk, 0, ("2d", 0), patch(disc()), patch(disc(radius=4), 2))
        results(desk)
        for name, radius in (("a", 9), ("b", 4)):
            mask = np.asarray(Image.open(desk.folder / "masks-by-label" / name / "0.png"))
            np.testing.assert_array_equal(mask > 0, disc(radius=radius))
        assert "overlap" in rows(desk)[0]["flags"]

    def test_what_nobody_looked_at_is_left_out_if_it_is_not_wanted(self, pictures):
        identity = [*pictures.records][1]
        record = pictures.records[identity]
        Masks(SHAPE, {1: disc()}).save(record.folder / "coming.npz")
        record.take(record.folder / "coming.npz", 0.4, "a support")
        results(pictures, unseen=False)
        assert {row["scan"] for row in rows(pictures)} == {"0"}
        results(pictures)
        by_scan = {row["scan"]: row for row in rows(pictures)}
        assert "nobody looked at it; expected to be poor" in by_scan["1"]["flags"]
        assert by_scan["1"]["expected_dice"] == "0.400"

    def test_one_scan_that_is_gone_does_not_stop_the_others(self, pictures, tmp_path):
        done(pictures, 1, ("2d", 0), patch(disc()))
        (tmp_path / "scans" / "0.png").unlink()
        outcome = results(pictures)
        assert [name for name, _ in outcome.failures] == ["0"]
        assert {row["scan"] for row in rows(pictures)} == {"1"}


class TestVolumes:
    def test_masks_lie_on_the_volume_and_are_measured_in_ml(self, tmp_path):
        desk = open_desk(write_volumes(tmp_path / "scans", 1), tmp_path / "out")
        box = np.zeros((24, 20), bool)
        box[2:12, 5:10] = True
        done(desk, 0, ("axial", 3), patch(box))
        assert results(desk).failures == []
        image = nib.load(desk.folder / "masks" / "v0.nii.gz")
        np.testing.assert_array_equal(image.affine, np.diag([2, 1, 3, 1]))
        assert np.count_nonzero(image.get_fdata()) == 50
        (row,) = rows(desk)
        assert (row["voxels"], float(row["volume_ml"])) == ("50", pytest.approx(50 * 6 / 1000))

    def test_patients_are_named_only_if_it_is_asked_for(self, tmp_path):
        write_series(tmp_path / "scans" / "one", **SAID)
        desk = open_desk(tmp_path / "scans", tmp_path / "out")
        (identity,) = desk.records
        shape = desk.shown(identity).shape
        done(desk, 0, ("axial", 1), patch(np.ones(shape[1:], bool)))
        results(desk)
        for name in ("report.html", "report.csv"):
            assert "Jane" not in (desk.folder / name).read_text()
        seg = dcmread(desk.folder / "dicom-seg" / "one.dcm")
        assert seg.Modality == "SEG"
        assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
        results(desk, patients=True)
        assert "Jane" in (desk.folder / "report.html").read_text()
        assert rows(desk)[0]["patient"] == "Doe^Jane 4711"


def test_an_object_with_a_hole_has_two_rings():
    inside = disc((9, 9), (4, 4), 4) & ~disc((9, 9), (4, 4), 2)
    ((outer, hole),) = rings_of(inside, 10, 20)
    assert outer[0] == outer[-1]
    assert np.min(outer, axis=0).tolist() == [20 + 1 - 0.0, 10 + 1 - 0.0] or len(outer) > 4
    assert len(hole) > 4


def test_a_label_says_something():
    for name in ("", "   ", "!!"):
        with pytest.raises(ValueError, match="name"):
            Label(value=1, name=name, colour="#ffffff")
    with pytest.raises(ValueError, match="colour"):
        Label(value=1, name="a", colour="red;}</style>")
