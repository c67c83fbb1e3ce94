"""What is packed is whole or refused, and the file that is named is the one that is read."""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from megamedical.errors import SubjectError
from megamedical.reading import read_label_values, read_scan, read_volume
from tests.megamedical.reading.test_images import HEAD, IN_MM, save

RNG = np.random.default_rng(0)
VOLUME = RNG.integers(0, 1000, (12, 13, 14)).astype(np.int16)


def packed_volume(folder, name):
    """A packed file, and where in it what is packed begins and ends."""
    path = folder / name
    if name.endswith((".nii.gz", ".mgz")):
        save(path, VOLUME.T, kind=nib.MGHImage if name.endswith(".mgz") else nib.Nifti1Image)
        return path, 0
    image = sitk.GetImageFromArray(VOLUME)
    sitk.WriteImage(image, path, useCompression=True)
    content = path.read_bytes()
    if name == "bz2.nrrd":
        head, _, body = content.partition(b"\n\n")
        plain = gzip.decompress(body)
        content = head.replace(b"gzip", b"bzip2") + b"\n\n" + bz2.compress(plain)
        path.write_bytes(content)
    begins = content.index(b"\n\n") + 2 if name.endswith(".nrrd") else content.index(b"LOCAL\n") + 6
    return path, begins


PACKED = ["a.nii.gz", "a.mgz", "a.mha", "a.nrrd", "bz2.nrrd"]


@pytest.mark.parametrize("name", PACKED)
def test_a_changed_byte_in_what_is_packed_is_refused_or_does_not_show(tmp_path, name):
    path, begins = packed_volume(tmp_path, name)
    content = path.read_bytes()
    expected = read_scan(path, 3).voxels
    refused = 0
    places = [
        *RNG.integers(begins, len(content), 40).tolist(),
        *range(len(content) - 8, len(content)),
    ]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_scan(path, 3).voxels, expected)
        except SubjectError as error:
            refused += error.file == name
    assert refused >= len(places) - 3  # a time, a name or a system in the header of gzip


@pytest.mark.parametrize(("name", "lost"), [("a.mha", b"Offset"), ("a.nrrd", b"space origin")])
def test_zeros_in_the_place_of_lines_of_a_text_header_are_refused(tmp_path, name, lost):
    path, _ = packed_volume(tmp_path, name)
    content = path.read_bytes()
    place = content.index(lost)
    path.write_bytes(content[: place - 2] + bytes(20) + content[place + 18 :])
    with pytest.raises(SubjectError, match=r"damaged: its header has bytes of zero"):
        read_scan(path, 3)


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("cut", [1, 4, 8, 200])
def test_what_is_packed_and_cut_off_is_refused(tmp_path, name, cut):
    path, _ = packed_volume(tmp_path, name)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(SubjectError, match="is cut off"):
        read_scan(path, 3)


@pytest.mark.parametrize("name", PACKED)
def test_what_follows_on_what_is_packed_is_refused(tmp_path, name):
    path, _ = packed_volume(tmp_path, name)
    path.write_bytes(path.read_bytes() + b"something else that was written here")
    with pytest.raises(SubjectError, match="something else"):
        read_scan(path, 3)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.hdr", "a.mgh", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_header_that_claims_a_row_less_is_refused(tmp_path, name, axis):
    path = tmp_path / name
    short = list(VOLUME.shape[::-1])
    short[axis] -= 1
    if name.endswith((".mha", ".nrrd")):
        sitk.WriteImage(sitk.GetImageFromArray(VOLUME), path)
        said, claimed = (" ".join(map(str, size)).encode() for size in (VOLUME.shape[::-1], short))
        path.write_bytes(path.read_bytes().replace(said, claimed, 1))
    else:
        is_mgh = name == "a.mgh"
        save(path, VOLUME.T, kind=nib.MGHImage if is_mgh else nib.Nifti1Image)
        if name == "a.hdr":
            nib.save(nib.Nifti1Pair(VOLUME.T, IN_MM), path)
        pack = gzip.compress if name.endswith(".gz") else bytes
        unpack = gzip.decompress if name.endswith(".gz") else bytes
        content = bytearray(unpack(path.read_bytes()))
        order, place = (">3i", 4) if is_mgh else ("<3h", 42)
        struct.pack_into(order, content, place, *short)
        path.write_bytes(pack(content))
    with pytest.raises(SubjectError, match="more voxels than its header claims"):
        read_scan(path, 3)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mgz"])
def test_a_header_that_claims_the_world_is_refused_before_room_is_made(tmp_path, name):
    path, _ = packed_volume(tmp_path, name)
    content = bytearray(gzip.decompress(path.read_bytes()))
    order, place, length = (">3i", 4, 2500) if name == "a.mgz" else ("<3h", 42, 2500)
    struct.pack_into(order, content, place, *[length] * 3)
    path.write_bytes(gzip.compress(content[:2000]))
    with pytest.raises(SubjectError, match=r"is cut off|more than"):
        read_scan(path, 3)


def test_zlib_and_gzip_are_told_by_their_checks(tmp_path):
    path, begins = packed_volume(tmp_path, "a.mha")
    content = path.read_bytes()
    body = bytearray(zlib.compress(VOLUME.tobytes(), 0))
    body[600] ^= 1  # in a stored block: nothing but the checksum tells
    path.write_bytes(content[:begins] + body)
    with pytest.raises(SubjectError, match="damaged"):
        read_scan(path, 3)


@pytest.mark.parametrize("asked", ["x.nii", "x.nii.gz", "x.hdr", "x.img", "X.NII", "X.nii.gz"])
def test_the_file_that_is_named_is_read(tmp_path, asked):
    names = ["x.nii", "x.nii.gz", "X.NII", "X.nii.gz"]
    for number, name in enumerate(names):
        image = nib.Nifti1Image(np.full((3, 4, 5), number, np.int16), IN_MM)
        content = image.to_bytes()
        packed = gzip.compress(content) if name.endswith("gz") else content
        (tmp_path / name).write_bytes(packed)
    nib.save(nib.Nifti1Pair(np.full((3, 4, 5), 9, np.int16), IN_MM), tmp_path / "x.hdr")
    expected = names.index(asked) if asked in names else 9
    assert np.unique(read_scan(tmp_path / asked, 3).voxels) == [expected]


@pytest.mark.parametrize("zipped", [(".hdr", ".img"), (".img",), (".hdr",)])
def test_either_half_of_a_pair_may_be_zipped(tmp_path, zipped):
    nib.save(nib.Nifti1Pair(HEAD, IN_MM), tmp_path / "x.hdr")
    expected = read_scan(tmp_path / "x.hdr", 3)
    for suffix in zipped:
        path = tmp_path / f"x{suffix}"
        (tmp_path / f"x{suffix}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for path in tmp_path.iterdir():
        found = read_scan(path, 3)
        np.testing.assert_array_equal(found.voxels, expected.voxels)
        assert (found.spacing, found.orientation) == (expected.spacing, expected.orientation)


def test_nifti_2_and_names_in_any_case(tmp_path):
    nib.save(nib.Nifti2Image(HEAD, IN_MM), tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(HEAD, IN_MM), tmp_path / "b.nii")
    (tmp_path / "b.nii").rename(tmp_path / "b.Nii")
    expected = read_scan(save(tmp_path / "c.nii"), 3)
    for name in ("a.nii.gz", "b.Nii"):
        found = read_scan(tmp_path / name, 3)
        np.testing.assert_array_equal(found.voxels, expected.voxels)
        assert (found.spacing, found.orientation) == (expected.spacing, expected.orientation)


def bare(voxels, steps=(1, 1, 1)):
    """NIfTI without a code of qform or sform."""
    image = nib.Nifti1Image(voxels, None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    content = bytearray(image.to_bytes())
    content[80:92] = np.array(steps, "<f4").tobytes()
    return bytes(content)


def test_without_codes_every_way_to_read_has_the_same_orientation(tmp_path):
    (tmp_path / "one.nii").write_bytes(bare(HEAD))
    (tmp_path / "two.nii").write_bytes(bare(np.stack([HEAD, HEAD // 2], -1)))
    one, two = read_volume(tmp_path / "one.nii"), read_volume(tmp_path / "two.nii", 0)
    np.testing.assert_array_equal(one.voxels, two.voxels)
    np.testing.assert_array_equal(one.directions, two.directions)
    np.testing.assert_array_equal(one.directions, np.eye(3))


def test_spacing_is_positive_and_its_sign_a_direction(tmp_path):
    (tmp_path / "a.nii").write_bytes(bare(HEAD, (1, 2, -3)))
    volume = read_volume(tmp_path / "a.nii")
    assert volume.spacing == (1, 2, 3)
    np.testing.assert_array_equal(volume.directions, np.diag([1, 1, -1]))


def test_a_slope_of_zero_is_none(tmp_path):
    labels = np.abs(HEAD) % 2
    image = nib.Nifti1Image(labels, IN_MM)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([0, 5], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    assert {*np.unique(read_label_values(tmp_path / "a.nii", 3)).tolist()} == {0, 1}


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
def test_what_nifti_left_in_other_headers_means_nothing(tmp_path, suffix):
    image = sitk.GetImageFromArray(VOLUME.astype(np.float32))
    for key, said in {"bitpix": "32", "datatype": "16", "vox_offset": "352"}.items():
        image.SetMetaData(key, said)
    sitk.WriteImage(image, tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_scan(tmp_path / f"a.{suffix}", 3).voxels, VOLUME)


HEADERS = {
    "a.mhd": "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\n"
    "ElementDataFile = {}\n",
    "a.mha": "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\n"
    "ElementDataFile = {}\n",
    "a.nhdr": "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: {}\n\n",
    "a.nrrd": "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: {}\n\n",
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("{outside}/secret.raw", "outside its own folder"),
        ("../outside/secret.raw", "outside its own folder"),
        ("below/../../outside/secret.raw", "outside its own folder"),
        ("link.raw", "outside its own folder"),
        ("C:\\secret.raw", "outside its own folder"),
        ("LIST", "in several files"),
        ("part%03d.raw 1 4 1", "in several files"),
        ("missing.raw", "is not there"),
        ("", "does not name|no ElementDataFile"),
    ],
)
def test_voxels_of_elsewhere_are_refused(tmp_path, name, where, told):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside / "below", outside):
        folder.mkdir(parents=True)
    (outside / "secret.raw").write_bytes(bytes(range(64)))
    (inside / "link.raw").symlink_to(outside / "secret.raw")
    (inside / name).write_text(HEADERS[name].format(where.format(outside=outside)))
    with pytest.raises(SubjectError, match=told):
        read_scan(inside / name, 3)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("where", ["a.raw", "below/a.raw"])
def test_voxels_beside_their_header_are_read(tmp_path, name, where):
    (tmp_path / "below").mkdir()
    (tmp_path / where).write_bytes(bytes(range(64)))
    (tmp_path / name).write_text(HEADERS[name].format(where))
    np.testing.assert_array_equal(read_volume(tmp_path / name).voxels.ravel(), np.arange(64))


def test_the_other_half_of_nifti_lies_beside_it(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside").mkdir()
    nib.save(nib.Nifti1Pair(HEAD, IN_MM), tmp_path / "outside/a.hdr")
    (tmp_path / "inside/a.hdr").write_bytes((tmp_path / "outside/a.hdr").read_bytes())
    (tmp_path / "inside/a.img").symlink_to(tmp_path / "outside/a.img")
    with pytest.raises(SubjectError, match=r"outside its own folder"):
        read_scan(tmp_path / "inside/a.hdr", 3)


def test_layers_of_slicer_are_named(tmp_path):
    head = (
        "NRRD0004\ntype: uchar\ndimension: 4\nsizes: 2 4 4 4\nencoding: raw\n"
        "kinds: list domain domain domain\nspace: left-posterior-superior\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
        "Segment0_Name:=liver\nSegment1_Name:=tumour\n\n"
    )
    (tmp_path / "a.seg.nrrd").write_bytes(head.encode() + bytes(128))
    with pytest.raises(SubjectError, match=r"Slicer whose segments \(liver, tumour\)"):
        read_label_values(tmp_path / "a.seg.nrrd", 3)


@pytest.mark.parametrize(("slope", "intercept"), [(3e38, 0), (-1e36, 5)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_scale_that_makes_values_infinite_is_refused(tmp_path, kind, slope, intercept):
    path = tmp_path / "a.nii"
    nib.save(kind(VOLUME.T, np.eye(4)), path)
    content = bytearray(path.read_bytes())
    place, form = (112, "<2f") if kind is nib.Nifti1Image else (176, "<2d")
    struct.pack_into(form, content, place, slope, intercept)
    path.write_bytes(content)
    with pytest.raises(SubjectError, match="too large to be any") as refused:
        read_volume(path)
    assert refused.value.file == "a.nii"
