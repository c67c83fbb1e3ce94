"""Pictures: whole, upright and as they are written, or refused by what they are."""

import base64
import gzip
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from megamedical.errors import SubjectError
from megamedical.reading.images import read_label_values, read_scan

RNG = np.random.default_rng(0)
GREYS = RNG.integers(0, 256, (40, 30)).astype(np.uint8)
SMOOTH = np.add.outer(np.arange(40) * 3, np.arange(30) * 4).astype(np.uint8)


def refusal_of(path, read=read_scan):
    with pytest.raises(SubjectError) as refused:
        read(path, 2)
    assert refused.value.file in ("", path.name)
    return refused.value.reason


def tiff(path, pixels, photometric=1, sample_format=1):
    """A TIFF as no library would write it for us."""
    height, width = pixels.shape
    content = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    tags = [
        (256, width), (257, height), (258, 8 * pixels.itemsize), (259, 1), (262, photometric),
        (273, 8), (277, 1), (278, height), (279, len(content)), (339, sample_format),
    ]  # fmt: skip
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + packed + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(content)) + content + directory)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_a_picture_stands_as_viewers_show_it(tmp_path, name, orientation):
    turns = {
        1: lambda x: x,
        2: np.fliplr,
        3: lambda x: np.rot90(x, 2),
        4: np.flipud,
        5: lambda x: x.T,
        6: lambda x: np.rot90(x, -1),
        7: lambda x: np.rot90(x, 2).T,
        8: lambda x: np.rot90(x, 1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    more = {"tiffinfo": {274: orientation}} if name == "a.tif" else {"exif": exif.tobytes()}
    if name == "a.webp":
        more["lossless"] = True
    Image.fromarray(SMOOTH).save(tmp_path / name, quality=98, **more)
    shown = read_scan(tmp_path / name, 2).voxels
    assert shown.shape == turns[orientation](SMOOTH).shape
    assert np.abs(shown - turns[orientation](SMOOTH).astype(float)).max() < 8
    if name in ("a.png", "a.tif"):
        labels = read_label_values(tmp_path / name, 2)
        np.testing.assert_array_equal(labels, turns[orientation](SMOOTH))


@pytest.mark.parametrize(
    ("pixels", "photometric", "sample_format", "meant"),
    [
        ((GREYS.astype(int) - 128).astype(np.int8), 1, 2, GREYS.astype(int) - 128),
        (65535 - GREYS.astype(np.uint16) * 200, 0, 1, GREYS.astype(int) * 200),
        (255 - GREYS, 0, 1, GREYS),
        (GREYS.astype(np.uint16) * 257, 1, 1, GREYS.astype(int) * 257),
        ((GREYS.astype(int) * 99 - 9999).astype(np.int16), 1, 2, GREYS.astype(int) * 99 - 9999),
        (GREYS.astype(np.uint32) * 2**24, 1, 1, GREYS.astype(np.int64) * 2**24),
        (GREYS / np.float32(7), 1, 3, GREYS / np.float32(7)),
        (GREYS / 8, 1, 3, GREYS / 8),
    ],
    ids=["int8", "white-is-0-16", "white-is-0-8", "uint16", "int16", "uint32", "float", "double"],
)
def test_tiff_is_read_as_it_is_written(tmp_path, pixels, photometric, sample_format, meant):
    path = tiff(tmp_path / "a.tif", np.asarray(pixels), photometric, sample_format)
    np.testing.assert_array_equal(read_scan(path, 2).voxels, meant)


def test_values_are_in_the_unit_of_imagej(tmp_path):
    """It keeps what has a sign in 16 bits without, and says so in a note."""
    meant = GREYS.astype(np.int32) * 100 - 1024
    for slope, offset, stored in (("1.0", -32768, meant + 32768), ("0.5", -100, GREYS)):
        note = f"ImageJ=1.54f\nunit=mm\ncf=0\nc0={offset}.0\nc1={slope}\nvunit=HU\n"
        kept = stored.astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", kept, description=note, metadata=None)
        found = read_scan(tmp_path / "a.tif", 2).voxels
        np.testing.assert_array_equal(found, stored * float(slope) + offset)


@pytest.mark.parametrize("packing", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "big"])
def test_packed_tiff(tmp_path, packing):
    said = {"big_tiff": True} if packing == "big" else {"compression": packing}
    Image.fromarray(GREYS).save(tmp_path / "a.tif", **said)
    np.testing.assert_array_equal(read_scan(tmp_path / "a.tif", 2).voxels, GREYS)


def test_of_a_camera_s_two_pictures_the_first_is_meant(tmp_path):
    first, second = Image.fromarray(SMOOTH), Image.fromarray(GREYS)
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second], quality=98)
    assert np.abs(read_scan(tmp_path / "a.jpg", 2).voxels - SMOOTH.astype(float)).max() < 8


# Streams of JPEG 2000, 32 x 32 of 12 bits, which Pillow cannot write.
DEEP = (
    "|4;u>04V?f0000W0000W00000000000000W0000W0000000000009dD0sm3}3;+NC0RROA1ONg5TmTb5U}$J?XlQ"
    "U~XmDs~aA;_7|6~9q00BdCWnpw>WFTUBAWv{*Zc0!^M<8}(a&u{KZXhx)H7+v$kN^q*00000=l}u#lgI1?2rSR=2"
    "Or23e}FIpAb$qU2%SH}_6LvT9tY+O1mUYA`SVu{sKQIjbJYPn30cA4$MPK?$b28LND%tv%AA}N9`gtdID=0cyZZ>"
    "e-48%fw$hemZ@&!5GErp%?&L+s@+}|8ydSVw7b^f%@!_rW4zr`KVSz^k*i`r_oxdL6^3zkGz7~TzjFTQ#6VvNCKI"
    "(;~e;S&(F|D^4{{IJm$MP#5$fO^zC?Re)pyjT+Sn1V+XC(_=AJyj+2tRu=M~2MZnUVI$=)gP7B&Sj^Qh#>w&DMwi"
    "*#"
)
SIGNED = (
    "|4;u>04V?f0000W0000W00000000000000W0000W000000000000D~u0sm3}3;+NC0RROA1ONg5TmTb5U}$J?XlQ"
    "U~XmDs~aA;_7|6~9q00BdCWnpw>WFTUBAWv{*Zc0!^M<8}(a&u{KZXhx)H7+v$kN^q*00000W&i>Ilfn1_00gg~e"
    "gHrKGo$$j01G|)$5_X|p!~x?3CEEG7&D#U$$-VbAEEmT06ScMWcG5zT@pjse6c73gFetI=}J$a{KSBZ_k>$tJHP+"
    "{FcxoAR|{l5fB)G"
)
COLOURS = (
    "|4;u>051Rl0000W0000W00000000000000W0000W000000000000RpF0Sf^E3jqQDQUDA9000321q1{D0smY86F^"
    "{SXmDs~aA;_7XlQU~XmI~z03`qcLvm$dbY)~9VtF7>aAj^vP(?=|c4cyNX>V>IGA=bPGXIbO3IG5A001Na0soW7>"
    ";wQufPjF2fPjF2fPjF2fPjF2fdAP"
)


def jpeg2000(path, packed):
    path.write_bytes(base64.b85decode("".join(packed)))
    return path


def test_grey_values_of_jpeg_2000_are_not_moved_up(tmp_path):
    meant = np.zeros((32, 32), int)
    meant[:16] = 3000
    meant[:, :8] = 17
    path = jpeg2000(tmp_path / "a.jp2", DEEP)
    np.testing.assert_array_equal(read_label_values(path, 2), meant)
    signed = np.zeros((32, 32), int)
    signed[:16], signed[20:] = -7, 1000
    found = read_scan(jpeg2000(tmp_path / "b.jp2", SIGNED), 2).voxels
    np.testing.assert_array_equal(found, signed)


def test_deep_colours_of_any_format_are_refused(tmp_path):
    said = "has colours of {} bits: save it in grey"
    assert said.format(12) in refusal_of(jpeg2000(tmp_path / "a.jp2", COLOURS))
    (tmp_path / "a.ppm").write_bytes(b"P6\n3 2\n65535\n" + bytes(range(36)))
    assert said.format(16) in refusal_of(tmp_path / "a.ppm")
    deep = GREYS.astype(np.uint16) * 200
    tifffile.imwrite(
        tmp_path / "planes.tif", np.stack([deep] * 3), photometric="rgb", planarconfig="separate"
    )
    assert said.format(16) in refusal_of(tmp_path / "planes.tif")


@pytest.mark.parametrize("most", [1, 3, 100, 255, 1000, 65535])
@pytest.mark.parametrize("is_text", [True, False])
def test_netpbm_is_read_as_it_is_written(tmp_path, most, is_text):
    values = np.arange(600).reshape(20, 30) % (most + 1)
    content = values.astype("u1" if most < 256 else ">u2").tobytes()
    if is_text:
        content = " ".join(map(str, values.ravel())).encode()
    (tmp_path / "a.pgm").write_bytes(f"P{2 if is_text else 5}\n30 20\n{most}\n".encode() + content)
    for read in (lambda path: read_scan(path, 2).voxels, lambda path: read_label_values(path, 2)):
        np.testing.assert_array_equal(read(tmp_path / "a.pgm"), values)


@pytest.mark.parametrize("bits", [2, 4])
def test_labels_of_few_bits_are_not_stretched(tmp_path, bits):
    labels = GREYS % (1 << bits)
    each = np.unpackbits(labels[..., None], axis=-1)[..., -bits:].reshape(len(labels), -1)
    width = labels.shape[1]
    path = tiff(tmp_path / "a.tif", np.packbits(each, axis=1), 1, 1)
    content = path.read_bytes()
    for tag, was, meant in ((256, -(-width * bits // 8), width), (258, 8, bits)):
        entry = struct.pack("<HHII", tag, 4, 1, was)
        assert entry in content
        content = content.replace(entry, struct.pack("<HHII", tag, 4, 1, meant))
    path.write_bytes(content)
    np.testing.assert_array_equal(read_label_values(tmp_path / "a.tif", 2), labels)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "a video"),
        (b"\xff\x0a\x01\x02", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"%PDF-1.7", "PDF"),
        (b"\n<!DOCTYPE html><html>", "a web page, or a drawing in text"),
    ],
)
def test_what_is_known_and_not_read_is_called_by_its_name(tmp_path, start, kind):
    (tmp_path / "a.png").write_bytes(start + bytes(99))
    assert f"is {kind}, which is not read here: save it as PNG" in refusal_of(tmp_path / "a.png")


def test_a_format_under_another_name_or_zipped_is_called_by_its_own(tmp_path):
    np.save(tmp_path / "a.npy", GREYS)
    (tmp_path / "b.nrrd.gz").write_bytes(gzip.compress(b"NRRD0004\ntype: uchar\n"))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.npy").read_bytes())
    for name, kind in (("a.png", r"an array of NumPy (.npy)"), ("b.nrrd.gz", "NRRD (.nrrd)")):
        assert f"is {kind} under another name, or zipped" in refusal_of(tmp_path / name)


def test_a_tiff_that_cannot_be_read_is_called_one(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREYS.astype(np.uint64))
    assert "a TIFF whose values or colours are of a kind" in refusal_of(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colours_of_16_bits_are_refused_not_rounded(tmp_path, suffix):
    import SimpleITK as sitk

    deep = RNG.integers(0, 4096, (5, 6, 3)).astype(np.uint16)
    path = tmp_path / f"a.{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(deep, isVector=True), str(path))
    for read in (read_scan, read_label_values):
        assert "has colours of 16 bits: save it in grey" in refusal_of(path, read)


def test_a_changed_byte_of_png_is_refused(tmp_path):
    Image.fromarray(GREYS).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    for place in range(8, len(whole), 7):
        changed = bytearray(whole)
        changed[place] ^= 0x40
        (tmp_path / "a.png").write_bytes(changed)
        assert refusal_of(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tif"])
@pytest.mark.parametrize("lost", [3, 40, 300])
def test_a_picture_that_was_cut_off_is_refused(tmp_path, name, lost):
    Image.fromarray(GREYS).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for cut in (whole[:-lost], whole[:-lost] + bytes(lost)):
        if name in ("a.bmp", "a.tif") and len(cut) == len(whole):
            continue  # no checksum: the bytes may be black
        (tmp_path / name).write_bytes(cut)
        assert refusal_of(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "place", "order"), [("a.gif", 6, "<HH"), ("a.bmp", 18, "<II"), ("a.tif", 0, "")]
)
def test_a_small_file_that_claims_a_large_picture_is_refused(tmp_path, name, place, order):
    Image.fromarray(GREYS).save(tmp_path / name)
    if name == "a.tif":
        tiff(tmp_path / name, np.broadcast_to(GREYS[:1, :1], (1, 1)))
    content = bytearray((tmp_path / name).read_bytes())
    if name == "a.tif":
        for tag in (256, 257):
            at = content.index(struct.pack("<HHI", tag, 4, 1)) + 8
            content[at : at + 4] = struct.pack("<I", 65000)
    else:
        content[place : place + struct.calcsize(order)] = struct.pack(order, 65000, 65000)
    (tmp_path / name).write_bytes(content)
    assert "pixels" in refusal_of(tmp_path / name)


def test_a_png_larger_than_a_picture_is_refused(tmp_path):
    Image.fromarray(np.zeros((13_000, 11_000), bool)).save(tmp_path / "a.png")
    assert "more than the 134,217,728 that a picture may have" in refusal_of(tmp_path / "a.png")


def test_zipped_pictures_are_checked(tmp_path):
    Image.fromarray(GREYS).save(tmp_path / "a.pgm")
    zipped = bytearray(gzip.compress((tmp_path / "a.pgm").read_bytes()))
    zipped[-6] ^= 1
    (tmp_path / "A.PGM.GZ").write_bytes(zipped)
    assert "CRC" in refusal_of(tmp_path / "A.PGM.GZ")


def test_what_pillow_would_start_a_program_for_is_no_picture(tmp_path):
    Image.fromarray(GREYS).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    assert "nothing that can be read" in refusal_of(tmp_path / "a.png")


def test_bmp_that_pillow_misreads_is_refused(tmp_path):
    image = Image.fromarray((GREYS > 99).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "a.bmp")
    assert "fewer greys than its depth" in refusal_of(tmp_path / "a.bmp")


def with_tag(path, number, value):
    """A little-endian TIFF in which the first value of a tag is another one."""
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[4:8], "little")
    for place in range(first + 2, first + 2 + 12 * content[first], 12):
        if int.from_bytes(content[place : place + 2], "little") == number:
            content[place + 8 : place + 10] = value.to_bytes(2, "little")
    path.write_bytes(content)


@pytest.mark.parametrize("compression", [None, "packbits", "tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize(("tag", "value"), [(257, 81), (258, 8)])
def test_a_tiff_of_fewer_or_shorter_strips_than_it_claims_is_refused(
    tmp_path, compression, tag, value
):
    path = tmp_path / "a.tif"
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50)).astype(np.uint16)
    Image.fromarray(deep).save(path, compression=compression)
    np.testing.assert_array_equal(read_label_values(path, 2), deep)
    with_tag(path, 278, 40)
    with_tag(path, tag, value)
    if compression in (None, "packbits") or tag == 257:
        with pytest.raises(SubjectError) as refused:
            read_label_values(path, 2)
        assert refused.value.file == "a.tif"


@pytest.mark.parametrize("head", [b"\x00", b"\x81", b"\x7f"])
def test_packbits_of_another_length_are_refused(tmp_path, head):
    path = tmp_path / "a.tif"
    pixels = np.repeat(np.arange(40, dtype=np.uint8), 50).reshape(40, 50)
    Image.fromarray(pixels).save(path, compression="packbits")
    with Image.open(path) as picture:
        begin = picture.tag_v2[273][0]
    content = bytearray(path.read_bytes())
    content[begin : begin + 1] = head
    path.write_bytes(content)
    with pytest.raises(SubjectError, match="another length"):
        read_label_values(path, 2)


def hurt(whole, places, bit=0x55):
    """A file again and again, each time with one byte changed."""
    for place in places:
        content = bytearray(whole)
        content[place] ^= bit
        yield bytes(content)


def jpeg(path, **options):
    pixels = np.add.outer(np.arange(160) * 3, np.arange(120) * 4)
    noise = np.random.default_rng(3).normal(size=(160, 120)) * 9
    pixels = (pixels % 200 + 20 + noise).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90, **options)
    return path


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["sequential", "progressive"])
def test_of_a_damaged_jpeg_nothing_is_made_up(tmp_path, options):
    """What libjpeg fills up, or goes on after, is refused; the rest another decoder finds too."""
    import simplejpeg

    path = jpeg(tmp_path / "a.jpg", **options)
    whole = path.read_bytes()
    shown = read_scan(path, 2).voxels
    np.testing.assert_array_equal(shown, simplejpeg.decode_jpeg(whole, "GRAY")[..., 0])
    refused = 0
    for content in hurt(whole, range(700, len(whole) - 2, 211)):
        path.write_bytes(content)
        try:
            values = read_scan(path, 2).voxels
        except SubjectError as error:
            assert error.file == "a.jpg"
            refused += 1
        else:
            np.testing.assert_array_equal(values, simplejpeg.decode_jpeg(content, "GRAY")[..., 0])
    assert refused > 10


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
def test_a_jpeg_that_ends_too_early_is_refused(tmp_path, end):
    path = jpeg(tmp_path / "a.jpg")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + end)
    assert "is damaged or cut off" in refusal_of(path) or not end


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_sound_jpeg_of_any_colours_is_read(tmp_path, mode):
    picture = Image.fromarray(SMOOTH).convert(mode)
    picture.save(tmp_path / "a.jpg", quality=95)
    assert read_scan(tmp_path / "a.jpg", 2).voxels.shape == SMOOTH.shape


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_in_a_tiff_is_looked_at_too(tmp_path, mode):
    pixels = np.random.default_rng(3).integers(0, 256, (64, 48)).astype(np.uint8)
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).convert(mode).save(path, compression="jpeg")
    assert read_scan(path, 2).voxels.shape == pixels.shape
    with Image.open(path) as picture:
        begin, length = picture.tag_v2[273][0], picture.tag_v2[279][0]
    content = bytearray(path.read_bytes())
    content[begin + length // 2 : begin + length - 2] = bytes(length - 2 - length // 2)
    path.write_bytes(content)
    assert "is damaged or cut off" in refusal_of(path)


def test_what_zlib_packed_in_a_tiff_has_a_checksum(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(GREYS).save(path, compression="tiff_adobe_deflate")
    with Image.open(path) as picture:
        begin, length = picture.tag_v2[273][0], picture.tag_v2[279][0]
    whole = path.read_bytes()
    for content in hurt(whole, [*range(begin, begin + length, 97), begin + length - 1]):
        path.write_bytes(content)
        assert refusal_of(path)


def entry_changed(path, number, **changes):
    """A little-endian TIFF of which the entry of one tag has another tag, type, count or value."""
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[4:8], "little")
    for place in range(first + 2, first + 2 + 12 * content[first], 12):
        entry = dict(
            zip(
                ("tag", "kind", "count", "value"),
                struct.unpack_from("<HHII", content, place),
                strict=True,
            )
        )
        if entry["tag"] == number:
            struct.pack_into("<HHII", content, place, *{**entry, **changes}.values())
    path.write_bytes(content)


@pytest.mark.filterwarnings("ignore:Tag data larger than file")
@pytest.mark.parametrize(
    ("tag", "changes", "reason"),
    [
        (262, {"tag": 261}, "no photometric interpretation"),
        (262, {"count": 1 << 15}, "no photometric interpretation"),
        (262, {"kind": 99}, "no photometric interpretation"),
        (339, {"kind": 99}, "tag 339 cannot be read"),
        (339, {"count": 1 << 15}, "tag 339 cannot be read"),
        (339, {"tag": 40}, "tag 40 follows on"),
        (284, {"value": 9}, "tag 284 is 9"),
        (284, {"tag": 278}, "tag 278 2 times"),
        (284, {"kind": 5}, "tag 284 cannot be read"),
    ],
)
def test_a_tag_that_cannot_be_read_is_not_left_out(tmp_path, tag, changes, reason):
    path = tmp_path / "a.tif"
    is_signed = tag == 339
    pixels = GREYS.astype(np.uint16) if is_signed else GREYS
    Image.fromarray(pixels).save(path, tiffinfo={339: 2} if is_signed else {})
    assert read_scan(path, 2).voxels.dtype.kind == ("i" if is_signed else "u")
    entry_changed(path, tag, **changes)
    assert reason in refusal_of(path)
