"""Files that hold more than one image: the right part of them is read, or it is said what lacks."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.file_parts import (
    count_pictures,
    has_entry,
    read_picture_part,
    read_run_lengths,
    told_of_pictures,
)
from megamedical.reading.images import read_scan, read_volume

PICTURES = np.random.default_rng(0).integers(0, 200, (4, 5, 6, 3)).astype(np.uint8)


@pytest.fixture(params=["npy", "npz", "h5", "mat"])
def several(request, tmp_path):
    """A file of four pictures in colour, in an array called `pictures` where arrays have names."""
    path = tmp_path / f"pictures.{request.param}"
    if request.param == "npy":
        np.save(path, PICTURES)
    elif request.param == "npz":
        np.savez(path, pictures=PICTURES, other=np.zeros(3))
    elif request.param == "h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["pictures"] = PICTURES
    else:
        from scipy.io import savemat

        savemat(path, {"pictures": PICTURES, "other": np.zeros(3)})
    return path


def test_one_channel_of_one_picture(several):
    assert count_pictures(several, "pictures") == 4
    found = read_picture_part(several, Part("pictures", frame=2, channel=1))
    np.testing.assert_array_equal(found, PICTURES[2, ..., 1])


def test_colours_are_grey_or_their_brightest(several):
    grey = read_picture_part(several, Part("pictures", frame=3))
    expected = np.asarray(Image.fromarray(PICTURES[3]).convert("F"))
    np.testing.assert_allclose(grey, expected, atol=1e-3)
    brightest = read_picture_part(several, Part("pictures", frame=3, channel="any"))
    np.testing.assert_array_equal(brightest, PICTURES[3].max(axis=-1))


def test_a_channel_that_is_not_there_is_told(several):
    with pytest.raises(SubjectError, match="has no channel 3"):
        read_picture_part(several, Part("pictures", frame=0, channel=3))


def test_alpha_is_no_colour(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(np.dstack([PICTURES[0], np.full((5, 6), 255, np.uint8)])).save(path)
    found = read_picture_part(path, Part(channel="any"))
    np.testing.assert_array_equal(found, PICTURES[0].max(axis=-1))


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "pictures.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SubjectError, match=r"pictures.npy|pickle|Array"):
        read_picture_part(path, Part(frame=0))


def test_an_array_that_is_not_there_is_told(tmp_path):
    path = tmp_path / "pictures.npz"
    np.savez(path, other=np.zeros(3))
    with pytest.raises(SubjectError, match="pictures"):
        count_pictures(path, "pictures")


def test_what_is_told_of_pictures_is_text(tmp_path):
    path = tmp_path / "clips.npz"
    np.savez(path, bytes=np.array([b"101_", b"102_1"]), numbers=np.array([7, 8]))
    assert told_of_pictures(path, "bytes") == ["101_", "102_1"]
    assert told_of_pictures(path, "numbers") == ["7", "8"]
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "clips.h5", "w") as file:
        file.create_dataset("texts", data=["101_", "102_1"], dtype=h5py.string_dtype())
    assert told_of_pictures(tmp_path / "clips.h5", "texts") == ["101_", "102_1"]


@pytest.mark.parametrize("channel", [0, 2])
def test_a_channel_of_a_nifti_lies_as_a_volume_of_its_own(tmp_path, channel):
    voxels = np.random.default_rng(1).normal(size=(4, 5, 6, 3)).astype(np.float32)
    affine = np.array([[0, 2.0, 0, 5], [-1.5, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "all.nii.gz")
    nibabel.save(nibabel.Nifti1Image(voxels[..., channel], affine), tmp_path / "one.nii.gz")
    found = read_volume(tmp_path / "all.nii.gz", channel)
    alone = read_volume(tmp_path / "one.nii.gz")
    np.testing.assert_array_equal(found.voxels, alone.voxels)
    np.testing.assert_allclose(found.directions, alone.directions, atol=1e-6)
    np.testing.assert_allclose(found.spacing, alone.spacing, atol=1e-6)
    np.testing.assert_allclose(found.origin, alone.origin, atol=1e-6)


def test_a_volume_without_channels_is_told(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(SubjectError, match="has no channel 0"):
        read_volume(tmp_path / "a.nii", 0)


class TestRunLengths:
    """The text is what pycocotools writes for these masks."""

    MASK = np.zeros((9, 11), np.bool_)
    MASK[2:5, 3:8] = True
    MASK[0, 0] = True
    TEXT = "01l02ZO0000000i0"

    def write(self, folder, entry):
        path = folder / "masks.json"
        path.write_text(json.dumps({"a_view1": entry}), encoding="utf-8")
        return path

    def test_of_coco(self, tmp_path):
        path = self.write(tmp_path, {"Edema": {"size": [9, 11], "counts": self.TEXT}})
        np.testing.assert_array_equal(read_run_lengths(path, "a_view1", "Edema"), self.MASK)

    def test_as_numbers(self, tmp_path):
        runs = [0, 1, 28, 3, 6, 3, 6, 3, 6, 3, 6, 3, 31]
        path = self.write(tmp_path, {"Edema": {"size": [9, 11], "counts": runs}})
        np.testing.assert_array_equal(read_run_lengths(path, "a_view1", "Edema"), self.MASK)

    @pytest.mark.parametrize("counts", [[0, 1, 28], [99, 1, -1], [1 << 40], "!"])
    def test_that_miss_the_size_are_told(self, tmp_path, counts):
        path = self.write(tmp_path, {"Edema": {"size": [9, 11], "counts": counts}})
        with pytest.raises(SubjectError):
            read_run_lengths(path, "a_view1", "Edema")

    def test_of_another_picture_or_label_are_told(self, tmp_path):
        path = self.write(tmp_path, {"Edema": {"size": [9, 11], "counts": self.TEXT}})
        assert has_entry(path, "a_view1")
        assert not has_entry(path, "b_view1")
        with pytest.raises(SubjectError, match="says nothing of b_view1"):
            read_run_lengths(path, "b_view1", "Edema")
        with pytest.raises(SubjectError, match="says nothing of Pneumothorax in a_view1"):
            read_run_lengths(path, "a_view1", "Pneumothorax")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"im": {"a": {"size": [2, 2], "counts": [1.9, 1.2, 2.5]}}}', "has 1.9 where a whole"),
        ('{"im": {"a": {"size": [2.9, 2], "counts": [1, 3]}}}', "has 2.9 where a whole"),
        ('{"im": {}, "im": {"a": {"size": [2, 2], "counts": [1, 3]}}}', "says im twice"),
        ('{"im": {"a": {}, "a": {"size": [2, 2], "counts": [1, 3]}}}', "says a twice"),
    ],
)
def test_run_lengths_are_not_guessed(tmp_path, content, told):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(SubjectError, match=told):
        read_run_lengths(tmp_path / "a.json", "im", "a")


@pytest.mark.parametrize("suffix", ["npy", "npz", "mat", "h5"])
def test_complex_numbers_are_no_intensities(tmp_path, suffix):
    """Only their real part would be seen."""
    path = written(tmp_path / f"a.{suffix}", np.ones((4, 5)) + 2j)
    with pytest.raises(SubjectError, match="holds complex128 values, not intensities"):
        read_picture_part(path, Part("values"))


@pytest.mark.parametrize("suffix", ["npy", "npz", "mat", "h5"])
def test_labels_in_three_channels_are_not_mixed(tmp_path, suffix):
    """0.114 of 500 would be label 57."""
    labels = np.zeros((4, 5, 3), np.uint16)
    labels[1:3, 2] = 3
    path = written(tmp_path / f"grey.{suffix}", labels)
    found = read_picture_part(path, Part("values", is_label=True))
    np.testing.assert_array_equal(found, labels[..., 0])
    labels[3, 3, 2] = 500
    path = written(tmp_path / f"a.{suffix}", labels)
    with pytest.raises(SubjectError, match="is in colour, where a grey value a label is meant"):
        read_picture_part(path, Part("values", is_label=True))


def test_what_has_one_value_a_pixel_has_no_second_channel_of_labels(tmp_path):
    """Each of its labels would lie in the same place."""
    Image.fromarray(np.eye(5, dtype=np.uint8)).save(tmp_path / "a.png")
    for channel in (0, "any"):
        found = read_picture_part(tmp_path / "a.png", Part(channel=channel, is_label=True))
        np.testing.assert_array_equal(found, np.eye(5))
    with pytest.raises(SubjectError, match="has one value a pixel, no channel 1"):
        read_picture_part(tmp_path / "a.png", Part(channel=1, is_label=True))


@pytest.mark.parametrize("channel", [0, 1, "any"])
def test_channels_come_last_and_no_column_is_one(tmp_path, channel):
    np.save(tmp_path / "a.npy", np.zeros((3, 20, 30), np.uint8))
    with pytest.raises(SubjectError, match="channels are meant to come last"):
        read_picture_part(tmp_path / "a.npy", Part(channel=channel))


def test_a_thin_volume_is_no_picture_in_colour(tmp_path):
    voxels = np.arange(3 * 5 * 6, dtype=np.int16).reshape(3, 5, 6)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(SubjectError, match="is no picture: it is 3x5x6"):
        read_scan(tmp_path / "a.nii", 2)


def written(path, values):
    """A file of one array, under the name `values` where it has one."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, values=values)
    elif path.suffix == ".mat":
        pytest.importorskip("scipy.io").savemat(path, {"values": values})
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            file["values"] = values
    return path
