"""Which files of a folder are taken for images, which for their masks."""

import zlib

import numpy as np
import pytest
from PIL import Image

from megamedical.errors import SubjectError
from universeg.prediction.examples import Pair, find_pairs, read_example, scans_in
from universeg.prediction.inputs import inputs_at
from universeg.tuning.support import SupportError


def touch(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(pairing):
    return {(pair.image.path.name, pair.mask.path.name) for pair in pairing.pairs}


@pytest.mark.parametrize(
    ("files", "pairs", "how"),
    [
        (
            ["images/a.png", "images/b.jpg", "masks/a.png", "masks/b.png"],
            {("a.png", "a.png"), ("b.jpg", "b.png")},
            "images/x with masks/x",
        ),
        (
            ["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "dataset.json"],
            {("a_0000.nii.gz", "a.nii.gz")},
            "imagesTr/x with labelsTr/x",
        ),
        (
            ["Scans/a.mha", "Segmentations/a_seg.nii.gz"],
            {("a.mha", "a_seg.nii.gz")},
            "Scans/x with Segmentations/x",
        ),
        (["a.png", "a_mask.png"], {("a.png", "a_mask.png")}, "x with x_mask"),
        (["a_img.tif", "a_gt.png"], {("a_img.tif", "a_gt.png")}, "x with x_gt"),
        (
            ["a.jpg", "a_Label.png", "b.jpg", "b-seg.png"],
            {("a.jpg", "a_Label.png"), ("b.jpg", "b-seg.png")},
            "x with x-seg or x_Label",
        ),
        (
            ["p.1.nii.gz", "p.1_seg.nii.gz", "p.2.nii.gz", "p.2_seg.nii.gz"],
            {("p.1.nii.gz", "p.1_seg.nii.gz"), ("p.2.nii.gz", "p.2_seg.nii.gz")},
            "x with x_seg",
        ),
        (["001.bmp", "001.png", "002.bmp", "002.png"],
            {("001.bmp", "001.png"), ("002.bmp", "002.png")},
            "x.bmp with x.png",
        ),
    ],
)  # fmt: skip
def test_the_usual_ways(tmp_path, files, pairs, how):
    touch(tmp_path, files)
    pairing = find_pairs(tmp_path)
    assert names(pairing) == pairs
    assert pairing.how == how
    assert pairing.unpaired == ()


def test_a_table_lists_pairs(tmp_path):
    touch(tmp_path, ["scans/a.png", "by hand/one.png", "scans/b.png"])
    table = tmp_path / "pairs.csv"
    table.write_text(
        "patient,Image,Mask\n1,scans/a.png,by hand/one.png\n2,scans/b.png,gone.png\n3,,\n"
    )
    for source in (tmp_path, table):
        pairing = find_pairs(source)
        assert names(pairing) == {("a.png", "one.png")}
        assert pairing.how == "as pairs.csv lists them"
        assert [path.name for path in pairing.unpaired] == ["b.png"]


def test_a_table_of_something_else_is_no_list_of_pairs(tmp_path):
    touch(tmp_path, ["a.png", "a_mask.png"])
    (tmp_path / "ages.csv").write_text("patient,age\n1,40\n")
    assert find_pairs(tmp_path).how == "x with x_mask"


def test_what_found_no_partner_is_told(tmp_path):
    touch(tmp_path, ["images/a.png", "images/b.png", "masks/a.png", "masks/c.png"])
    assert [path.name for path in find_pairs(tmp_path).unpaired] == ["b.png", "c.png"]


def test_of_two_masks_none_is_chosen(tmp_path):
    touch(tmp_path, ["a.png", "a_mask.png", "a_seg.png", "b.png", "b_mask.png"])
    pairing = find_pairs(tmp_path)
    assert names(pairing) == {("b.png", "b_mask.png")}
    assert {path.name for path in pairing.unpaired} == {"a.png", "a_mask.png", "a_seg.png"}


@pytest.mark.parametrize("files", [[], ["a.png", "b.png"], ["notes.txt"], ["images/a.png"]])
def test_no_pair_is_explained(tmp_path, files):
    touch(tmp_path, files)
    with pytest.raises(SupportError, match=r"could be paired(.|\n)*x_mask\.png"):
        find_pairs(tmp_path)


def test_a_missing_folder_is_explained(tmp_path):
    with pytest.raises(SupportError, match="is not there"):
        find_pairs(tmp_path / "none")
    with pytest.raises(SupportError, match="is not there"):
        scans_in(tmp_path / "none")


def test_queries_are_the_readable_files(tmp_path):
    touch(tmp_path, ["b.nii.gz", "a.PNG", ".hidden.png", "notes.txt", "sub/c.png"])
    assert [scan.path.name for scan in scans_in(tmp_path)] == ["a.PNG", "b.nii.gz"]
    assert [scan.path for scan in scans_in(tmp_path / "a.PNG")] == [tmp_path / "a.PNG"]
    assert [scan.name for scan in scans_in(tmp_path)] == ["a", "b"]
    with pytest.raises(SupportError, match="nothing to predict"):
        scans_in(_empty(tmp_path))


def silent(line):
    raise AssertionError(line)


def one(path):
    (found,) = inputs_at(path)
    return found


def _empty(folder):
    empty = folder / "empty"
    empty.mkdir()
    return empty


def save(path, array):
    Image.fromarray(array).save(path)
    return path


def test_an_example_is_read_and_checked(tmp_path):
    image = one(save(tmp_path / "a.png", np.arange(48, dtype=np.uint8).reshape(6, 8)))
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:5] = 255
    scan, values = read_example(Pair(image, one(save(tmp_path / "a_mask.png", mask))), silent)
    assert scan.voxels.shape == (6, 8)
    np.testing.assert_array_equal(values, mask)
    with pytest.raises(SubjectError, match="its mask is 5 x 8, the image 6 x 8"):
        read_example(Pair(image, one(save(tmp_path / "b_mask.png", mask[:5]))), silent)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(SubjectError, match=r"its mask broken\.png is nothing that can be read"):
        read_example(Pair(image, one(tmp_path / "broken.png")), silent)


def disc(size, radius):
    return np.hypot(*(np.indices((size, size)) - size / 2)) < radius


def cells(count):
    """Labels from 1 to a count, some of one pixel, side by side on a background."""
    rng = np.random.default_rng(0)
    middles = rng.integers(20, 180, (count, 2, 1, 1))
    nearest = ((np.indices((200, 200)) - middles) ** 2).sum(axis=1).argmin(axis=0)
    values = np.where(disc(200, 90), nearest + 1, 0).astype(np.uint8)
    values[0, :5] = rng.permutation(count)[:5] + 1
    return values


def smoothed(mask):
    return Image.fromarray(mask).resize((100, 100), Image.Resampling.BILINEAR)


def stray(mask):
    """With a few pixels of other values, as in some masks of the WBC data."""
    mask[3, 4:8] = 2, 7, 25, 44
    return mask


TWO_LEVELS = np.uint8(128) * disc(200, 80) + np.uint8(127) * disc(200, 40)
LINES = np.zeros((200, 200), np.uint8)  # as of vessels
LINES[20], LINES[:, 70] = 1, 2


@pytest.mark.parametrize("mask", [disc(200, 60) * np.uint8(255), TWO_LEVELS, cells(40), LINES])
def test_labels_are_no_shades(tmp_path, mask):
    image = one(save(tmp_path / "a.png", np.arange(200 * 200, dtype=np.uint16).reshape(200, 200)))
    pair = Pair(image, one(save(tmp_path / "a_mask.png", mask)))
    np.testing.assert_array_equal(read_example(pair, silent)[1], mask)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("mask", [disc(200, 60) * np.uint8(255), TWO_LEVELS])
def test_shades_of_jpeg_are_no_labels(tmp_path, mask, quality):
    Image.fromarray(mask).save(tmp_path / "a_mask.jpg", quality=quality)
    assert_shades(tmp_path, "a_mask.jpg")


@pytest.mark.parametrize("mask", [disc(200, 60) * np.uint8(255), TWO_LEVELS])
def test_shades_at_smooth_edges_are_no_labels(tmp_path, mask):
    smoothed(mask).save(tmp_path / "a_mask.png")
    assert_shades(tmp_path, "a_mask.png")


def test_stray_values_are_no_labels(tmp_path):
    save(tmp_path / "a_mask.png", stray(TWO_LEVELS.copy()))
    assert_shades(tmp_path, "a_mask.png")


def assert_shades(folder, name):
    """A mask is refused, but for the values that are named."""
    mask = one(folder / name)
    values, _ = mask.read_labels()
    image = np.arange(values.size, dtype=np.uint16).reshape(values.shape)
    pair = Pair(one(save(folder / "a.png", image)), mask)
    with pytest.raises(SubjectError, match="with --label") as refused:
        read_example(pair, silent)
    assert refused.value.file == "a"
    said = []
    _, named = read_example(pair, said.append, labels=(128, 255))
    np.testing.assert_array_equal(named, np.where(np.isin(values, (128, 255)), values, 0))
    assert any(line.startswith(f"Of {name}, only what --label names is seen") for line in said)


def test_colour_is_seen(tmp_path):
    grey = np.zeros((4, 4), np.uint8)
    assert one(save(tmp_path / "a.png", np.stack([grey] * 3, axis=-1))).is_colour
    assert not one(save(tmp_path / "b.png", grey)).is_colour
    assert not one(tmp_path / "c.nii.gz").is_colour
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert not one(tmp_path / "broken.png").is_colour


def test_a_picture_that_claims_to_be_huge_is_refused(tmp_path):
    path = save(tmp_path / "bomb.png", np.zeros((4, 4), np.uint8))
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    assert not one(path).is_colour
    with pytest.raises(SubjectError, match="decompression bomb"):
        one(path).read()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_a_table_may_come_from_any_spreadsheet(tmp_path, delimiter, encoding):
    touch(tmp_path, ["größe.png", "m.png"])
    rows = [["image", "mask"], ["größe.png", "m.png"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "pairs.csv").write_bytes(text.encode(encoding))
    assert names(find_pairs(tmp_path)) == {("größe.png", "m.png")}


@pytest.mark.parametrize(
    ("table", "told"),
    [(b"image,mask\na,b.png,m.png\n", "more cells than columns"), (b'image,mask\n"a,b', "end of")],
)
def test_a_damaged_table_of_pairs_is_told(tmp_path, table, told):
    (tmp_path / "pairs.csv").write_bytes(table)
    with pytest.raises(SupportError, match=told):
        find_pairs(tmp_path)
