"""Reading: the same anatomy gives the same array, and a damaged file gives one clear reason."""

from __future__ import annotations

import gc
import gzip
import io
import re
import struct
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.reading.images import read_label_values, read_scan, read_volume
from megamedical.reading.scan import Scan

RNG = np.random.default_rng(0)
HEAD = RNG.integers(-1000, 1000, (4, 5, 6)).astype(np.int16)  # x to the right, y front, z head
SPACING = (0.5, 1.5, 3.0)  # mm, of x, y, z
IN_MM = np.diag([*SPACING, 1.0])
COLOURS = RNG.integers(0, 256, (17, 13, 3)).astype(np.uint8)
GREYS = COLOURS[..., 0]
LABELS = RNG.integers(0, 3, (17, 13)).astype(np.uint8)
ORIENTATIONS = [
    np.column_stack([axes, flips])
    for axes in permutations(range(3))
    for flips in product((1, -1), repeat=3)
]
CANONICAL = HEAD.transpose(2, 1, 0)[:, ::-1, ::-1]  # z to the head, y to the back, x to the left


def save(path: Path, voxels=HEAD, affine=IN_MM, kind=nib.Nifti1Image) -> Path:
    nib.save(kind(voxels, affine), path)
    return path


def picture(path: Path, pixels, mode=None, **options) -> Path:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def palette(indices) -> Image.Image:
    """A picture of indices into white, black, red, green, ..."""
    image = Image.fromarray(indices, "P")
    image.putpalette([255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0])
    return image


def rotation(axis: int, degrees: float):
    turn = np.eye(4)
    one, other = (i for i in range(3) if i != axis)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[one, one] = turn[other, other] = cos
    turn[one, other], turn[other, one] = -sin, sin
    return turn


def refusal_of(path: Path, dimension: int, read=read_scan) -> SubjectError:
    with pytest.raises(SubjectError) as refused:
        read(path, dimension)
    assert str(path.parent) not in refused.value.reason
    assert refused.value.reason
    assert "\n" not in refused.value.reason
    return refused.value


def assert_canonical(scan: Scan, orientation: str) -> None:
    np.testing.assert_array_equal(scan.voxels, CANONICAL)
    assert scan.orientation == orientation
    assert scan.spacing == pytest.approx(SPACING[::-1])


# Volumes: orientation and spacing


@pytest.mark.parametrize(("kind", "name"), [(nib.Nifti1Image, "a.nii"), (nib.MGHImage, "a.mgz")])
def test_every_orientation_of_a_head_gives_the_same_array(tmp_path, kind, name):
    assert len(ORIENTATIONS) == 48
    for orientation in ORIENTATIONS:
        turned = kind(HEAD, IN_MM).as_reoriented(orientation)
        nib.save(turned, tmp_path / name)
        written = nib.load(tmp_path / name)
        codes = "".join(nib.aff2axcodes(written.affine))
        np.testing.assert_array_equal(nib.as_closest_canonical(written).dataobj, HEAD)
        assert_canonical(read_scan(tmp_path / name, 3), codes)


def test_labels_lie_as_their_image_does(tmp_path):
    image = save(tmp_path / "image.nii.gz")
    for orientation in ORIENTATIONS[5::9]:
        turned = nib.Nifti1Image(np.abs(HEAD), IN_MM).as_reoriented(orientation)
        nib.save(turned, tmp_path / "labels.nii.gz")
        labels = read_label_values(tmp_path / "labels.nii.gz", 3)
        np.testing.assert_array_equal(labels, np.abs(read_scan(image, 3).voxels))


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "hdr", "img", "mha", "mhd", "nrrd", "nhdr"])
def test_formats_of_volumes(tmp_path, suffix):
    image = sitk.GetImageFromArray(CANONICAL)  # ITK's own order and axes
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, tmp_path / f"a.b.{suffix}")
    assert_canonical(read_scan(tmp_path / f"a.b.{suffix}", 3), "LPS")


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])
def test_voxels_keep_their_type(tmp_path, kind):
    voxels = np.arange(24).reshape(2, 3, 4)
    nib.save(nib.Nifti1Image(voxels.astype(kind), np.eye(4), dtype=kind), tmp_path / "a.nii")
    scan = read_scan(tmp_path / "a.nii", 3)
    assert scan.voxels.dtype == kind
    np.testing.assert_array_equal(scan.voxels, voxels.T[:, ::-1, ::-1])


def test_scaled_voxels_are_read_in_their_unit(tmp_path):
    image = nib.Nifti1Image(HEAD, IN_MM)
    image.header.set_slope_inter(0.5, 100)
    nib.save(image, tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz", 3)
    np.testing.assert_allclose(scan.voxels, CANONICAL * 0.5 + 100)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [-40, -5, 0.3, 20])
def test_oblique_scans_keep_their_voxels(tmp_path, axis, degrees):
    path = save(tmp_path / "a.nii", affine=rotation(axis, degrees) @ IN_MM)
    np.testing.assert_array_equal(nib.as_closest_canonical(nib.load(path)).dataobj, HEAD)
    assert_canonical(read_scan(path, 3), "RAS")


@pytest.mark.parametrize("sheared", [1e-6, 1e-4, 1e-3])
def test_axes_a_little_askew_are_rounding(tmp_path, sheared):
    affine = IN_MM.copy()
    affine[0, 1] = sheared
    assert_canonical(read_scan(save(tmp_path / "a.nii", affine=affine), 3), "RAS")


def test_sheared_axes_are_refused(tmp_path):
    affine = IN_MM.copy()
    affine[0, 1] = 0.5
    assert (
        "direction matrix is not orthonormal"
        in refusal_of(save(tmp_path / "a.nii", affine=affine), 3).reason
    )


@pytest.mark.parametrize("column", [[0, 0, 0], [np.nan, 0, 0], [0, 1.5, 0]])
def test_axes_that_span_no_volume_are_refused(tmp_path, column):
    path = save(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    for row, value in enumerate(column):  # of the header's sform
        struct.pack_into("<f", content, 280 + 16 * row, value)
    path.write_bytes(content)
    assert refusal_of(path, 3).stage == "read"


# Volumes: dimensions


@pytest.mark.parametrize("sheared", [0, 5e-4])
@pytest.mark.parametrize("trailing", [(1,), (1, 1)])
def test_trailing_axes_of_one_are_none(tmp_path, sheared, trailing):
    affine = IN_MM.copy()
    affine[0, 1] = sheared
    path = save(tmp_path / "a.nii", HEAD.reshape(*HEAD.shape, *trailing), affine)
    assert_canonical(read_scan(path, 3), "RAS")


@pytest.mark.parametrize(
    ("kind", "name", "shape", "told"),
    [
        (nib.Nifti1Image, "a.nii", (4, 5, 6, 2), r"4 dimensions \(4x5x6x2\).*declares 3"),
        (nib.Nifti1Image, "a.nii", (4, 5, 6, 1, 3), r"5 dimensions \(4x5x6x1x3\).*declares 3"),
        (nib.Nifti1Image, "a.nii", (4, 5), r"2 dimensions \(4x5\).*declares 3"),
        (nib.MGHImage, "a.mgz", (4, 5, 6, 2), r"4 dimensions \(4x5x6x2\).*declares 3"),
    ],
)
def test_other_dimensions_are_told(tmp_path, kind, name, shape, told):
    path = save(tmp_path / name, np.ones(shape, np.float32), kind=kind)
    refused = refusal_of(path, 3)
    assert refused.stage == "read"
    assert refused.file == name
    assert re.search(told, refused.reason)


def test_a_single_slice_is_a_volume(tmp_path):
    assert read_scan(save(tmp_path / "a.nii", HEAD[..., :1]), 3).voxels.shape == (1, 5, 4)


@pytest.mark.parametrize("kind", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_several_values_a_voxel_are_refused(tmp_path, kind):
    reason = refusal_of(save(tmp_path / "a.nii", np.zeros((3, 4, 5), kind)), 3).reason
    assert re.search("has [23] values a voxel", reason)


def test_a_volume_of_no_format(tmp_path):
    (tmp_path / "a.xyz").write_text("voxels")
    assert "no reader for volumes in .xyz files" in refusal_of(tmp_path / "a.xyz", 3).reason
    assert "no reader for volumes in no files" in refusal_of(tmp_path / "a", 3).reason


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
def test_nan_is_left_for_the_intensities_to_refuse(tmp_path, suffix):
    voxels = CANONICAL.astype(np.float32)
    voxels[1, 2, 3] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(voxels), tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_scan(tmp_path / f"a.{suffix}", 3).voxels, voxels)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_in_nifti_stays_for_the_next_stage_to_refuse(tmp_path, value):
    voxels = HEAD.astype(np.float32)
    voxels[1, 2, 3] = value
    scan = read_scan(save(tmp_path / "a.nii.gz", voxels), 3)
    np.testing.assert_equal(scan.voxels[3, 2, 2], np.float32(value))
    assert (scan.voxels != CANONICAL).sum() == 1


def test_voxels_outlive_the_file_they_came_from(tmp_path):
    first = RNG.integers(0, 1000, (64, 64, 64)).astype(np.int16)
    path = save(tmp_path / "a.nii", first)
    voxels = read_scan(path, 3).voxels[10:]
    path.unlink()
    gc.collect()
    others = [read_scan(save(tmp_path / "b.nii", 0 * first), 3) for _ in range(3)]
    np.testing.assert_array_equal(voxels, first.transpose(2, 1, 0)[10:, ::-1, ::-1])
    assert len(others) == 3


# Damage


def whole(folder: Path, name: str) -> Path:
    """A file of a format, large enough to be cut anywhere."""
    path = folder / name
    volume = RNG.integers(0, 1000, (20, 20, 20)).astype(np.int16)
    colours = RNG.integers(0, 256, (40, 30, 3)).astype(np.uint8)
    if name.endswith((".mgz", ".mgh")):
        return save(path, volume.astype(np.int32), kind=nib.MGHImage)
    if name.startswith("askew"):
        affine = np.eye(4)
        affine[0, 1] = 2e-4
        return save(path, volume, affine)
    if name.endswith((".nii", ".nii.gz", ".hdr", ".mha", ".nrrd")):
        sitk.WriteImage(sitk.GetImageFromArray(volume), path)
        return path
    if name.endswith(".npy"):
        np.save(path, colours[..., 0])
        return path
    if name.endswith(".ppm.gz"):
        content = io.BytesIO()
        Image.fromarray(colours).save(content, "ppm")
        path.write_bytes(gzip.compress(content.getvalue()))
        return path
    return picture(path, colours)


VOLUMES = ["a.nii", "a.nii.gz", "askew.nii.gz", "a.hdr", "a.mha", "a.nrrd", "a.mgh", "a.mgz"]
PICTURES = ["a.png", "a.jpg", "a.bmp", "a.tif", "a.ppm", "a.ppm.gz", "a.npy"]


def dimension_of(name: str) -> int:
    return 3 if name in VOLUMES else 2


@pytest.mark.parametrize("name", [*VOLUMES, *PICTURES])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_file_that_was_cut_off_is_refused(tmp_path, name, kept):
    path = whole(tmp_path, name)
    read_scan(path, dimension_of(name))
    content = path.with_suffix(".img") if name == "a.hdr" else path
    content.write_bytes(content.read_bytes()[: int(content.stat().st_size * kept)])
    refused = refusal_of(path, dimension_of(name))
    assert (refused.stage, refused.file) == ("read", name)
    assert "No such file" not in refused.reason


@pytest.mark.parametrize("name", [*VOLUMES, *PICTURES, "a.gif"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"<html>404 Not Found</html>\n" * 50, gzip.compress(b"404" * 500, mtime=0)],
    ids=["empty", "newline", "web page", "packed text"],
)
def test_what_is_no_image_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused = refusal_of(tmp_path / name, dimension_of(name))
    assert (refused.stage, refused.file) == ("read", name)


@pytest.mark.parametrize("name", ["a.nii", "a.mgz", "a.png", "a.ppm.gz", "a.npy"])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    assert re.search(
        r"not exist|No such file", refusal_of(tmp_path / name, dimension_of(name)).reason
    )


@pytest.mark.parametrize(
    "packed",
    [
        lambda content: gzip.compress(content[:4000]) + gzip.compress(content[4000:]),
        lambda content: gzip.compress(content + bytes(100)),
        lambda content: gzip.compress(content) + bytes(100),
        lambda content: content,
    ],
    ids=["two members", "padded inside", "padded", "not packed"],
)
def test_unusual_but_whole_gzip_is_read(tmp_path, packed):
    content = whole(tmp_path, "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(packed(content))
    expected = read_scan(tmp_path / "a.nii", 3).voxels
    np.testing.assert_array_equal(read_scan(tmp_path / "b.nii.gz", 3).voxels, expected)


@pytest.mark.parametrize("name", [*VOLUMES, *PICTURES, "a.gif"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.dictionaries(st.integers(0, 500), st.integers(0, 255), min_size=1, max_size=5))
@pytest.mark.filterwarnings("ignore")
def test_whatever_a_file_holds_it_is_an_array_or_refused(tmp_path, name, changes):
    path = tmp_path / name
    if not path.exists():
        whole(tmp_path, name)
        (tmp_path / "original").write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "original").read_bytes())
    for position, value in changes.items():
        content[position % len(content)] = value
    path.write_bytes(content)
    for read in (read_scan, read_label_values):
        try:
            read(path, dimension_of(name))
        except SubjectError as refused:
            assert refused.stage in ("read", "decode")
            assert str(tmp_path) not in refused.reason


# Pictures


def luma(colours):
    """The luma of ITU-R 601-2."""
    return colours @ np.array([0.299, 0.587, 0.114])


def test_grey_pictures_are_read_as_they_are(tmp_path):
    scan = read_scan(picture(tmp_path / "a.png", GREYS), 2)
    np.testing.assert_array_equal(scan.voxels, GREYS)
    assert scan.voxels.dtype == np.uint8
    assert scan.spacing == (1.0, 1.0)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm", "A.PNG", "a.b.png"])
def test_colour_becomes_luma(tmp_path, name):
    path = picture(tmp_path / name, COLOURS)
    unrounded = read_scan(path, 2).voxels
    np.testing.assert_allclose(unrounded, luma(COLOURS), rtol=1e-6)
    assert unrounded.dtype == np.float32
    rounded = read_scan(path, 2, "rounded").voxels
    np.testing.assert_array_equal(rounded, Image.open(path).convert("L"))
    assert rounded.dtype == np.uint8
    assert (rounded != unrounded).mean() > 0.5


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "YCbCr"])
def test_other_models_of_colour(tmp_path, mode):
    path = picture(tmp_path / "a.tif", COLOURS, mode)
    with Image.open(path) as image:
        expected = luma(np.asarray(image.convert("RGB")))
    np.testing.assert_allclose(read_scan(path, 2).voxels, expected, rtol=1e-6)


def test_a_palette_picture_is_its_colours_or_its_labels(tmp_path):
    path = picture(tmp_path / "a.png", palette(LABELS))
    np.testing.assert_allclose(
        read_scan(path, 2).voxels, np.array([255, 0, 255 * 0.299])[LABELS], rtol=1e-6
    )
    np.testing.assert_array_equal(read_label_values(path, 2), LABELS)


def test_one_bit_pictures(tmp_path):
    path = picture(tmp_path / "a.png", GREYS > 127)
    with Image.open(path) as image:
        assert image.mode == "1"
    np.testing.assert_array_equal(read_scan(path, 2).voxels, GREYS > 127)
    labels = read_label_values(path, 2)
    np.testing.assert_array_equal(labels, GREYS > 127)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_kept(tmp_path, name):
    deep = GREYS.astype(np.uint16) * 257
    path = picture(tmp_path / name, deep)
    np.testing.assert_array_equal(read_scan(path, 2).voxels, deep)
    np.testing.assert_array_equal(read_scan(path, 2, "rounded").voxels, deep)
    np.testing.assert_array_equal(read_label_values(path, 2), deep)


def test_zipped_pictures(tmp_path):
    picture(tmp_path / "a.ppm", COLOURS)
    (tmp_path / "a.ppm.gz").write_bytes(gzip.compress((tmp_path / "a.ppm").read_bytes()))
    np.testing.assert_allclose(read_scan(tmp_path / "a.ppm.gz", 2).voxels, luma(COLOURS), rtol=1e-6)


@pytest.mark.parametrize("name", ["a.gif", "a.tif"])
def test_several_pictures_in_one_are_refused(tmp_path, name):
    frames = [Image.fromarray(COLOURS[..., channel]) for channel in range(3)]
    path = picture(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
    for read in (read_scan, read_label_values):
        assert refusal_of(path, 2, read).reason == "holds 3 pictures, not one"


def test_colour_of_a_model_without_luma_is_refused(tmp_path):
    path = picture(tmp_path / "a.tif", Image.new("LAB", (9, 9)))
    assert refusal_of(path, 2).reason == "has pictures of mode LAB"


@pytest.mark.parametrize("array", [GREYS, GREYS / 7, GREYS > 9, GREYS.astype(">i4"), GREYS.T])
def test_npy(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    scan = read_scan(tmp_path / "a.npy", 2)
    np.testing.assert_array_equal(scan.voxels, array)
    assert scan.voxels.dtype == array.dtype


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.array([[{}, {}]], dtype=object), "Object arrays cannot be loaded"),
        (np.zeros((3, 4, 5)), r"has shape \(3, 4, 5\), not \(H, W\)"),
        (np.zeros(5), r"has shape \(5,\)"),
        (np.array([["a", "b"]]), "holds <U1 values"),
        (np.ones((3, 4), np.complex64), "holds complex64 values"),
        (np.zeros((3, 4), [("a", "f4")]), "holds .* values"),
    ],
)
def test_npy_of_anything_else_is_refused(tmp_path, array, told):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    for read in (read_scan, read_label_values):
        assert re.search(told, refusal_of(tmp_path / "a.npy", 2, read).reason)


def test_npz_under_the_name_of_npy_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", GREYS)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    assert "magic string" in refusal_of(tmp_path / "a.npy", 2).reason


# Label maps


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif"])
@pytest.mark.parametrize("greys", [[0, 255], [255, 0], [0, 100, 7]])
def test_a_palette_of_greys_gives_the_greys_that_every_viewer_shows(tmp_path, name, greys):
    """Black and white in either order: indices would take what is black for the label."""
    image = Image.fromarray(LABELS % len(greys), "P")
    image.putpalette(np.repeat(greys, 3).tolist())
    path = picture(tmp_path / name, image)
    expected = np.array(greys)[LABELS % len(greys)]
    with Image.open(path) as shown:
        np.testing.assert_array_equal(np.asarray(shown.convert("L")), expected)
    np.testing.assert_array_equal(read_label_values(path, 2), expected)
    np.testing.assert_array_equal(read_scan(path, 2).voxels, expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_a_label_map_in_grey_may_have_channels(tmp_path, mode):
    path = picture(tmp_path / "a.png", LABELS * 127, mode)
    labels = read_label_values(path, 2)
    np.testing.assert_array_equal(labels, LABELS * 127)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_label_map_in_colour_is_refused(tmp_path, mode):
    pixels = np.stack([LABELS] * 3, axis=-1)
    pixels[3, 4, 1] += 1
    refused = refusal_of(picture(tmp_path / "a.png", pixels, mode), 2, read_label_values)
    assert refused.stage == "decode"
    assert "is in colour" in refused.reason


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("off", [0, 1e-4, -1e-4])
def test_whole_numbers_may_be_written_as_floats(tmp_path, kind, off):
    values = np.abs(HEAD)
    labels = read_label_values(save(tmp_path / "a.nii", (values + off).astype(kind)), 3)
    np.testing.assert_array_equal(labels, values.transpose(2, 1, 0)[:, ::-1, ::-1])
    assert labels.dtype.kind == "i"
    path = picture(tmp_path / "a.tif", (LABELS + off).astype(np.float32))
    np.testing.assert_array_equal(read_label_values(path, 2), LABELS)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.5, "holds 0.5, which is no label value"),
        (1.99, "holds 1.99, which is no label value"),
        (2.0**32 + 1, "holds 4.29497e+09 as a label value"),
        (np.nan, "NaN or infinite"),
        (-np.inf, "NaN or infinite"),
    ],
)
def test_other_floats_are_no_labels(tmp_path, value, told):
    labels = LABELS.astype(np.float32)
    labels[2, 3] = value
    refused = refusal_of(picture(tmp_path / "a.tif", labels), 2, read_label_values)
    assert (refused.stage, refused.file) == ("decode", "a.tif")
    assert told in refused.reason
    sitk.WriteImage(sitk.GetImageFromArray(labels[np.newaxis]), tmp_path / "a.mha")
    assert told in refusal_of(tmp_path / "a.mha", 3, read_label_values).reason


TEXT_HEADERS = {
    "a.nrrd": "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n",
    "a.mha": "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n",
}


@pytest.mark.parametrize(
    ("name", "said", "spacing"),
    [
        ("a.nrrd", 'spacings: 500 500 2000\nunits: "um" "um" "micron"\n\n', (2.0, 0.5, 0.5)),
        (
            "a.nrrd",
            "space: LPS\nspace directions: (.05,0,0) (0,.05,0) (0,0,.2)\n"
            'space units: "cm" "cm" "cm"\nspace origin: (0,0,0)\n\n',
            (2.0, 0.5, 0.5),
        ),
        (
            "a.mha",
            "ElementSpacing = .05 .05 .2\nDistanceUnits = cm\nElementDataFile = LOCAL\n",
            (2.0, 0.5, 0.5),
        ),
    ],
)
def test_whatever_a_header_measures_in_a_scan_is_in_mm(tmp_path, name, said, spacing):
    (tmp_path / name).write_bytes((TEXT_HEADERS[name] + said).encode() + bytes(range(8)))
    assert read_scan(tmp_path / name, 3).spacing == pytest.approx(spacing)


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("a.nrrd", 'spacings: 1 1 1\nunits: "inch" "inch" "inch"\n\n', "in 'inch'"),
        ("a.mha", "DistanceUnits = ell\nElementDataFile = LOCAL\n", "in 'ell'"),
        ("a.nrrd", "space: RAT\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n\n", "space 'RAT'"),
    ],
)
def test_a_measure_that_nobody_knows_is_refused(tmp_path, name, said, told):
    (tmp_path / name).write_bytes((TEXT_HEADERS[name] + said).encode() + bytes(range(8)))
    assert told in refusal_of(tmp_path / name, 3).reason


def test_a_nifti_whose_slices_are_no_distance_apart_is_refused(tmp_path):
    image = nib.Nifti1Image(np.zeros((4, 4, 3), np.uint8), None)
    content = bytearray(image.to_bytes())
    content[80:92] = np.array([1, 1, 0], "<f4").tobytes()  # pixdim
    (tmp_path / "a.nii").write_bytes(content)
    told = refusal_of(tmp_path / "a.nii", 3).reason
    assert told == "does not say how far apart its voxels lie along k"


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("a.nrrd", "spacings: 1 1 1\nspacings: 2 2 2\n", "says spacings twice"),
        ("a.nrrd", "axis mins: 0 0 0\naxis maxs: 20 20 20\n", "where its axes begin and end"),
        ("a.mha", "ElementSpacing = 1 1 1\nElementSpacing = 2 2 2\n", "says ElementSpacing twice"),
        ("a.mha", "elementspacing = 2 2 2\n", "is ElementSpacing meant?"),
        ("a.mha", "ElementSpacing = 1 1 0\n", "voxels lie 0 mm apart"),
    ],
)
def test_a_text_header_that_leaves_spacing_open_is_refused(tmp_path, name, said, told):
    end = "\n" if name == "a.nrrd" else "ElementDataFile = LOCAL\n"
    (tmp_path / name).write_bytes((TEXT_HEADERS[name] + said + end).encode() + bytes(8))
    assert told in refusal_of(tmp_path / name, 3).reason


def test_centerings_are_centers(tmp_path):
    said = "spacings: 2 2 2\naxis mins: 0 0 0\ncenterings: node cell node\n\n"
    (tmp_path / "a.nrrd").write_bytes((TEXT_HEADERS["a.nrrd"] + said).encode() + bytes(8))
    assert read_volume(tmp_path / "a.nrrd").origin == (0, 1, 0)


def test_a_meta_image_that_says_two_things_is_refused(tmp_path):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    for said, told in (
        ("Offset = 1 2 3\nPosition = 1 2 4\n", "different things in Offset and Position"),
        ("Offset = 1 2 3\nOrigin = 1.0 2.0 3.0\n", None),
    ):
        end = "ElementSpacing = 1 1 1\nElementDataFile = LOCAL\n"
        (tmp_path / "a.mha").write_bytes((header + said + end).encode() + bytes(8))
        if told:
            with pytest.raises(SubjectError, match=told):
                read_volume(tmp_path / "a.mha")
        else:
            assert read_volume(tmp_path / "a.mha").origin == (1, 2, 3)


@pytest.mark.parametrize(("spacings", "is_read"), [("1 2.0001 3", True), ("1 1 1", False)])
def test_a_nrrd_that_says_two_spacings_is_refused(tmp_path, spacings, is_read):
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n"
    placed = f"spacings: {spacings}\nspace directions: (1,0,0) (0,-2,0) (0,0,3)\n\n"
    (tmp_path / "a.nrrd").write_bytes((header + placed).encode() + bytes(8))
    if is_read:
        assert read_volume(tmp_path / "a.nrrd").spacing == (1, 2, 3)
    else:
        with pytest.raises(SubjectError, match="says other spacings than its space directions"):
            read_volume(tmp_path / "a.nrrd")
