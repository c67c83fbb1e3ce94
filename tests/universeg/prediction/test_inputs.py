"""What predict finds in a folder: every file counts, and what is no image is said to be none."""

import pytest
from pydicom.uid import SegmentationStorage

from tests.megamedical.reading.test_dicom import VOXELS, write, write_series
from universeg.prediction.inputs import inputs_at


@pytest.mark.parametrize("damage", [lambda whole: bytes(len(whole)), lambda _: b"<html></html>"])
def test_a_scan_that_may_lack_a_slice_is_not_predicted(tmp_path, damage):
    folder = write_series(tmp_path / "ct")
    spoilt = folder / "000.dcm"
    spoilt.write_bytes(damage(spoilt.read_bytes()))
    found = inputs_at(tmp_path)
    assert len(found) == 2
    assert all(each.damage for each in found)
    assert any("lacks a slice, if 000.dcm is one" in each.damage for each in found)


def test_what_lies_beside_a_scan_is_left_aside_and_said(tmp_path):
    folder = write_series(tmp_path / "ct")
    write(folder / "seg.dcm", VOXELS, SegmentationStorage, Modality="SEG")
    scan, aside = sorted(inputs_at(tmp_path), key=lambda each: each.lies_aside)
    assert (scan.damage, len(scan.files)) == ("", len(VOXELS))
    assert aside.damage == "holds no DICOM image, but SEG"
    (alone,) = inputs_at(folder / "seg.dcm")
    assert alone.damage
    assert not alone.lies_aside
