"""DICOM: slices in their place whatever the files are called, and faults that are named."""

import itertools
import json
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_rescale, pixel_array
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    EnhancedXAImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
    UltrasoundMultiFrameImageStorage,
    VideoEndoscopicImageStorage,
    VLWholeSlideMicroscopyImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
    generate_uid,
)

from megamedical.errors import SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.dicom import read_dicom_picture
from megamedical.reading.file_parts import count_pictures, read_picture_part
from megamedical.reading.images import read_label_values, read_scan, read_volume

RNG = np.random.default_rng(0)
VOXELS = RNG.integers(0, 4000, (7, 6, 5)).astype(np.uint16)
SPACING = (0.75, 1.25, 2.5)  # mm along a row, down a column, between slices
ORIGIN = np.array([-31.5, 12.25, 100.0])
AXIAL = np.eye(3)


def oblique(x, y, z):
    turn = sitk.Euler3DTransform((0, 0, 0), x, y, z)
    return np.reshape(turn.GetMatrix(), (3, 3))


def write(path, pixels, kind=CTImageStorage, **said):
    """Write a DICOM file: pixels (H, W), (N, H, W) or (H, W, 3), and what is said of them."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = kind
    dataset.SOPInstanceUID = generate_uid()
    is_colour = pixels.ndim == 3 and pixels.shape[-1] == 3
    dataset.Rows, dataset.Columns = pixels.shape[:2] if is_colour else pixels.shape[-2:]
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        dataset.PlanarConfiguration = 0
    elif pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in said.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(folder, voxels=VOXELS, directions=AXIAL, names=None, skip=(), **said):
    """Write each slice into a file, in the order of `names`: by default one that misleads."""
    said = {"SeriesInstanceUID": "1.2.3", "SeriesNumber": 3, **said}
    order = np.random.default_rng(1).permutation(len(voxels))
    names = names or [f"{place:03}.dcm" for place in order]
    for index, (name, pixels) in enumerate(zip(names, voxels, strict=True)):
        if index not in skip:
            placed = {
                "ImagePositionPatient": at(directions, index),
                "ImageOrientationPatient": directions[:, :2].T.ravel().tolist(),
                "PixelSpacing": [SPACING[1], SPACING[0]],
                "SliceThickness": 9.0,
            }
            write(folder / name, pixels, **{**placed, **said})
    return folder


LAID = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [SPACING[1], SPACING[0]]}


def at(directions, index):
    return [f"{x:.12g}" for x in ORIGIN + index * SPACING[2] * directions[:, 2]]


def refusal_of(path, read=read_volume):
    with pytest.raises(SubjectError) as refused:
        read(path)
    assert str(path.parent) not in refused.value.reason
    return refused.value.reason


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.1, -0.2, 0.3), (1.5, 0.1, 0), (0, 3.0, 1.2)])
def test_a_series_is_read_as_itk_reads_it(tmp_path, angles):
    """ITK sorts the files by GDCM, and takes the geometry from it."""
    folder = write_series(tmp_path / "ct", directions=oblique(*angles))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), "1.2.3"))
    expected = reader.Execute()
    volume = read_volume(folder)
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    np.testing.assert_array_equal(volume.voxels, sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(volume.directions.ravel(), expected.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(volume.spacing, expected.GetSpacing(), atol=1e-6)
    np.testing.assert_allclose(volume.origin, expected.GetOrigin(), atol=1e-6)


def test_a_scan_of_a_series_is_canonical(tmp_path):
    directions = oblique(0, 0, np.pi)  # rows run to the right, columns to the front
    scan = read_scan(write_series(tmp_path / "ct", directions=directions), 3)
    np.testing.assert_array_equal(scan.voxels, VOXELS[:, ::-1, ::-1])
    assert scan.spacing == pytest.approx(SPACING[::-1])


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (2, 5), (0.25, 0)])
def test_values_are_in_the_unit_of_the_file(tmp_path, slope, intercept):
    scale = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    folder = write_series(tmp_path / "ct", **scale)
    np.testing.assert_allclose(read_volume(folder).voxels, VOXELS * float(slope) + intercept)


def test_each_slice_may_have_a_slope_of_its_own(tmp_path):
    for index, pixels in enumerate(VOXELS):
        said = {"ImagePositionPatient": at(AXIAL, index), "SeriesInstanceUID": "1.2.3", **LAID}
        write(tmp_path / "pet" / f"{index}", pixels, RescaleSlope=1 + index / 8, **said)
    slopes = 1 + np.arange(len(VOXELS)) / 8
    np.testing.assert_allclose(
        read_volume(tmp_path / "pet").voxels, VOXELS * slopes[:, None, None], rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_a_table_of_values_stands_in_for_slope_and_intercept(tmp_path, kind):
    table = RNG.permutation(4096).astype(np.uint16)
    said = Dataset()
    said.LUTDescriptor, said.ModalityLUTType = [4096, 0, 16], "OD"
    said.add_new("LUTData", "OW", table.tobytes())
    facts = {"ModalityLUTSequence": [said], "PhotometricInterpretation": kind}
    found = read_scan(write(tmp_path / "a.dcm", VOXELS[0], **facts), 2).voxels
    meant = table[VOXELS[0]]
    np.testing.assert_array_equal(found, 65535 - meant if kind == "MONOCHROME1" else meant)


def test_values_that_do_not_end_at_their_highest_bit_are_refused(tmp_path):
    path = write(tmp_path / "a.dcm", VOXELS[0] << 4, BitsStored=12, HighBit=15)
    read = lambda path: read_scan(path, 2)  # noqa: E731
    assert "values have 12 bits, of which bit 15 is the highest" in refusal_of(path, read)


def test_bright_is_bright(tmp_path):
    said = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11}
    path = write(tmp_path / "chest.dcm", VOXELS[0], **said)
    np.testing.assert_array_equal(read_scan(path, 2).voxels, 4095 - VOXELS[0])


def by_itk(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(path))[0]


def by_pydicom(path):
    return apply_rescale(pixel_array(path), dcmread(path))


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_jp2klossless.dcm",
        "ExplVR_BigEnd.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
@pytest.mark.parametrize("decode", [by_itk, by_pydicom])
def test_pictures_are_what_other_decoders_make_of_them(name, decode):
    """These files come with pydicom; of the two decoders, one is not that which is used."""
    path = Path(get_testdata_file(name, download=False))
    expected = decode(path)
    if expected.ndim == 3:
        expected = expected @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_scan(path, 2).voxels, expected, rtol=1e-5, atol=1e-5)


def test_colours_deeper_than_those_of_pictures_are_refused(tmp_path):
    path = write(tmp_path / "deep", np.zeros((6, 5, 3), np.uint16), SecondaryCaptureImageStorage)
    assert "has colours in uint16" in refusal_of(path, lambda path: read_scan(path, 2))


def test_a_picture_in_colour_becomes_luma(tmp_path):
    colours = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
    path = write(tmp_path / "skin", colours, SecondaryCaptureImageStorage)
    expected = colours @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_scan(path, 2).voxels, expected, rtol=1e-5)
    assert read_scan(path, 2, "rounded").voxels.dtype == np.uint8


def write_compressed(path, pixels, compressor):
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(pixels))


@pytest.mark.parametrize("said", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("are_transformed", [True, False])
def test_colours_of_jpeg_are_those_that_its_stream_says(tmp_path, said, are_transformed):
    """Headers often say RGB of a stream in luma and chroma."""
    down, across = np.mgrid[:32, :40]
    colours = np.stack([7 * down, 6 * across, 255 - 4 * down], -1).astype(np.uint8)
    stream = BytesIO()
    if are_transformed:
        Image.fromarray(colours).save(stream, "JPEG", quality=100, subsampling=0)
    else:
        Image.fromarray(colours).save(stream, "JPEG", quality=100, keep_rgb=True)
    path = write(tmp_path / "a.dcm", colours, PhotometricInterpretation=said)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    found = read_dicom_picture(path)
    assert np.abs(found.astype(int) - colours).max() <= 3


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_compressed_pictures(tmp_path, compressor):
    pixels = RNG.integers(0, 256, (40, 30)).astype(np.uint8)
    write_compressed(tmp_path / "a.dcm", pixels, compressor)
    assert dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_scan(tmp_path / "a.dcm", 2).voxels, pixels)


def test_slices_of_a_series_may_be_compressed(tmp_path):
    folder = write_series(tmp_path / "ct")
    for path in folder.iterdir():
        plain = dcmread(path)
        write_compressed(path, plain.pixel_array, "JPEG")
        packed = dcmread(path)
        for name in ("SeriesInstanceUID", "ImagePositionPatient", "PixelSpacing"):
            setattr(packed, name, getattr(plain, name))
        packed.save_as(path)
    np.testing.assert_array_equal(read_volume(folder).voxels, VOXELS)
    path = folder / "003.dcm"
    path.write_bytes(DAMAGE["other tables"](path.read_bytes()))
    with pytest.raises(SubjectError) as refused:
        read_volume(folder)
    assert refused.value.file == "003.dcm"


FRAME_HEADER = 2  # where it begins in a JPEG stream


def damaged(content, place, new):
    """A file with other bytes at a place in its JPEG stream."""
    start = content.index(b"\xff\xd8\xff\xc3") + place
    return content[:start] + new + content[start + len(new) :]


DAMAGE = {
    "whole": lambda content: content,
    "truncated": lambda content: content[:-900],
    "truncated in its headers": lambda content: content[: content.index(b"\xff\xc3") + 5],
    "precision of 127": lambda content: damaged(content, FRAME_HEADER + 4, b"\x7f"),
    "precision of 255": lambda content: damaged(content, FRAME_HEADER + 4, b"\xff"),
    "precision of 16": lambda content: damaged(content, FRAME_HEADER + 4, b"\x10"),
    "precision of 0": lambda content: damaged(content, FRAME_HEADER + 4, b"\x00"),
    "huge": lambda content: damaged(content, FRAME_HEADER + 5, b"\xff\xff\xff\xff"),
    "smaller": lambda content: damaged(content, FRAME_HEADER + 5, b"\x00\x04\x00\x04"),
    "other tables": lambda content: damaged(content, FRAME_HEADER + 20, b"\xa5" * 10),
    "garbage in the middle": lambda content: damaged(content, 500, bytes(range(256))),
    "no stream": lambda content: damaged(content, 0, b"\x00\x00"),
}
TELL = """
import json, sys
from pathlib import Path
from megamedical.errors import SubjectError
from megamedical.reading.images import read_scan

for path in map(Path, sys.argv[1:]):
    try:
        read_scan(path, 2 if path.suffix == ".dcm" else 3)
        print(json.dumps(""))
    except SubjectError as error:
        print(json.dumps(f"{error.file}: {error.reason}"))
"""


def refusals(paths):
    """What becomes of files in a process of its own, which the worst of them would crash."""
    told = subprocess.run([sys.executable, "-c", TELL, *paths], capture_output=True, check=False)
    assert told.returncode == 0, told.stderr.decode()
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_damaged_jpeg_is_refused_and_crashes_nothing(tmp_path):
    pixels = RNG.integers(0, 256, (40, 30)).astype(np.uint8)
    write_compressed(tmp_path / "whole.dcm", pixels, "JPEG")
    content = (tmp_path / "whole.dcm").read_bytes()
    paths = [tmp_path / f"{name}.dcm" for name in DAMAGE]
    for path, damage in zip(paths, DAMAGE.values(), strict=True):
        path.write_bytes(damage(content))
    whole, *others = refusals(paths)
    assert whole == ""
    for path, refusal in zip(paths[1:], others, strict=True):
        assert refusal.startswith(f"{path.name}: "), path
        assert "damaged" in refusal, refusal


def test_dicom_under_the_name_of_another_format_is_refused_and_crashes_nothing(tmp_path):
    write_compressed(tmp_path / "whole.dcm", np.zeros((40, 30), np.uint8), "JPEG")
    content = DAMAGE["precision of 127"]((tmp_path / "whole.dcm").read_bytes())
    paths = [tmp_path / f"a{suffix}" for suffix in (".nii", ".nii.gz", ".img", ".mha", ".nrrd")]
    for path in paths:
        path.write_bytes(content)
    assert all(refusals(paths))


def deflated(path, pixels, **said):
    dataset = dcmread(write(path, pixels, **said))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    return path


def test_deflated_files_are_read(tmp_path):
    placed = {"ImagePositionPatient": at(AXIAL, 0), "PixelSpacing": [1.25, 0.75]}
    path = deflated(tmp_path / "a.dcm", VOXELS[0], **placed)
    assert VOXELS[0].tobytes() not in path.read_bytes()
    np.testing.assert_array_equal(read_scan(path, 2).voxels, VOXELS[0])
    blank = np.zeros((3000, 3000), np.uint16)
    np.testing.assert_array_equal(read_scan(deflated(path, blank, **placed), 2).voxels, blank)


def test_a_deflated_bomb_is_refused(tmp_path):
    path = write(tmp_path / "a.dcm", VOXELS[0])
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(300)), packer.flush()])
    header = 132 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
    path.write_bytes(path.read_bytes()[:header] + bomb)
    assert path.stat().st_size < 2_000_000
    assert "more than 268.4 MB come out of its" in refusal_of(path)


def groups(**sequences):
    """Functional groups: a sequence of one item each, with one value."""
    all_of_them = Dataset()
    for name, values in sequences.items():
        item = Dataset()
        for key, value in values.items():
            setattr(item, key, value)
        setattr(all_of_them, name, [item])
    return all_of_them


def enhanced(path, order, **scales):
    """All slices in one file, its frames in some order."""
    directions = oblique(0.1, -0.2, 0.3)
    shared = groups(
        PixelMeasuresSequence={"PixelSpacing": [SPACING[1], SPACING[0]], "SliceThickness": 9.0},
        PlaneOrientationSequence={"ImageOrientationPatient": directions[:, :2].T.ravel().tolist()},
        PixelValueTransformationSequence={
            "RescaleSlope": 2,
            "RescaleIntercept": -1000,
            "RescaleType": "HU",
        },
    )
    frames = [
        groups(PlanePositionSequence={"ImagePositionPatient": at(directions, index)})
        for index in order
    ]
    for frame, (slope, intercept) in zip(frames, scales.get("each", ()), strict=False):
        item = {"RescaleSlope": slope, "RescaleIntercept": intercept}
        frame.PixelValueTransformationSequence = groups(
            PixelValueTransformationSequence=item
        ).PixelValueTransformationSequence
    return write(
        path,
        VOXELS[list(order)],
        EnhancedCTImageStorage,
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=frames,
        SeriesInstanceUID="1.2.3",
    )


def test_frames_of_one_file_lie_where_they_say(tmp_path):
    volume = read_volume(enhanced(tmp_path / "ct.dcm", [3, 0, 6, 1, 2, 5, 4]))
    np.testing.assert_array_equal(volume.voxels, VOXELS * 2.0 - 1000)
    np.testing.assert_allclose(volume.directions, oblique(0.1, -0.2, 0.3), atol=1e-6)
    np.testing.assert_allclose(volume.spacing, SPACING, atol=1e-6)
    np.testing.assert_allclose(volume.origin, ORIGIN, atol=1e-6)


def test_slopes_that_would_be_confused_are_refused(tmp_path):
    path = enhanced(tmp_path / "pet.dcm", range(7), each=[(1 + n, 0) for n in range(7)])
    assert "a rescale slope for each frame" in refusal_of(path)


def test_a_slope_of_one_frame_alone_is_refused(tmp_path):
    path = enhanced(tmp_path / "pet.dcm", range(7), each=[(2, 0), *[(None, None)] * 6])
    assert "a rescale slope for each frame" in refusal_of(path)


@pytest.mark.parametrize("order", [[1, 2, 3, 4, 5, 6, 7], [3, 1, 2, 7, 5, 4, 6]])
def test_frames_of_nuclear_medicine_lie_where_their_numbers_say(tmp_path, order):
    stored = VOXELS[np.array(order) - 1]
    said = {"SliceVector": order, "EnergyWindowVector": [1] * 7, "SpacingBetweenSlices": 2.5}
    path = write(tmp_path / "nm.dcm", stored, SecondaryCaptureImageStorage, **said)
    np.testing.assert_array_equal(read_volume(path).voxels, VOXELS)


@pytest.mark.parametrize("name", ["EnergyWindowVector", "TimeSlotVector", "AngularViewVector"])
def test_frames_that_are_no_slices_are_not_stacked(tmp_path, name):
    said = {name: [1, 1, 1, 1, 2, 2, 2]}
    path = write(tmp_path / "nm.dcm", VOXELS, SecondaryCaptureImageStorage, **said)
    assert f"differ in {name}: split the file" in refusal_of(path)


def test_frames_without_a_place_follow_each_other(tmp_path):
    said = {"PixelSpacing": [1.25, 0.75], "SpacingBetweenSlices": 2.5}
    path = write(tmp_path / "cine.dcm", VOXELS, SecondaryCaptureImageStorage, **said)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.voxels, VOXELS)
    assert volume.spacing == SPACING
    assert "holds 7 pictures, not one" in refusal_of(path, lambda path: read_scan(path, 2))


def cine(path, kind=SecondaryCaptureImageStorage, **said):
    """Frames of one size that would make a volume, were they slices."""
    laid = {"PixelSpacing": [1.25, 0.75], "SliceThickness": 2.5}
    return write(path, VOXELS, kind, **{**laid, **said})


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (UltrasoundMultiFrameImageStorage, {}),
        (XRayAngiographicImageStorage, {}),
        (XRayRadiofluoroscopicImageStorage, {}),
        (EnhancedXAImageStorage, {}),
        (VLWholeSlideMicroscopyImageStorage, {}),
        (VideoEndoscopicImageStorage, {}),
        (SecondaryCaptureImageStorage, {"FrameIncrementPointer": 0x00181063, "FrameTime": 40}),
        (SecondaryCaptureImageStorage, {"FrameIncrementPointer": [0x00181065, 0x00540020]}),
    ],
)
def test_a_film_is_no_volume(tmp_path, kind, said):
    path = cine(tmp_path / "a.dcm", kind, **said)
    assert "has frames that are no slices of a volume, but a film or tiles" in refusal_of(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_each_frame_of_a_film_is_a_picture(tmp_path, syntax):
    path = cine(tmp_path / "a.dcm", UltrasoundMultiFrameImageStorage, RescaleSlope=2)
    if syntax is RLELossless:
        dataset = dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    assert count_pictures(path) == len(VOXELS)
    for frame in (0, 1, 5, 2):
        found = read_picture_part(path, Part(frame=frame))
        np.testing.assert_array_equal(found, VOXELS[frame] * 2.0)
    with pytest.raises(SubjectError, match="has no frame 7: it has 7"):
        read_picture_part(path, Part(frame=7))
    with pytest.raises(SubjectError, match="holds no pixels"):
        read_picture_part(path, Part("pixels"))


def test_a_channel_of_a_picture_in_colour(tmp_path):
    colours = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
    path = write(tmp_path / "a.dcm", colours, SecondaryCaptureImageStorage)
    found = read_picture_part(path, Part(channel=1))
    np.testing.assert_array_equal(found, colours[..., 1])


def test_one_frame_of_a_film_is_a_picture(tmp_path):
    path = write(tmp_path / "a.dcm", VOXELS[0], UltrasoundMultiFrameImageStorage, NumberOfFrames=1)
    np.testing.assert_array_equal(read_scan(path, 2).voxels, VOXELS[0])


def test_frames_that_tell_no_distance_are_no_slices(tmp_path):
    path = cine(tmp_path / "a.dcm", SliceThickness=None)
    assert "says how far apart its pixels lie, and not its frames" in refusal_of(path)


def test_frames_with_groups_and_without_places_are_refused(tmp_path):
    frames = [groups(FrameContentSequence={"FrameComments": "t"}) for _ in VOXELS]
    path = cine(tmp_path / "a.dcm", PerFrameFunctionalGroupsSequence=frames)
    assert "does not say where its frames lie" in refusal_of(path)


def test_a_mask_can_be_dicom_too(tmp_path):
    masks = VOXELS % 3
    write_series(tmp_path / "ct", masks)
    np.testing.assert_array_equal(read_label_values(tmp_path / "ct", 3), masks)
    path = write(tmp_path / "one.dcm", masks[0])
    np.testing.assert_array_equal(read_label_values(path, 2), masks[0])


# What is wrong with a series


def test_a_missing_slice_is_told(tmp_path):
    names = [f"IM{n}" for n in range(7)]
    write_series(tmp_path / "ct", names=names, skip=[4], SeriesDescription="thin")
    assert refusal_of(tmp_path / "ct") == (
        "series 3 (thin) lacks slices: IM3 and IM5 lie 5 mm apart, others 2.5 mm"
    )


@pytest.mark.parametrize(("moved", "is_read"), [(0.0, True), (0.01, True), (0.1, False)])
def test_slices_may_be_as_uneven_as_rounding(tmp_path, moved, is_read):
    write_series(tmp_path / "ct", names=[f"IM{n}" for n in range(7)])
    position = (ORIGIN + (2 * SPACING[2] + moved) * AXIAL[2]).tolist()
    said = {"SeriesInstanceUID": "1.2.3", "SeriesNumber": 3, **LAID}
    write(tmp_path / "ct/IM2", VOXELS[2], ImagePositionPatient=position, **said)
    if is_read:
        assert read_volume(tmp_path / "ct").spacing == pytest.approx(SPACING)
    else:
        assert refusal_of(tmp_path / "ct").startswith("series 3 has uneven slices: IM1 and IM2 lie")


@pytest.mark.parametrize("lost", ["PixelSpacing", "ImageOrientationPatient"])
def test_how_slices_lie_is_not_guessed(tmp_path, lost):
    write_series(tmp_path / "ct", **{lost: None})
    assert f"has slices without {lost}, as 00" in refusal_of(tmp_path / "ct")


def test_files_of_one_series_that_lie_nowhere_are_told_from_several_series(tmp_path):
    write_series(tmp_path / "ct", ImagePositionPatient=None)
    assert "holds 7 files of one series that do not say where they lie" in refusal_of(
        tmp_path / "ct"
    )


def test_other_faults_of_a_series_are_told(tmp_path):
    said = {"SeriesInstanceUID": "1.2.3", "SeriesNumber": 3, **LAID}
    placed = {"ImagePositionPatient": at(AXIAL, 7), **said}
    others = {
        "has two slices in one place (000.dcm and more)": (
            VOXELS[0],
            {**placed, "ImagePositionPatient": at(AXIAL, int(np.flatnonzero(order() == 0)[0]))},
        ),
        "has slices of different kinds, 6 x 5 and 3 x 5": (VOXELS[0, :3], placed),
        "has slices in different directions": (
            VOXELS[0],
            {**placed, "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        ),
        "has slices that lie nowhere, as more": (VOXELS[0], {**placed, "PixelSpacing": [0, 0]}),
        "has slices of different pixel spacing": (VOXELS[0], {**placed, "PixelSpacing": [1, 1]}),
    }
    for number, (told, (pixels, facts)) in enumerate(others.items()):
        folder = write_series(tmp_path / str(number))
        write(folder / "more", pixels, **facts)
        assert refusal_of(folder).startswith(f"series 3 {told}")


def order():
    return np.random.default_rng(1).permutation(len(VOXELS))


def test_a_tilted_gantry_is_told(tmp_path):
    sheared = AXIAL.copy()
    sheared[1, 2] = np.tan(np.radians(12))
    assert "gantry tilted by 12.0 degrees" in refusal_of(
        write_series(tmp_path / "ct", directions=sheared)
    )


@pytest.mark.parametrize("place", range(1, 6))
def test_a_slice_that_lies_aside_is_told(tmp_path, place):
    folder = write_series(tmp_path / "ct", skip=[place])
    aside = [float(x) + 4 * (n == 0) for n, x in enumerate(at(AXIAL, place))]
    said = {"SeriesInstanceUID": "1.2.3", "SeriesNumber": 3, **LAID}
    write(folder / "aside.dcm", VOXELS[place], **said, ImagePositionPatient=aside)
    assert "shifted against each other: aside.dcm lies 4 mm beside" in refusal_of(folder)


def test_of_several_series_none_is_chosen(tmp_path):
    write_series(tmp_path / "a", SeriesDescription="thin")
    names = [f"b{n}" for n in range(7)]
    write_series(tmp_path / "a", SeriesInstanceUID="1.2.4", SeriesNumber=4, names=names)
    assert refusal_of(tmp_path / "a") == "holds 2 series, not one: series 3 (thin), series 4"
    (tmp_path / "empty").mkdir()
    assert refusal_of(tmp_path / "empty") == "holds no DICOM image"


def test_what_is_no_image_is_left_aside(tmp_path):
    folder = write_series(tmp_path / "ct")
    write(folder / "plan", VOXELS, Modality="RTDOSE")
    report = dcmread(folder / "000.dcm")
    for name in ("Rows", "Columns", "PixelData"):
        delattr(report, name)
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    report.save_as(folder / "report")
    (folder / "notes.txt").write_text("a patient")
    np.testing.assert_array_equal(read_volume(folder).voxels, VOXELS)
    assert refusal_of(folder / "report") == "holds no DICOM image, but Comprehensive SR"


def test_damage_is_told(tmp_path):
    path = write(tmp_path / "a.dcm", VOXELS[0])
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert "damaged or cut off" in refusal_of(path)
    assert "is cut off" in refusal_of(write(path, VOXELS[0], Rows=9_000, Columns=9_000))
    write_compressed(path, np.zeros((40, 30), np.uint8), "JPEG2000")
    for claim in (
        {"NumberOfFrames": 2**20},
        {"NumberOfFrames": 12, "Rows": 9_000, "Columns": 9_000},
    ):
        dataset = dcmread(path)
        for name, value in claim.items():
            setattr(dataset, name, value)
        dataset.save_as(tmp_path / "b.dcm")
        assert "is cut off" in refusal_of(tmp_path / "b.dcm")
    path.write_text("a letter, whatever its name says\n" * 99)
    assert refusal_of(path)
    path.write_bytes(b"")
    assert refusal_of(path)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.dictionaries(st.integers(0, 900), st.integers(0, 255), min_size=1, max_size=5))
@pytest.mark.filterwarnings("ignore")
def test_whatever_a_file_holds_it_is_an_array_or_refused(tmp_path, changes):
    path = tmp_path / "a.dcm"
    placed = {"ImagePositionPatient": at(AXIAL, 0), "PixelSpacing": [1.25, 0.75]}
    content = bytearray(write(path, VOXELS[0], **placed).read_bytes())
    for position, value in changes.items():
        content[position % len(content)] = value
    path.write_bytes(content)
    for dimension, read in itertools.product((2, 3), (read_scan, read_label_values)):
        try:
            read(path, dimension)
        except SubjectError as refused:
            assert str(tmp_path) not in refused.reason


def test_a_slope_that_makes_values_infinite_is_refused(tmp_path):
    path = write(tmp_path / "a.dcm", VOXELS[0], RescaleSlope="1e36", RescaleIntercept="0")
    assert "too large to be any" in refusal_of(path, lambda it: read_scan(it, 2))
