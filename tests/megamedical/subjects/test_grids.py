"""A mask lies where its image does, or its subject is refused with both grids in the reason."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from miniatures.files import dicom
from pydicom import dcmread
from scipy.spatial.transform import Rotation

from megamedical.catalogue.annotation import Mask
from megamedical.catalogue.group import FileGroup
from megamedical.errors import SubjectError
from megamedical.files.folders import list_files
from megamedical.reading.images import read_scan
from megamedical.reading.volume import Volume
from megamedical.subjects.assembly import Assembly
from megamedical.subjects.grids import on_grid_of
from megamedical.subjects.matching import find_subjects

SHAPE = (5, 6, 7)  # (k, j, i)
SPACING = (1.0, 1.5, 4.0)
VALUES = np.arange(np.prod(SHAPE)).reshape(SHAPE)
FLAT = np.eye(4)

FACTS = {
    "modality": "mri",
    "dimension": 3,
    "labels": {1: "liver"},
    "subjects": 1,
    "image": "{case}_i.nii",
    "mask": {"decode": "values", "file": "{case}_m.nii"},
    "subject": "{case}",
    "patient": "{case}",
    "planes": ["axial"],
}


def stored(order, senses, turn) -> tuple[Volume, Volume]:
    """One volume, as it is and as a file has it along other axes of the same grid."""
    directions = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    image = Volume(VALUES, directions, SPACING, (10.0, -20.0, 30.0))
    order = np.array(order)
    voxels = VALUES.transpose(*(2 - order[::-1]))
    voxels = voxels[tuple(slice(None, None, sense) for sense in senses[::-1])]
    lengths = np.array(SHAPE[::-1])
    first = np.where(np.array(senses) < 0, lengths[order] - 1, 0)
    origin = image.origin + directions[:, order] @ (first * np.array(SPACING)[order])
    spacing = tuple(np.array(SPACING)[order].tolist())
    mask = Volume(voxels, directions[:, order] * senses, spacing, tuple(origin.tolist()))
    return image, mask


@given(
    order=st.permutations([0, 1, 2]),
    senses=st.tuples(*[st.sampled_from([1, -1])] * 3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
)
def test_a_mask_along_other_axes_of_the_same_grid_is_turned_to_its_image(order, senses, turn):
    image, mask = stored(order, senses, turn)
    np.testing.assert_array_equal(on_grid_of(image, mask).voxels, VALUES)


@given(
    order=st.permutations([0, 1, 2]),
    senses=st.tuples(*[st.sampled_from([1, -1])] * 3),
    axis=st.integers(0, 2),
    shift=st.floats(-3, 3),
)
def test_half_a_voxel_is_where_a_mask_no_longer_lies_on_its_image(order, senses, axis, shift):
    image, mask = stored(order, senses, (3, 4, 5))
    step = image.directions[:, axis] * SPACING[axis] * shift
    moved = Volume(mask.voxels, mask.directions, mask.spacing, tuple(mask.origin + step))
    if abs(shift) < 0.499:
        np.testing.assert_array_equal(on_grid_of(image, moved).voxels, VALUES)
    elif abs(shift) > 0.501:
        with pytest.raises(SubjectError, match="does not lie on the grid of its image"):
            on_grid_of(image, moved)


@pytest.mark.parametrize(
    "changed",
    [
        {"spacing": (1.0, 1.5, 4.5)},
        {"spacing": (1e-4, 1.5, 4.0)},
        {"spacing": (0.0, 1.5, 4.0)},
        {"spacing": (np.nan, 1.5, 4.0)},
        {"origin": (np.nan, 0.0, 0.0)},
        {"origin": (12.0, 0.0, 0.0)},
        {"directions": np.diag([-1.0, 1.0, 1.0])},
        {"directions": np.diag([-1.0, -1.0, 1.0])},
        {"directions": np.full((3, 3), np.nan)},
        {"directions": np.zeros((3, 3))},
        {"directions": Rotation.from_euler("z", 20, degrees=True).as_matrix()},
    ],
)
def test_another_grid_is_refused_with_both_in_the_reason(changed):
    like = {"directions": np.eye(3), "spacing": SPACING, "origin": (0.0, 0.0, 0.0)}
    with pytest.raises(SubjectError) as refused:
        on_grid_of(Volume(VALUES, **like), Volume(VALUES, **{**like, **changed}))
    assert refused.value.reason.count(" mm from LPS (") == 2
    assert "place: voxels" in refused.value.reason


def test_what_lies_nowhere_lies_on_no_grid():
    nowhere = Volume(VALUES, np.eye(3), SPACING, (np.nan, 0.0, 0.0))
    with pytest.raises(SubjectError, match=r"LPS \(nan, 0, 0\)"):
        on_grid_of(nowhere, nowhere)


def test_of_few_slices_another_thickness_shows():
    like = {"directions": np.eye(3), "origin": (0.0, 0.0, 0.0)}
    thin, thick = (Volume(VALUES[:1], spacing=(1.0, 1.0, k), **like) for k in (1.0, 5.0))
    with pytest.raises(SubjectError, match="1 x 1 x 5 mm"):
        on_grid_of(thin, thick)


def test_rounded_headers_are_forgiven():
    """Spacing of four decimals, and an axis that a quaternion of single precision has turned."""
    large = np.broadcast_to(np.uint8(1), (300, 512, 512))
    turn = Rotation.from_euler("z", 5e-4).as_matrix()
    image = Volume(large, np.eye(3), (0.703125, 0.703125, 1.25), (-179.6484, -179.6484, -312.5))
    mask = Volume(large, turn, (0.7031, 0.7031, 1.25), (-179.65, -179.65, -312.5))
    assert on_grid_of(image, mask).voxels.shape == large.shape


# Through the files of a subject


def label_values(folder: Path, **facts):
    group = FileGroup.model_validate({**FACTS, **facts})
    (subject,), failures = find_subjects("hearts", "all", group, list_files([folder]))
    assert not failures
    assembly = Assembly(group, subject)
    return [assembly.label_values(pattern) for pattern in group.mask.patterns]


def save(path: Path, values, affine=FLAT) -> None:
    nib.save(nib.Nifti1Image(values, affine), path)


@pytest.fixture
def volume(tmp_path):
    """An image of a ball beside the middle, and where the ball is, (X, Y, Z)."""
    ball = np.zeros((7, 6, 5), np.uint8)
    ball[1:3, 1:4, 2:4] = 1
    save(tmp_path / "a_i.nii", ball.astype(np.int16) * 100)
    return ball


FLIPPED = np.array([[-1.0, 0, 0, 6], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
MOVED = np.array([[1.0, 0, 0, 12], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def test_a_file_that_stores_its_mask_the_other_way_round(tmp_path, volume):
    save(tmp_path / "a_m.nii", volume[::-1], FLIPPED)
    np.testing.assert_array_equal(label_values(tmp_path)[0], volume.T[:, ::-1, ::-1])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd", ".seg.nrrd", ".mgz"])
def test_every_format_of_volumes_is_held_to_its_place(tmp_path, volume, suffix):
    for name, shift, is_moved in (("same", 0.0, False), ("moved", 12.0, True)):
        folder = tmp_path / name
        folder.mkdir()
        save(folder / "a_i.nii", volume)
        if suffix == ".mgz":
            affine = FLAT.copy()
            affine[0, 3] = shift
            nib.save(nib.MGHImage(volume, affine), folder / f"a_m{suffix}")
        else:
            mask = sitk.GetImageFromArray(volume.T)
            mask.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
            mask.SetOrigin((shift, 0, 0))
            sitk.WriteImage(mask, folder / f"a_m{suffix}")
        facts = {"mask": {"decode": "values", "file": f"{{case}}_m{suffix}"}}
        if is_moved:
            with pytest.raises(SubjectError, match="does not lie on the grid"):
                label_values(folder, **facts)
        else:
            np.testing.assert_array_equal(label_values(folder, **facts)[0], volume.T[:, ::-1, ::-1])


def test_each_file_of_a_mask_and_each_channel_is_held_to_its_place(tmp_path, volume):
    save(tmp_path / "a_m.nii", volume)
    save(tmp_path / "a_2.nii", volume, MOVED)
    labels = {"labels": {1: "liver", 2: "spleen"}}
    files = {"liver": "{case}_m.nii", "spleen": "{case}_2.nii"}
    for mask, also in (
        ({"decode": "files", "files": files}, labels),
        ({"decode": "values", "file": "{case}_{more:[m2]}.nii", "union": "more"}, {}),
    ):
        with pytest.raises(SubjectError, match=r"LPS \(-12, 0, 0\)"):
            label_values(tmp_path, mask=mask, **also)
    save(tmp_path / "a_c.nii", np.stack([volume, volume], axis=3), MOVED)
    with pytest.raises(SubjectError, match="does not lie on the grid"):
        label_values(tmp_path, mask={"decode": "values", "file": "{case}_c.nii", "channel": 1})


def test_where_headers_are_known_to_be_wrong_the_voxels_say_it(tmp_path, volume):
    save(tmp_path / "a_m.nii", volume, np.diag([-3.0, 1, 1, 1]))
    with pytest.raises(SubjectError, match="does not lie on the grid"):
        label_values(tmp_path)
    (values,) = label_values(tmp_path, mask={**FACTS["mask"], "place": "voxels"})
    np.testing.assert_array_equal(values, volume.T[:, ::-1, ::-1])


def test_masks_that_are_drawn_together_have_one_shape(tmp_path, volume):
    save(tmp_path / "a_m.nii", volume)
    save(tmp_path / "a_2.nii", volume[:1])
    mask = {"decode": "values", "file": "{case}_{more:[m2]}.nii", "union": "more"}
    with pytest.raises(SubjectError, match="the mask is 5x6x1, the image 5x6x7"):
        label_values(tmp_path, mask=mask)


def test_a_mask_that_lies_where_its_header_says_is_written_as_before():
    facts = {"decode": "values", "file": "m"}
    assert "place" not in Mask(**facts).model_dump(mode="json")
    assert Mask(**facts, place="voxels").model_dump(mode="json")["place"] == "voxels"


FLAT_PICTURES = {"dimension": 2, "planes": [], "grid": "native"}


class TestPicturesInNifti:
    @pytest.fixture(params=[(7, 6), (7, 6, 1)])
    def picture(self, request, tmp_path):
        values = np.zeros(request.param, np.uint8)
        values[1:3, 1:4] = 1
        save(tmp_path / "a_i.nii", values.astype(np.int16) * 100)
        return values

    def test_a_mask_that_lies_as_its_image_is_taken(self, tmp_path, picture):
        save(tmp_path / "a_m.nii", picture)
        (values,) = label_values(tmp_path, **FLAT_PICTURES)
        np.testing.assert_array_equal(values, picture.squeeze().T)

    @pytest.mark.parametrize("affine", [FLIPPED, FLIPPED[[1, 0, 2, 3]]])
    def test_a_mask_that_is_mirrored_or_turned_is_refused(self, tmp_path, picture, affine):
        save(tmp_path / "a_m.nii", picture, affine)
        with pytest.raises(SubjectError, match="lies along the axes"):
            label_values(tmp_path, **FLAT_PICTURES)

    def test_the_manifest_may_know_better(self, tmp_path, picture):
        save(tmp_path / "a_m.nii", picture, FLIPPED)
        mask = {**FACTS["mask"], "place": "voxels"}
        (values,) = label_values(tmp_path, mask=mask, **FLAT_PICTURES)
        assert values.sum() == picture.sum()


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr"])
class TestPicturesInFormatsOfVolumes:
    """Of two dimensions, or of three of which one is a single pixel long."""

    @pytest.fixture(params=[(6, 7), (1, 6, 7)])
    def labels(self, request):
        values = np.zeros(request.param, np.uint8)
        values[..., 1:3, 1:4] = 1
        return values

    def put(self, folder, suffix, labels, senses=(1, 1)):
        picture = sitk.GetImageFromArray(labels * np.uint8(100))
        sitk.WriteImage(picture, folder / f"a_i{suffix}")
        mask = sitk.GetImageFromArray(labels)
        mask.SetDirection(np.diag([*senses, 1][: labels.ndim]).ravel().astype(float).tolist())
        sitk.WriteImage(mask, folder / f"a_m{suffix}")
        mask = {"decode": "values", "file": f"{{case}}_m{suffix}"}
        return {**FLAT_PICTURES, "image": f"{{case}}_i{suffix}", "mask": mask}

    def test_are_read_as_they_lie_in_the_file(self, tmp_path, suffix, labels):
        (values,) = label_values(tmp_path, **self.put(tmp_path, suffix, labels))
        np.testing.assert_array_equal(values, labels.squeeze())
        np.testing.assert_array_equal(
            read_scan(tmp_path / f"a_i{suffix}", 2).voxels, labels.squeeze() * 100
        )

    @pytest.mark.parametrize("senses", [(-1, 1), (1, -1)])
    def test_a_mask_that_is_mirrored_is_refused(self, tmp_path, suffix, labels, senses):
        facts = self.put(tmp_path, suffix, labels, senses)
        with pytest.raises(SubjectError, match="the mask lies along the axes"):
            label_values(tmp_path, **facts)

    def test_a_volume_is_no_picture(self, tmp_path, suffix, labels):
        thick = np.concatenate([labels.reshape(1, 6, 7)] * 2)
        facts = self.put(tmp_path, suffix, thick)
        with pytest.raises(SubjectError, match="is no picture: it is 7x6x2"):
            label_values(tmp_path, **facts)


IN_SLICES = {
    "image": "{case}_i{slice:[0-9]+}.dcm",
    "mask": {"decode": "values", "file": "{case}_m{slice}.dcm"},
    "slices": "slice",
}


class TestMasksInDicom:
    """A file for each slice: they belong together by number, and say where they lie."""

    def put(self, folder, labels, heights):
        for number, (slice_, height) in enumerate(zip(labels, heights, strict=True)):
            laid = {"modality": "CT", "patient": "1", "number": number}
            image = dicom(slice_ * 100, height=2.5 * number, **laid)
            (folder / f"a_i{number}.dcm").write_bytes(image)
            (folder / f"a_m{number}.dcm").write_bytes(dicom(slice_, height=height, **laid))

    def test_in_the_planes_of_their_images_are_taken(self, tmp_path, volume):
        self.put(tmp_path, volume.T, [0, 2.5, 5.1, 7.5, 10])
        np.testing.assert_array_equal(label_values(tmp_path, **IN_SLICES)[0], volume.T)

    def test_in_other_planes_are_refused(self, tmp_path, volume):
        self.put(tmp_path, volume.T, [10, 7.5, 5, 2.5, 0])
        with pytest.raises(SubjectError, match="the mask lies at -10 -20 10, the slice of its im"):
            label_values(tmp_path, **IN_SLICES)
        known = {**IN_SLICES, "mask": {**IN_SLICES["mask"], "place": "voxels"}}
        np.testing.assert_array_equal(label_values(tmp_path, **known)[0], volume.T)

    def test_a_picture_that_is_mirrored_is_refused(self, tmp_path, volume):
        self.put(tmp_path, volume.T, [0, 2.5, 5, 7.5, 10])
        picture = {**FLAT_PICTURES, "image": "{case}_i2.dcm"}
        facts = {**picture, "mask": {"decode": "values", "file": "{case}_m2.dcm"}}
        np.testing.assert_array_equal(label_values(tmp_path, **facts)[0], volume.T[2])
        mirrored = dcmread(tmp_path / "a_m2.dcm")
        mirrored.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        mirrored.save_as(tmp_path / "a_m2.dcm")
        with pytest.raises(SubjectError, match="the mask lies along the axes RPI"):
            label_values(tmp_path, **facts)
