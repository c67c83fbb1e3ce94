"""Arrays in files: no more than the file holds is read, and nothing of other files."""

import io
import zipfile

import h5py
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.file_parts import count_pictures, read_picture_part, read_run_lengths

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 30)).astype(np.uint8)


def refusal_of(path, part=Part("image")):  # noqa: B008
    with pytest.raises(SubjectError) as refused:
        read_picture_part(path, part)
    return refused.value.reason


@pytest.fixture
def secret(tmp_path):
    """A file of the user, of which no byte may get into a store."""
    folder = tmp_path / "private"
    folder.mkdir()
    with h5py.File(folder / "secret.h5", "w") as file:
        file["image"] = PICTURE
    (folder / "secret").write_bytes(PICTURE.tobytes())
    return folder


def test_nothing_is_followed_out_of_an_hdf5_file(tmp_path, secret):
    shape = PICTURE.shape
    with h5py.File(tmp_path / "a.h5", "w") as file:
        raw = [(str(secret / "secret"), 0, PICTURE.nbytes)]
        file.create_dataset("external", shape=shape, dtype="u1", external=raw)
        file["link"] = h5py.ExternalLink(str(secret / "secret.h5"), "image")
        file["group"] = h5py.ExternalLink(str(secret / "secret.h5"), "/")
        file["soft"] = h5py.SoftLink("/group/image")
        file["circle"] = h5py.SoftLink("/circle")
        layout = h5py.VirtualLayout(shape=shape, dtype="u1")
        layout[:] = h5py.VirtualSource(str(secret / "secret.h5"), "image", shape=shape)
        file.create_virtual_dataset("virtual", layout)
    for name in ("external", "link", "group/image", "soft", "virtual"):
        assert "which" in refusal_of(tmp_path / "a.h5", Part(name))
        with pytest.raises(SubjectError):
            count_pictures(tmp_path / "a.h5", name)
    assert "to itself" in refusal_of(tmp_path / "a.h5", Part("circle"))


def test_links_inside_of_a_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/image"] = PICTURE
        file["deep/relative"] = h5py.SoftLink("image")
        file["absolute"] = h5py.SoftLink("/deep/relative")
        file["hard"] = file["deep/image"]
    for name in ("deep/image", "/deep/relative", "absolute", "hard"):
        np.testing.assert_array_equal(read_picture_part(tmp_path / "a.h5", Part(name)), PICTURE)


def test_arrays_that_are_claimed_and_not_there_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        huge = file.create_dataset("huge", shape=(1 << 17, 1 << 17), dtype="u1", chunks=(64, 64))
        huge[0, 0] = 1
        file.create_dataset("image", shape=(400, 300), dtype="u1", chunks=(64, 64))
        file.create_dataset("reference", data=[file.ref], dtype=h5py.ref_dtype)
    assert "more than the" in refusal_of(tmp_path / "a.h5", Part("huge"))
    assert "holds none of it" in refusal_of(tmp_path / "a.h5")
    assert "holds no numbers" in refusal_of(tmp_path / "a.h5", Part("reference"))


def test_values_are_in_the_unit_that_their_attributes_give(tmp_path):
    """As netCDF packs them."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["packed"] = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
        file["packed"].attrs.update({"scale_factor": [0.5], "add_offset": -10, "_FillValue": 99})
    for frame in (0, 1):
        found = read_picture_part(tmp_path / "a.h5", Part("packed", frame=frame))
        np.testing.assert_array_equal(found, (frame * 12 + np.arange(12).reshape(3, 4)) / 2 - 10)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"_FillValue": np.int16(5)}, "marks 1 values of packed as missing"),
        ({"missing_value": [3, 7]}, "marks 2 values of packed as missing"),
        ({"scale_factor": 0.0}, "gives packed a scale of 0"),
        ({"add_offset": np.nan}, "an offset of nan"),
        ({"scale_factor": [1.0, 2.0]}, "size 1"),
        ({"scale_factor": "half"}, "half"),
    ],
)
def test_values_that_are_missing_or_have_no_unit_are_refused(tmp_path, said, told):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["packed"] = np.arange(12, dtype=np.int16).reshape(3, 4)
        file["packed"].attrs.update(said)
    with pytest.raises(SubjectError, match=told):
        read_picture_part(tmp_path / "a.h5", Part("packed"))


@pytest.mark.parametrize("written", [0, 1, 4, 6])
def test_pieces_that_were_never_written_are_no_zeros(tmp_path, written):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        pieces = file.create_dataset("a", (3, 8, 5), "u1", chunks=(1, 4, 5), maxshape=(9, 8, 5))
        for piece in range(written):
            pieces[piece // 2, piece % 2 * 4 : piece % 2 * 4 + 4] = 1
    if written == 6:
        assert read_picture_part(tmp_path / "a.h5", Part("a", frame=2)).all()
        return
    with pytest.raises(SubjectError, match=r"holds none of it|never written"):
        read_picture_part(tmp_path / "a.h5", Part("a", frame=0))


@pytest.mark.parametrize("lost", [1, 500])
def test_a_npy_holds_what_it_claims(tmp_path, lost):
    np.save(tmp_path / "a.npy", PICTURE)
    whole = (tmp_path / "a.npy").read_bytes()
    for content in (whole[:-lost], whole + bytes(lost), whole.replace(b"(40, 30)", b"(40, 29)")):
        (tmp_path / "a.npy").write_bytes(content)
        assert "damaged or cut off" in refusal_of(tmp_path / "a.npy", Part())


def test_a_npz_is_held_to_its_checksums_and_its_size(tmp_path):
    file = io.BytesIO()
    np.lib.format.write_array(file, PICTURE)
    whole = file.getvalue()
    for content in (whole[:-1], whole.replace(b"(40, 30)", b"(131072, 131072)".ljust(8))):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("image.npy", content)
        assert refusal_of(tmp_path / "a.npz")
    np.savez_compressed(tmp_path / "a.npz", image=PICTURE)
    packed = bytearray((tmp_path / "a.npz").read_bytes())
    packed[len(packed) // 2] ^= 4
    (tmp_path / "a.npz").write_bytes(packed)
    assert refusal_of(tmp_path / "a.npz")


def test_matlab_7_3_is_hdf5_whose_axes_are_turned(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["image"] = PICTURE.T
    content = bytearray((tmp_path / "a.mat").read_bytes())
    content[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\x02IM"
    (tmp_path / "a.mat").write_bytes(content)
    np.testing.assert_array_equal(read_picture_part(tmp_path / "a.mat", Part("image")), PICTURE)
    assert "holds no array mask" in refusal_of(tmp_path / "a.mat", Part("mask"))


def test_matlab_4_is_told_by_its_beginning(tmp_path):
    """Its values stand where newer files have their version."""
    values = np.full((40, 30), 2, np.uint8)
    values[::2] = 0
    savemat(tmp_path / "a.mat", {"image": values}, format="4")
    assert {(tmp_path / "a.mat").read_bytes()[n : n + 2] for n in (124, 125)} >= {b"\0\2"}
    np.testing.assert_array_equal(read_picture_part(tmp_path / "a.mat", Part("image")), values)


def test_variables_that_are_no_arrays_of_numbers_are_told(tmp_path):
    odd = {"struct": {"a": PICTURE}, "cell": np.array([PICTURE, "a"], dtype=object)}
    savemat(tmp_path / "a.mat", {**odd, "sparse": csc_matrix(np.eye(3)), "image": PICTURE})
    for name in (*odd, "sparse"):
        assert "is no array of numbers, but" in refusal_of(tmp_path / "a.mat", Part(name))
    assert "holds no array mask, but" in refusal_of(tmp_path / "a.mat", Part("mask"))
    np.testing.assert_array_equal(read_picture_part(tmp_path / "a.mat", Part("image")), PICTURE)


def test_run_lengths_of_more_than_a_picture_are_refused(tmp_path):
    side = 1 << 17
    (tmp_path / "a.json").write_text(
        f'{{"x": {{"liver": {{"size": [{side}, {side}], "counts": [0, {side * side}]}}}}}}'
    )
    with pytest.raises(SubjectError, match="that a picture may have"):
        read_run_lengths(tmp_path / "a.json", "x", "liver")
