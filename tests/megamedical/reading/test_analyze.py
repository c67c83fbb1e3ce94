"""Analyze, as its makers and SPM have it: nibabel, which does not make it here, is asked."""

import nibabel
import numpy as np
import pytest

from megamedical.errors import SubjectError
from megamedical.reading.images import read_scan, read_volume

VOXELS = np.random.default_rng(0).integers(-500, 500, (4, 5, 6)).astype(np.int16)
LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS


def saved(path, kind=nibabel.Spm2AnalyzeImage, order="<", **said):
    header = kind.header_class(endianness=order)
    header.set_data_shape(VOXELS.shape)
    header.set_data_dtype(VOXELS.dtype)
    header.set_zooms((1.0, 2.0, 3.0))
    for name, value in said.items():
        header[name] = value
    with path.with_suffix(".hdr").open("wb") as file:
        header.write_to(file)
    path.write_bytes(VOXELS.astype(VOXELS.dtype.newbyteorder(order)).tobytes(order="F"))
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_front_is_where_its_makers_have_it(tmp_path, order):
    """The first voxel is rightmost, at the back and lowest."""
    path = saved(tmp_path / "a.img", nibabel.AnalyzeImage, order)
    scan = read_scan(path, 3)
    assert (scan.orientation, scan.spacing) == ("LAS", (3.0, 2.0, 1.0))
    np.testing.assert_array_equal(scan.voxels, VOXELS.T[:, ::-1])
    affine = nibabel.AnalyzeImage.load(path).affine
    steps = affine[:3, :3] / np.abs(affine[:3, :3]).sum(axis=0)
    np.testing.assert_array_equal(LPS @ steps, read_volume(path).directions)


@pytest.mark.parametrize("order", ["<", ">"])
def test_its_origin_is_that_of_spm(tmp_path, order):
    path = saved(tmp_path / "a.img", order=order, origin=[3, 2, 4, 0, 0])
    affine = nibabel.load(path).affine
    np.testing.assert_allclose(read_volume(path).origin, LPS @ affine[:3, 3])
    assert np.any(affine[:3, 3])


def test_the_name_of_a_person_is_no_origin(tmp_path):
    path = saved(tmp_path / "a.img", nibabel.AnalyzeImage, originator=b"J. Doe")
    assert read_volume(path).origin == (0, 0, 0)


@pytest.mark.parametrize("scale", [(0.5, 0), (0.25, -10), (0, 3), (np.nan, 0), (1, 0)])
def test_its_unit_is_that_of_spm(tmp_path, scale):
    path = saved(tmp_path / "a.img", scl_slope=scale[0], scl_inter=scale[1])
    np.testing.assert_array_equal(read_volume(path).voxels.T, nibabel.load(path).get_fdata())


@pytest.mark.parametrize("orient", [1, 2, 3, 255])
def test_slices_that_lie_otherwise_are_refused(tmp_path, orient):
    path = saved(tmp_path / "a.img", nibabel.AnalyzeImage, orient=bytes([orient]))
    with pytest.raises(SubjectError, match=rf"orient {orient}\), by which some programs go"):
        read_volume(path)
