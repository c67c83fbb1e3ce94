"""DICOM files that are not what their neighbours are: read for what they hold, or named."""

import struct
import zlib

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    NuclearMedicineImageStorage,
    RLELossless,
    SegmentationStorage,
)

from megamedical.errors import SubjectError
from megamedical.reading.dicom import NoImage, dicom_files, read_header
from megamedical.reading.images import read_scan, read_volume
from tests.megamedical.reading.test_dicom import (
    AXIAL,
    ORIGIN,
    SPACING,
    VOXELS,
    at,
    enhanced,
    refusal_of,
    write,
    write_series,
)

SPOILT = {
    "zeros": lambda content: bytes(len(content)),
    "page": lambda _: b"<html>not found</html>" * 20,
    "short page": lambda _: b"<html>not found</html>",
    "nothing": lambda _: b"",
    "lost magic": lambda content: content[:128] + b"XXXX" + content[132:],
    "half": lambda content: content[: len(content) // 2],
    "ones": lambda content: b"\xff" * len(content),
}


@pytest.mark.parametrize("damage", SPOILT)
@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_no_file_of_a_series_is_dropped_in_silence(tmp_path, damage, suffix):
    names = [f"IM{n:03}{suffix}" for n in range(len(VOXELS))]
    folder = write_series(tmp_path / "ct", names=names)
    spoilt = folder / names[0]
    spoilt.write_bytes(SPOILT[damage](spoilt.read_bytes()))
    assert spoilt in dicom_files(folder)
    for read in (read_header, lambda path: read_volume(path.parent)):
        with pytest.raises(SubjectError) as refused:
            read(spoilt)
        assert refused.value.file == spoilt.name
        assert not isinstance(refused.value, NoImage)


def test_what_lies_beside_a_series_is_no_slice(tmp_path):
    folder = write_series(tmp_path / "ct", names=[f"IM{n:03}" for n in range(len(VOXELS))])
    for name in ("LICENSE", "DICOMDIR", "README", "notes.txt", ".DS_Store"):
        (folder / name).write_text("no slice")
    np.testing.assert_array_equal(read_volume(folder).voxels, VOXELS)


def test_a_segmentation_beside_its_scan_is_no_image(tmp_path):
    path = write(tmp_path / "seg.dcm", VOXELS, SegmentationStorage, Modality="SEG")
    with pytest.raises(NoImage, match="holds no DICOM image, but SEG"):
        read_header(path)


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_files_without_meta_are_read(tmp_path, implicit, little):
    folder = write_series(tmp_path / "ct", RescaleSlope=1, RescaleIntercept=-1024)
    for path in folder.iterdir():
        dataset = dcmread(path)
        bare = Dataset({element.tag: element for element in dataset})
        if not little:
            bare.PixelData = dataset.pixel_array.astype(">u2").tobytes()
        dcmwrite(path, bare, implicit_vr=implicit, little_endian=little)
        assert b"DICM" not in path.read_bytes()
    np.testing.assert_array_equal(read_volume(folder).voxels, VOXELS - 1024.0)


def test_compressed_pixels_without_meta_are_told(tmp_path):
    dataset = dcmread(write(tmp_path / "a.dcm", VOXELS[0]))
    dataset.compress(RLELossless)
    bare = Dataset({element.tag: element for element in dataset})
    dcmwrite(tmp_path / "a.dcm", bare, implicit_vr=False, little_endian=True)
    assert "no file meta, which would say how" in refusal_of(tmp_path / "a.dcm")


@pytest.mark.parametrize("place", ["detector", "file"])
@pytest.mark.parametrize("sign", [1, -1])
def test_frames_are_stacked_as_the_sign_of_their_spacing_says(tmp_path, sign, place):
    """Nuclear medicine: negative where the next frame lies in front of the one before it."""
    said = {
        "ImagePositionPatient": at(AXIAL, 0 if sign == 1 else len(VOXELS) - 1),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    }
    if place == "detector":
        detector = Dataset()
        for name, value in said.items():
            setattr(detector, name, value)
        said = {"DetectorInformationSequence": [detector]}
    frames = VOXELS[::sign]
    path = write(
        tmp_path / "nm.dcm",
        np.ascontiguousarray(frames),
        NuclearMedicineImageStorage,
        SpacingBetweenSlices=sign * SPACING[2],
        PixelSpacing=[SPACING[1], SPACING[0]],
        **said,
    )
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    np.testing.assert_allclose(volume.spacing, SPACING)
    np.testing.assert_allclose(volume.origin, ORIGIN)
    np.testing.assert_array_equal(read_scan(path, 3).voxels, VOXELS)


@pytest.mark.parametrize("kind", [NuclearMedicineImageStorage, MRImageStorage])
@pytest.mark.parametrize("bright", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_the_unit_of_compressed_frames_is_that_of_plain_ones(tmp_path, kind, bright, syntax):
    said = {"RescaleSlope": 2, "RescaleIntercept": -7, "SpacingBetweenSlices": 2}
    path = write(tmp_path / "a.dcm", VOXELS, kind, PhotometricInterpretation=bright, **said)
    plain = read_volume(path).voxels
    assert plain.min() != VOXELS.min()
    compress(path, syntax)
    np.testing.assert_array_equal(read_volume(path).voxels, plain)


def test_the_unit_of_compressed_enhanced_frames_is_kept(tmp_path):
    path = enhanced(tmp_path / "ct.dcm", range(7))
    plain = read_volume(path).voxels
    compress(path, RLELossless)
    np.testing.assert_array_equal(read_volume(path).voxels, plain)


def compress(path, syntax):
    dataset = dcmread(path)
    if syntax == RLELossless:
        dataset.compress(syntax)
    else:
        from io import BytesIO

        from PIL import Image
        from pydicom.encaps import encapsulate

        streams = []
        for frame in dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns):
            stream = BytesIO()
            Image.fromarray(frame).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
            streams.append(stream.getvalue())
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate(streams)
        dataset["PixelData"].VR = "OB"
    assert dataset.file_meta.TransferSyntaxUID.is_compressed
    dataset.save_as(path)


@pytest.mark.parametrize("scale", [{"RescaleSlope": 0, "RescaleIntercept": 5}])
def test_a_slope_that_makes_all_values_one_is_refused(tmp_path, scale):
    assert "its rescale slope is 0" in refusal_of(write(tmp_path / "a.dcm", VOXELS[0], **scale))


@pytest.mark.parametrize("claim", [{"Rows": 5}, {"Columns": 4}, {"NumberOfFrames": 6}])
def test_fewer_pixels_than_the_file_holds_are_refused(tmp_path, claim):
    path = write(tmp_path / "a.dcm", VOXELS, SpacingBetweenSlices=2)
    dataset = dcmread(path)
    for name, value in claim.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    assert "bytes more than the pixels that it claims" in refusal_of(path)


@pytest.mark.parametrize("claim", [{"Rows": 60_000, "Columns": 60_000}, {"NumberOfFrames": 2**27}])
def test_claims_are_bounded_before_anything_is_decoded(tmp_path, claim):
    path = write(tmp_path / "a.dcm", VOXELS, SpacingBetweenSlices=2)
    compress(path, RLELossless)
    dataset = dcmread(path)
    for name, value in claim.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    assert "more than the" in refusal_of(path)


@pytest.mark.parametrize(
    ("tag", "is_fine"),
    [((0x0028, 0x4000), False), ((0x8A9C, 0x052B), False), ((0xAD15, 0x0330), False),
     ((0x7FE1, 0x0010), True), ((0xFFFC, 0xFFFC), True)],
)  # fmt: skip
def test_what_may_not_come_behind_the_pixels_is_refused(tmp_path, tag, is_fine):
    path = write(tmp_path / "a.dcm", VOXELS[0])
    element = struct.pack(
        "<HH2sH", *tag, b"LT" if tag[0] != 0xFFFC else b"OB", 4 * (tag[0] != 0xFFFC)
    )
    rest = b"more" if tag[0] != 0xFFFC else struct.pack("<I4x", 4)
    path.write_bytes(path.read_bytes() + element + rest)
    if is_fine:
        np.testing.assert_array_equal(read_scan(path, 2).voxels, VOXELS[0])
        return
    with pytest.raises(SubjectError, match="behind its pixels"):
        read_scan(path, 2)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("rest", [b"abc", b"\xfe\xff\x0d\xe0" + bytes(4) + b"\1" * 99])
def test_what_is_no_element_is_not_left_unread(tmp_path, syntax, rest):
    """pydicom stops at it and is content."""
    path = write(tmp_path / "a.dcm", VOXELS[0])
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    np.testing.assert_array_equal(read_scan(path, 2).voxels, VOXELS[0])
    content = path.read_bytes()
    if syntax == DeflatedExplicitVRLittleEndian:
        begin = 132 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
        inflated = zlib.decompress(content[begin:], -zlib.MAX_WBITS) + rest
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        path.write_bytes(content[:begin] + packer.compress(inflated) + packer.flush())
    else:
        path.write_bytes(content + rest)
    with pytest.raises(SubjectError, match="something that is no element follows"):
        read_scan(path, 2)


@pytest.mark.parametrize("frames", [1, 3])
def test_jpeg_that_gdcm_fills_up_is_refused(tmp_path, frames):
    """libjpeg tells it to nobody but the terminal; the damaged one may be any of several frames."""
    from io import BytesIO

    from PIL import Image
    from pydicom.encaps import encapsulate

    greys = np.random.default_rng(1).integers(0, 256, (64, 48)).astype(np.uint8)
    path = write(tmp_path / "a.dcm", greys)
    dataset = dcmread(path)
    stream = BytesIO()
    Image.fromarray(greys).save(stream, "JPEG")
    whole = stream.getvalue()
    hurt = whole[: len(whole) // 2] + b"\xff\xd9"
    for last, is_fine in ((whole, True), (hurt, False)):
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset.NumberOfFrames = frames
        dataset.PixelData = encapsulate([*[whole] * (frames - 1), last])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
        if is_fine:
            assert read_volume(path).voxels.shape == (frames, 64, 48)
            continue
        with pytest.raises(SubjectError, match="as libjpeg finds") as refused:
            read_volume(path)
        assert refused.value.file == "a.dcm"
