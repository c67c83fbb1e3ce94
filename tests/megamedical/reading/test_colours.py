"""What the pixels of pictures mean: colours whatever they are stored as, and what alpha hides."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.file_parts import count_pictures, read_picture_part
from megamedical.reading.images import read_label_values, read_scan

LABELS = np.random.default_rng(0).integers(0, 4, (12, 17)).astype(np.uint8)
COLOURS = np.array([[200, 10, 30], [10, 200, 90], [20, 40, 250], [90, 70, 0]], np.uint8)
PAINTED = COLOURS[LABELS]


def indexed(labels=LABELS):
    picture = Image.fromarray(labels, "P")
    picture.putpalette(COLOURS.tobytes())
    return picture


def refusal_of(path, read=read_label_values):
    with pytest.raises(SubjectError) as refused:
        read(path, 2)
    return refused.value.reason


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.gif"])
@pytest.mark.parametrize("channel", [0, 1, 2, "any"])
def test_a_channel_of_a_palette_is_that_of_its_colours(tmp_path, name, channel):
    indexed().save(tmp_path / name)
    found = read_picture_part(tmp_path / name, Part(channel=channel))
    meant = PAINTED.max(axis=-1) if channel == "any" else PAINTED[..., channel]
    np.testing.assert_array_equal(found, meant)


@pytest.mark.parametrize("name", ["a.tif", "a.gif"])
def test_frames_of_a_palette_are_grey_like_pictures_of_one(tmp_path, name):
    others = [indexed(np.roll(LABELS, n, axis=1)) for n in (1, 2)]
    indexed().save(tmp_path / name, save_all=True, append_images=others)
    for frame in range(3):
        found = read_picture_part(tmp_path / name, Part(frame=frame))
        shown = Image.fromarray(np.roll(PAINTED, frame, axis=1))
        np.testing.assert_allclose(found, np.asarray(shown.convert("F")), atol=1e-3)
    labels = read_picture_part(tmp_path / name, Part(frame=0, is_label=True))
    np.testing.assert_array_equal(labels, LABELS)


def test_a_part_of_several_pictures_is_not_the_first(tmp_path):
    indexed().save(tmp_path / "a.tif", save_all=True, append_images=[indexed()])
    with pytest.raises(SubjectError, match="holds 2 pictures, not one"):
        read_picture_part(tmp_path / "a.tif", Part(channel=1))


def test_ink_is_no_light(tmp_path):
    """Of CMYK, what is most ink is darkest."""
    ink = np.zeros((12, 17, 4), np.uint8)
    ink[..., :3] = (LABELS != 2)[..., None] * 255
    path = tmp_path / "a.tif"
    Image.fromarray(ink, "CMYK").save(path)
    meant = (LABELS == 2) * 255
    np.testing.assert_array_equal(read_label_values(path, 2), meant)
    for channel in (0, 2, "any"):
        np.testing.assert_array_equal(read_picture_part(path, Part(channel=channel)), meant)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_labels_that_are_hidden_are_refused(tmp_path, mode):
    """Some tools draw a mask in the alpha of a picture that is white all over."""
    alpha = np.where(LABELS > 1, 255, 0).astype(np.uint8)
    white = np.full_like(alpha, 255)
    path = tmp_path / "a.png"
    Image.fromarray(np.dstack([white] * (len(mode) - 1) + [alpha]), mode).save(path)
    assert "hides pixels that have a value" in refusal_of(path)
    found = read_picture_part(path, Part(channel=len(mode) - 1))
    np.testing.assert_array_equal(found, alpha)
    shown = np.where(LABELS > 1, LABELS, 0).astype(np.uint8)
    Image.fromarray(np.dstack([shown] * (len(mode) - 1) + [alpha]), mode).save(path)
    np.testing.assert_array_equal(read_label_values(path, 2), shown)


def test_two_values_a_pixel_are_not_one(tmp_path):
    path = tmp_path / "a.tif"
    both = np.stack([LABELS, 255 - LABELS], axis=-1)
    tifffile.imwrite(path, both, photometric="minisblack", planarconfig="contig")
    for read in (read_scan, read_label_values):
        assert "has two values a pixel" in refusal_of(path, read)


@pytest.mark.parametrize("more", [{"imagej": True}, {"photometric": "minisblack"}])
def test_a_stack_that_is_not_listed_is_no_picture(tmp_path, more):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([LABELS.astype(np.uint16)] * 5), truncate=True, **more)
    assert "holds a stack of pictures, of which it lists 1" in refusal_of(path)
    with pytest.raises(SubjectError, match="of which it lists 1"):
        count_pictures(path)
    tifffile.imwrite(path, np.stack([LABELS.astype(np.uint16)] * 5), **more)
    assert count_pictures(path) == 5


def test_white_at_zero_of_numbers_below_it_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.float32), photometric="miniswhite")
    assert "has white at zero" in refusal_of(tmp_path / "a.tif", read_scan)
