"""The foreground of a mask of two values is the one label of its manifest, as 1 or as 255."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from megamedical.catalogue.group import FileGroup
from megamedical.errors import SubjectError
from megamedical.files.folders import list_files
from megamedical.reading.images import read_label_values
from megamedical.subjects.assembly import Assembly
from megamedical.subjects.foreground import as_declared, set_bit
from megamedical.subjects.matching import find_subjects

DISC = np.hypot(*np.mgrid[-9:9, -9:9]) < 5


def group(labels, decode="values", above=0.0):
    mask = {"decode": decode, "file": "{case}_m.png", "above": above}
    return FileGroup(
        modality="xray", dimension=2, subjects=1, image="{case}.jpg", mask=mask,
        labels=labels, subject="{case}", patient="{case}",
    )  # fmt: skip


@pytest.mark.parametrize("declared", [1, 255])
@pytest.mark.parametrize("written", [1, 255, 65535])
def test_one_bit_and_eight_are_one_label(declared, written):
    found = as_declared(DISC.astype(np.uint16) * np.uint16(written), group({declared: "lesion"}))
    np.testing.assert_array_equal(found == declared, DISC)
    assert set(np.unique(found)) == {0, declared}


@pytest.mark.parametrize(
    ("labels", "written"),
    [({1: "liver"}, 2), ({7: "liver"}, 255), ({1: "liver", 2: "spleen"}, 255)],
)
def test_a_manifest_that_says_otherwise_wins(labels, written):
    values = DISC.astype(np.uint8) * np.uint8(written)
    np.testing.assert_array_equal(as_declared(values, group(labels)), values)


def test_a_third_value_is_no_foreground():
    """Where 255 stands for what nobody knows, it is beside 1, or beside another label."""
    for beside in (1, 3):
        values = DISC.astype(np.uint8) * np.uint8(255)
        values[0, 0] = beside
        np.testing.assert_array_equal(as_declared(values, group({1: "lesion"})), values)


def test_an_empty_mask_stays_empty():
    assert not as_declared(np.zeros((4, 4), np.uint8), group({255: "lesion"})).any()


@pytest.mark.parametrize("above", [0, 127, 127.5, 254, 255, 40_000])
@pytest.mark.parametrize("writes", [lambda path: path, lambda path: path.with_suffix(".tif")])
def test_a_bit_that_is_set_is_above_any_threshold(tmp_path, above, writes):
    path = writes(tmp_path / "m.png")
    Image.fromarray(DISC).save(path)
    facts = group({1: "vessel"}, "threshold", above)
    np.testing.assert_array_equal(read_label_values(path, 2, set_bit(facts)) > above, DISC)
    Image.fromarray(DISC.astype(np.uint8)).save(path)
    ones = read_label_values(path, 2, set_bit(facts))
    assert ones.max() == 1, "eight bits are taken at their word"


def test_a_mask_of_one_bit_is_cut_like_its_neighbours_in_a_build(tmp_path):
    Image.fromarray((DISC * 99).astype(np.uint8)).save(tmp_path / "a.jpg")
    Image.fromarray(DISC).save(tmp_path / "a_m.png")
    facts = group({1: "vessel"}, "threshold", 127)
    (subject,), _ = find_subjects("set", "all", facts, list_files([tmp_path]))
    found = Assembly(facts, subject).label_values("{case}_m.png")
    np.testing.assert_array_equal(found > 127, DISC)


def label_values(folder, facts):
    """What a build reads of the one mask of a folder, beside an image of the size of the disc."""
    Image.fromarray((DISC * 99).astype(np.uint8)).save(folder / "a.jpg")
    (subject,), _ = find_subjects("set", "all", facts, list_files([folder]))
    return Assembly(facts, subject).label_values(facts.mask.patterns[0])


def few_bits(path, stored, bits):
    """A grey PNG of 2 or 4 bits."""

    def chunk(kind, content):
        sum_of_it = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + sum_of_it

    each = np.unpackbits(stored[..., None], axis=-1)[..., -bits:].reshape(len(stored), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(each, axis=1))
    header = struct.pack(">IIBBBBB", stored.shape[1], len(stored), bits, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


ZONES = DISC.astype(np.uint8) + np.roll(DISC, 2, 0) + np.roll(DISC, 2, 1)  # 0 to 3


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("are_shown", [True, False])
def test_of_few_bits_the_values_are_those_that_the_manifest_names(tmp_path, bits, are_shown):
    times = {2: 85, 4: 17}[bits] if are_shown else 1
    few_bits(tmp_path / "a_m.png", ZONES, bits)
    facts = group({1 * times: "outer", 2 * times: "middle", 3 * times: "inner"})
    np.testing.assert_array_equal(label_values(tmp_path, facts), ZONES.astype(int) * times)


def test_of_few_bits_whose_values_the_manifest_names_twice_none_is_guessed(tmp_path):
    few_bits(tmp_path / "a_m.png", ZONES, 4)
    facts = group({value: f"vertebra {value}" for value in range(1, 21)})
    with pytest.raises(SubjectError, match="stores 1, 2, 3 and shows 17, 34, 51: labels have"):
        label_values(tmp_path, facts)


@pytest.mark.parametrize("decode", ["values", "files", "drawn"])
@pytest.mark.parametrize(
    ("suffix", "lossy", "lossless"),
    [
        ("jpg", {"quality": 50}, None),
        ("webp", {}, {"lossless": True}),
        ("jp2", {"irreversible": True}, {}),
        ("tif", {"compression": "jpeg"}, {"compression": "tiff_lzw"}),
    ],
)
def test_what_blurs_values_keeps_no_labels(tmp_path, decode, suffix, lossy, lossless):
    file = f"{{case}}_m.{suffix}"
    mask = {"decode": decode, "files": {"lesion": file}} if decode == "files" else {}
    mask = mask or {"decode": decode, "file": file}
    image = {"image": "{case:[^_]+}.jpg"}
    facts = FileGroup.model_validate({**group({1: "lesion"}).model_dump(), **image, "mask": mask})
    disc = Image.fromarray(DISC.astype(np.uint8) * 255)
    disc.save(tmp_path / f"a_m.{suffix}", **lossy)
    with pytest.raises(SubjectError, match=r"which blurs the values of labels|is in colour"):
        label_values(tmp_path, facts)
    if lossless is not None:
        disc.save(tmp_path / f"a_m.{suffix}", **lossless)
        np.testing.assert_array_equal(label_values(tmp_path, facts) > 0, DISC)


def test_a_jpeg_may_be_cut_at_a_threshold(tmp_path):
    Image.fromarray(DISC.astype(np.uint8) * 255).save(tmp_path / "a_m.jpg", quality=95)
    mask = {"decode": "threshold", "file": "{case}_m.jpg", "above": 127}
    image = {"image": "{case:[^_]+}.jpg"}
    facts = FileGroup.model_validate({**group({1: "lesion"}).model_dump(), **image, "mask": mask})
    np.testing.assert_array_equal(label_values(tmp_path, facts) > 127, DISC)


@pytest.mark.parametrize("declared", [1, 255])
def test_smooth_edges_are_not_lost(tmp_path, declared):
    """Half of a small disc would be."""
    large = Image.fromarray(DISC.astype(np.uint8) * 255).resize((180, 180))
    smooth = large.resize(DISC.shape, Image.Resampling.BILINEAR)
    smooth.save(tmp_path / "a_m.png")
    with pytest.raises(SubjectError, match="shades of grey, as at smooth edges"):
        label_values(tmp_path, group({declared: "lesion"}))
    found = label_values(tmp_path, group({1: "lesion"}, "threshold", 127))
    np.testing.assert_array_equal(found, smooth)


def test_labels_without_a_name_are_no_shades(tmp_path):
    values = np.repeat(np.repeat(np.arange(36).reshape(6, 6), 3, 0), 3, 1).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "a_m.png")
    np.testing.assert_array_equal(label_values(tmp_path, group({7: "lesion"})), values)


def test_a_few_stray_pixels_are_no_smooth_edges(tmp_path):
    values = np.full((40, 40), 128, np.uint8)
    values[5, 5], values[9, 20], values[30, 7] = 24, 37, 50
    Image.fromarray(values).save(tmp_path / "a_m.png")
    Image.fromarray(values).save(tmp_path / "a.jpg")
    facts = group({128: "cytoplasm"})
    (subject,), _ = find_subjects("set", "all", facts, list_files([tmp_path]))
    found = Assembly(facts, subject).label_values("{case}_m.png")
    np.testing.assert_array_equal(found, values)
