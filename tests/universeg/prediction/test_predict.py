"""The command on files: what goes in comes out on its own grid, and every trouble is explained."""

import csv
import itertools
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image
from places import MIRROR
from typer.testing import CliRunner

from tests.megamedical.reading.test_dicom import oblique as turned
from tests.megamedical.reading.test_dicom import write as write_dicom
from tests.megamedical.reading.test_dicom import write_series
from tests.universeg.prediction.test_segmenter import Bright, blob, dice, picture
from universeg.cli import app
from universeg.network.universeg import UniverSeg
from universeg.prediction import segmenter
from universeg.results.drawing import Size
from universeg.weights.models import save as save_weights

real = [
    pytest.mark.mirror,
    pytest.mark.skipif(not MIRROR.exists(), reason=f"no real archives at {MIRROR}"),
]


@pytest.fixture(autouse=True)
def bright(monkeypatch):
    """In place of a trained network, one that finds what is bright."""
    monkeypatch.setattr(segmenter, "load_for_prediction", lambda _: (Bright(), 128))


@pytest.fixture
def predict(tmp_path):
    """The command, on the folders that these tests fill: called with further options."""

    def run(options=(), query="query", out="out"):
        folders = {"--support": "support", "--query": query, "--out": out}
        named = itertools.chain(*((name, tmp_path / path) for name, path in folders.items()))
        result = CliRunner().invoke(app, [str(a) for a in ("predict", *named, *options)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def grey(mask):
    return picture(mask).clip(0, 255).astype(np.uint8)


def read(path):
    return np.asarray(Image.open(path))


def written(folder):
    out = folder / "out"
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


@pytest.fixture
def pictures(tmp_path):
    """Two examples of a label of value 255, and three queries of other sizes and formats."""
    for number, shape in enumerate([(90, 121), (64, 64)]):
        save(tmp_path / f"support/images/{number}.png", grey(blob(shape)))
        save(tmp_path / f"support/masks/{number}.png", blob(shape) * 255)
    masks = {"a.png": blob((151, 80)), "b.bmp": blob((77, 78)), "c.tif": blob((40, 200))}
    for name, mask in masks.items():
        save(tmp_path / "query" / name, grey(mask))
    return masks


def test_a_picture_gives_a_mask_of_its_size(predict, pictures, tmp_path):
    result = predict()
    assert result.exit_code == 0, result.output
    assert "Examples: 2, images/x with masks/x" in result.output
    assert "Files written to" in result.output
    assert written(tmp_path) == ["a.png", "b.png", "c.png"]
    for name, mask in pictures.items():
        found = read(tmp_path / "out" / f"{name[0]}.png")
        assert found.dtype == np.uint8
        assert found.shape == mask.shape
        assert set(np.unique(found)) == {0, 255}
        assert dice(found > 0, mask > 0) >= 0.95


def test_one_file_can_be_the_query(predict, pictures, tmp_path):
    assert predict(query="query/b.bmp").exit_code == 0
    assert written(tmp_path) == ["b.png"]


def test_probabilities_and_outlines_are_written_too(predict, pictures, tmp_path):
    assert predict(["--probabilities", "--overlay"], query="query/a.png").exit_code == 0
    assert written(tmp_path) == ["a.png", "overlays/a.png", "probabilities/label-255/a.png"]
    mask = read(tmp_path / "out/a.png")
    probabilities = read(tmp_path / "out/probabilities/label-255/a.png")
    np.testing.assert_array_equal(probabilities > 127, mask > 0)
    overlay = read(tmp_path / "out/overlays/a.png")
    enlarged = mask.repeat(3, axis=0).repeat(3, axis=1)
    assert overlay.shape[1:] == (enlarged.shape[1], 3)
    legend = overlay[len(enlarged) :]
    assert (legend != legend[..., :1]).any()
    overlay = overlay[: len(enlarged)]
    outline = (overlay != overlay[..., :1]).any(axis=-1)
    assert outline.any()
    assert (enlarged[outline] > 0).all()


def test_one_bad_file_does_not_stop_the_rest(predict, pictures, tmp_path):
    (tmp_path / "query/broken.png").write_bytes(b"no picture")
    save(tmp_path / "query/flat.png", np.full((9, 9), 7, np.uint8))
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkUInt8), tmp_path / "query/volume.mha")
    save(tmp_path / "support/masks/0.png", blob((90, 120)))
    result = predict()
    assert result.exit_code == 3
    assert "broken.png: is nothing that can be read" in result.output
    assert "flat.png: the image is constant" in result.output
    assert "volume.mha: is a volume, unlike the examples" in result.output
    assert "0.png: its mask is 90 x 120, the image 90 x 121" in result.output
    assert written(tmp_path) == ["a.png", "b.png", "c.png"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    predict, pictures, tmp_path, monkeypatch
):
    save_whole = Image.Image.save

    def fail_halfway(self, path, **options):
        Path(path).write_bytes(b"half")
        if "b.png" in Path(path).name:
            raise OSError("No space left on device")
        save_whole(self, path, **options)

    monkeypatch.setattr(Image.Image, "save", fail_halfway)
    result = predict()
    assert result.exit_code == 3
    assert "b.bmp: No space left on device" in result.output
    assert written(tmp_path) == ["a.png", "c.png"]


def test_colour_is_mentioned(predict, pictures, tmp_path):
    save(tmp_path / "query/a.png", np.stack([grey(pictures["a.png"])] * 3, axis=-1))
    assert "1 of 5 images are in colour" in predict().output


def test_very_different_intensities_are_mentioned(predict, pictures, tmp_path):
    save(tmp_path / "query/a.png", grey(pictures["a.png"]).astype(np.uint16) * 200)
    output = predict().output
    assert "Warning: a.png has intensities from" in output
    assert "b.bmp has" not in output


def test_empty_masks_are_mentioned(predict, pictures, tmp_path):
    save(tmp_path / "support/masks/0.png", np.zeros((90, 121), np.uint8))
    result = predict()
    assert result.exit_code == 0
    assert "0.png is empty" in result.output
    save(tmp_path / "support/masks/1.png", np.zeros((64, 64), np.uint8))
    result = predict()
    assert result.exit_code == 1
    assert "All masks are empty" in result.output


def test_no_usable_example_ends_it(predict, pictures, tmp_path):
    for number in range(2):
        save(tmp_path / f"support/images/{number}.png", np.zeros((90, 121), np.uint8))
    result = predict()
    assert result.exit_code == 1
    assert "No example can be used" in result.output
    assert "0.png: the image is constant" in result.output
    assert not (tmp_path / "out").exists()


def test_no_pair_ends_it(predict, pictures, tmp_path):
    (tmp_path / "support/masks").rename(tmp_path / "support/other")
    result = predict()
    assert result.exit_code == 1
    assert "could be paired with a mask" in result.output


def test_nothing_that_is_read_is_overwritten(predict, pictures, tmp_path):
    result = predict(out="query")
    assert result.exit_code == 1
    assert "would be overwritten" in result.output
    save(tmp_path / "query/b.png", grey(pictures["a.png"]))
    assert "b.bmp and b.png would both become b.png" in predict().output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("folder", "option"),
    [("out/overlays", "--overlay"), ("out/probabilities/label-255", "--probabilities")],
)
def test_what_is_written_beside_the_masks_overwrites_nothing_either(
    predict, pictures, tmp_path, folder, option
):
    path = save(tmp_path / folder / "a.png", grey(pictures["a.png"]))
    content = path.read_bytes()
    assert predict(query=folder).exit_code == 0
    result = predict([option], query=folder)
    assert result.exit_code == 1
    assert f"{folder}/a.png is read, and would be overwritten" in result.output
    assert path.read_bytes() == content


def test_labels_are_named(predict, pictures, tmp_path):
    for number, shape in enumerate([(90, 121), (64, 64)]):
        save(tmp_path / f"support/masks/{number}.png", blob(shape, (3, 7, 9)))
    result = predict(["--label", "7=Cell nucleus", "--label", "3=wall", "--probabilities"])
    assert result.exit_code == 0, result.output
    assert "Labels: 7 = Cell nucleus, 3 = wall" in result.output
    assert "Not looked for, as --label does not name them: 9" in result.output
    folders = {path.name for path in (tmp_path / "out/probabilities").iterdir()}
    assert folders == {"cell-nucleus", "wall"}
    assert set(np.unique(read(tmp_path / "out/a.png"))) <= {0, 3, 7}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["nucleus"], "'nucleus' names no label"),
        (["0=nucleus"], "'0=nucleus' names no label"),
        (["1="], "'1=' names no label"),
        (["1=left lung", "2=Left-lung"], "after another label of that value or name"),
        (["1=left", "1=right"], "after another label of that value or name"),
        (["4=lumen"], "No mask shows lumen (value 4)"),
    ],
)
def test_labels_that_cannot_be_are_refused(predict, pictures, labels, said):
    result = predict(itertools.chain(*(("--label", label) for label in labels)))
    assert result.exit_code == 1
    assert said in result.output


def with_masks(folder, masks):
    """The two examples, with other masks."""
    for number, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / f"support/masks/{number}.png")


@pytest.mark.parametrize("one", [np.bool_, np.uint8])
def test_masks_of_one_bit_and_of_eight_show_one_label(predict, pictures, tmp_path, one):
    with_masks(tmp_path, [blob((90, 121)).astype(one), blob((64, 64)) * 255])
    result = predict()
    assert result.exit_code == 0, result.output
    assert "Labels: 255 = label 255\n" in result.output
    assert "1 and 255, which are taken for one label" in " ".join(result.output.split())
    for name, mask in pictures.items():
        found = read(tmp_path / "out" / Path(name).with_suffix(".png").name)
        assert set(np.unique(found)) == {0, 255}
        assert dice(found > 0, mask) > 0.9


def test_the_one_label_has_the_value_that_is_named(predict, pictures, tmp_path):
    with_masks(tmp_path, [blob((90, 121)), blob((64, 64)) * 255])
    result = predict(["--label", "1=cell"])
    assert "Labels: 1 = cell\n" in result.output
    assert "Not looked for" not in result.output
    assert set(np.unique(read(tmp_path / "out/a.png"))) == {0, 1}


@pytest.mark.parametrize("options", [[], ["--label", "1=cell", "--label", "255=wall"]])
def test_values_that_one_mask_holds_both_are_two_labels(predict, pictures, tmp_path, options):
    both = blob((64, 64)) * 255
    if not options:
        both[:3, :3] = 1
    with_masks(tmp_path, [blob((90, 121)), both])
    result = predict(options)
    assert "Labels: 1 = " in result.output
    assert ", 255 = " in result.output


def test_an_ensemble_that_changes_nothing_is_mentioned(predict, pictures):
    assert "--ensemble 5 changes nothing" in predict(["--ensemble", 5]).output
    assert "changes nothing" not in predict(["--ensemble", 5, "--support-size", 1]).output
    assert "changes nothing" not in predict().output


def test_percentiles_take_the_place_of_a_window(predict, pictures, tmp_path):
    bright = grey(pictures["a.png"]).astype(np.uint16)
    bright[0, 0] = 60_000
    save(tmp_path / "query/a.png", bright)
    assert predict().exit_code == 0
    assert not read(tmp_path / "out/a.png").any()
    assert predict(["--percentiles", 0.5, 99.5]).exit_code == 0
    assert dice(read(tmp_path / "out/a.png") > 0, pictures["a.png"] > 0) >= 0.95
    result = predict(["--percentiles", 0.5, 99.5, "--window", 0, 255])
    assert result.exit_code == 1
    assert "exclude each other" in result.output


def test_it_says_how_far_it_is(predict, pictures):
    lines = predict().output.splitlines()
    assert any(line.startswith("Read: 2 of 2 examples") for line in lines)
    assert any(line.startswith("Predict: 3 of 3 files") for line in lines)


def test_of_a_volume_it_says_which_slice(predict, volumes, tmp_path):
    volume(tmp_path / "query/q.nii.gz", picture(ball((20, 40, 40))).astype(np.int16))
    said = predict().output
    assert "Predict: 20 of 20 slices of q.nii.gz (1 of 1)" in said
    assert "Expect: " in said


def test_a_report_and_a_table_say_what_was_found(predict, pictures, tmp_path):
    files = ["--report", tmp_path / "report.html", "--csv", tmp_path / "report.csv"]
    assert predict([*files, "--label", "255=cell"]).exit_code == 0
    found = list(csv.DictReader((tmp_path / "report.csv").read_text("utf-8-sig").splitlines()))
    assert [row["scan"] for row in found] == ["a", "b", "c"]
    for row in found:
        mask = read(tmp_path / "out" / f"{row['scan']}.png")
        assert (row["label"], int(row["pixels"])) == ("cell", np.count_nonzero(mask))
        assert (row["area_mm2"], row["objects"]) == ("", "1")
        assert 0.9 < float(row["expected_dice"]) <= 1
    page = (tmp_path / "report.html").read_text()
    assert page.count("<img") == 3 and "no spacing is known" in page


def test_neither_takes_the_place_of_what_is_read(predict, pictures, tmp_path):
    result = predict(["--csv", tmp_path / "support/masks/0.png"])
    assert result.exit_code == 1
    assert "is read, and would be overwritten" in result.output


def test_annotations_of_another_program_are_examples(predict, pictures, tmp_path):
    rows, columns = np.nonzero(blob((90, 121)))
    top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    shutil.rmtree(tmp_path / "support/masks")
    corners = [[int(left), int(top)], [int(right), int(bottom)]]
    shape = {"label": "Cell", "points": corners, "shape_type": "rectangle"}
    said = {"shapes": [shape], "imagePath": "0.png", "imageHeight": 90, "imageWidth": 121}
    (tmp_path / "support/images/0.json").write_text(json.dumps(said))
    result = predict(["--label", "cell", "--summary", tmp_path / "s.json"], query="query/a.png")
    assert result.exit_code == 0, result.output
    assert "Examples: 1, drawn in LabelMe" in result.output
    assert "Labels: 1 = Cell" in result.output
    assert json.loads((tmp_path / "s.json").read_text())["values"] == {"1": "Cell"}
    assert set(np.unique(read(tmp_path / "out/a.png"))) == {0, 1}


def test_what_has_no_partner_is_named_and_no_failure(predict, pictures, tmp_path):
    save(tmp_path / "support/images/lonely.png", grey(blob((30, 30))))
    result = predict()
    assert result.exit_code == 0
    assert "Without a partner: lonely.png" in result.output


def test_an_empty_window_is_refused(predict, pictures):
    result = predict(["--window", 10, 10])
    assert result.exit_code == 1
    assert "The range from 10 to 10 is empty" in result.output


def test_weights_are_read_from_a_file(predict, pictures, tmp_path, monkeypatch):
    monkeypatch.undo()
    save_weights(UniverSeg((4, 4), (4,)), tmp_path / "small.safetensors")
    result = predict(["--weights", tmp_path / "small.safetensors"])
    assert result.exit_code == 0, result.output
    assert written(tmp_path) == ["a.png", "b.png", "c.png"]


def test_weights_that_do_not_fit_are_explained(predict, pictures, tmp_path, monkeypatch):
    monkeypatch.undo()
    (tmp_path / "notes.pt").write_text("no weights")
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "other.pt")
    for weights in ("notes.pt", "other.pt", "gone.pt"):
        result = predict(["--weights", tmp_path / weights])
        assert result.exit_code == 1, weights
        assert weights in result.output
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_is_explained(predict, pictures):
    result = predict(["--device", "abacus"])
    assert result.exit_code == 1
    assert "cannot use the device 'abacus'" in result.output


def ball(shape):
    """An ellipsoid to the lower left of the front, in axes that are told apart."""
    axes = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    centre, radius = (0.4, 0.3, 0.6), (0.3, 0.25, 0.3)
    inside = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radius, strict=True)) < 1
    return inside.astype(np.uint8)


def oblique():
    """Axes turned a little about all three world axes, and one of them reversed."""
    angles = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3)
    return (np.reshape(angles.GetMatrix(), (3, 3)) @ np.diag([1, -1, 1])).ravel().tolist()


DIRECTIONS = {
    "LPS": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    "RAS": [-1, 0, 0, 0, -1, 0, 0, 0, 1],
    "PSR": [0, 0, -1, 1, 0, 0, 0, 1, 0],
    "oblique": oblique(),
}


def volume(path, voxels, direction="LPS"):
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.75, 1.25, 2.5))
    image.SetOrigin((-31.5, 12.25, 100.0))
    image.SetDirection(DIRECTIONS[direction])
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, path)
    return path


def geometry(path):
    image = sitk.ReadImage(path)
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


@pytest.fixture
def volumes(tmp_path):
    """Two labelled volumes, on axes of different order."""
    for number, direction in enumerate(["LPS", "PSR"]):
        mask = ball((21 + number, 30, 26))
        folder = tmp_path / "support"
        volume(folder / f"{number}.nii.gz", picture(mask).astype(np.int16), direction)
        volume(folder / f"{number}_seg.nii.gz", mask * 3, direction)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_a_volume_keeps_its_geometry(predict, volumes, tmp_path, plane, direction, suffix):
    mask = ball((19, 33, 28))
    query = volume(tmp_path / f"query/q{suffix}", picture(mask).astype(np.int16), direction)
    result = predict(["--plane", plane])
    assert result.exit_code == 0, result.output
    output = tmp_path / "out/q.nii.gz"
    found = sitk.GetArrayFromImage(sitk.ReadImage(output))
    assert set(np.unique(found)) == {0, 3}
    assert dice(found > 0, mask > 0) >= 0.95
    if suffix == ".nii.gz":
        assert geometry(output) == geometry(query)
        ours, theirs = nib.load(output).header, nib.load(query).header
        for field in ("dim", "pixdim", "qform_code", "sform_code", "srow_x", "srow_y", "srow_z"):
            np.testing.assert_array_equal(ours[field], theirs[field])
    else:  # NIfTI holds its geometry in single precision
        for ours, theirs in zip(geometry(output), geometry(query), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5 if direction == "oblique" else 0)


def test_what_is_written_of_a_volume_is_the_same_every_time(predict, volumes, tmp_path):
    volume(tmp_path / "query/q.nii.gz", picture(ball((9, 12, 11))).astype(np.int16))
    options = ["--probabilities", "--overlay", "--ensemble", 2, "--support-size", 1]
    contents = []
    for _ in range(2):
        assert predict(options).exit_code == 0
        contents.append([(tmp_path / "out" / name).read_bytes() for name in written(tmp_path)])
    assert written(tmp_path) == [
        "overlays/q.png",
        "probabilities/label-3/q.nii.gz",
        "q.nii.gz",
    ]
    assert contents[0] == contents[1]
    probabilities = nib.load(tmp_path / "out/probabilities/label-3/q.nii.gz").get_fdata()
    mask = np.asarray(nib.load(tmp_path / "out/q.nii.gz").dataobj)
    np.testing.assert_array_equal(probabilities > 0.5, mask > 0)


def dicom(folder, mask, directions, **said):
    """A scan in HU as a series, its files named to mislead, and where it lies."""
    write_series(folder, picture(mask).astype(np.int16) + 1024, directions, **said)
    reader = sitk.ImageSeriesReader()
    uid = said.get("SeriesInstanceUID", "1.2.3")
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), uid))
    return reader.Execute()


CT = {"RescaleSlope": 1, "RescaleIntercept": -1024, "Modality": "CT"}


def assert_in_place(path, series, mask):
    """Whether a prediction finds a mask where the series shows it, in the eyes of ITK."""
    found = sitk.ReadImage(path)
    assert found.GetSize() == series.GetSize()
    for corner in itertools.product(*((0, length - 1) for length in series.GetSize())):
        ours, theirs = (x.TransformIndexToPhysicalPoint(corner) for x in (found, series))
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert dice(sitk.GetArrayFromImage(found) > 0, mask > 0) >= 0.95


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.1, -0.2, 0.3), (0.2, 1.5, 0)])
def test_a_series_comes_back_where_it_was(predict, tmp_path, angles):
    for number, name in enumerate(["case1", "case2"]):
        mask = ball((14 + number, 30, 26))
        series = dicom(tmp_path / "support/images" / name, mask, turned(0, 0, number), **CT)
        labels = sitk.GetImageFromArray(mask)
        labels.CopyInformation(series)
        (tmp_path / "support/masks").mkdir(exist_ok=True)
        sitk.WriteImage(labels, tmp_path / f"support/masks/{name}.nii.gz")
    mask = ball((19, 33, 28))
    series = dicom(tmp_path / "query/patient7", mask, turned(*angles), **CT)
    result = predict(["--window", -10, 250, "--overlay"])
    assert result.exit_code == 0, result.output
    assert "Examples: 2, images/x with masks/x" in result.output
    assert written(tmp_path) == ["overlays/patient7.png", "patient7.nii.gz"]
    assert_in_place(tmp_path / "out/patient7.nii.gz", series, mask)
    assert predict(["--window", -10, 250], query="query/patient7").exit_code == 0
    assert_in_place(tmp_path / "out/patient7.nii.gz", series, mask)


def test_masks_that_lie_elsewhere_are_mentioned(predict, volumes, tmp_path):
    volume(tmp_path / "query/q.nii.gz", picture(ball((9, 12, 11))).astype(np.int16))
    assert "Warning" not in predict().output
    mask = sitk.ReadImage(tmp_path / "support/1_seg.nii.gz")
    mask.SetOrigin((0, 0, 0))
    sitk.WriteImage(mask, tmp_path / "support/1_seg.nii.gz")
    output = predict().output
    assert "Warning: 1_seg.nii.gz lies 106 mm from its image" in output
    assert "0_seg.nii.gz" not in output


def test_masks_in_jpeg_need_their_labels_named(predict, pictures, tmp_path):
    for number, shape in enumerate([(90, 121), (64, 64)]):
        (tmp_path / f"support/masks/{number}.png").unlink()
        save(tmp_path / f"support/masks/{number}.jpg", blob(shape) * 255)
    result = predict()
    assert result.exit_code == 1
    assert "shades of grey, as at smooth edges" in result.output
    assert "name the values that are labels with --label" in result.output
    result = predict(["--label", "255=cell"])
    assert result.exit_code == 0, result.output
    assert "Warning: 0.jpg is a JPEG, which blurs labels" in result.output
    assert "Of 1.jpg, only what --label names is seen" in result.output
    assert "Labels: 255 = cell\n" in result.output
    for name, mask in pictures.items():
        found = read(tmp_path / "out" / f"{name[0]}.png")
        assert dice(found > 0, mask > 0) >= 0.9


def test_what_cannot_be_scaled_says_what_to_do(predict, pictures, tmp_path):
    image = pictures["a.png"].astype(np.float32)
    save(tmp_path / "query/nan.tif", np.where(image > 0, np.nan, image))
    save(tmp_path / "query/flat.png", np.full((9, 9), 7, np.uint8))
    output = predict().output
    assert "voxels are NaN or infinite: give them the intensity of the background" in output
    assert "every voxel is 7; leave it out, or export it again" in output
    assert "give a window among these, or none" in predict(["--window", 3000, 4000]).output
    assert "give percentiles further apart, or none" in predict(["--percentiles", 1, 1.001]).output


def test_series_of_one_folder_are_told_apart(predict, volumes, tmp_path):
    masks = {"4": ball((14, 30, 26)), "5": ball((9, 22, 21))}
    names = [f"IM{n:02}" for n in range(14)]
    dicom(tmp_path / "query/p", masks["4"], np.eye(3), names=names, SeriesNumber=4)
    said = {"SeriesNumber": 5, "SeriesInstanceUID": "1.2.5", "SeriesDescription": "T2 / fat"}
    dicom(tmp_path / "query/p", masks["5"], np.eye(3), names=[f"b{n}" for n in range(9)], **said)
    dicom(tmp_path / "query/q/study/series", masks["5"], np.eye(3))
    result = predict()
    assert result.exit_code == 0, result.output
    assert written(tmp_path) == ["p-4.nii.gz", "p-5_T2_fat.nii.gz", "q-study-series.nii.gz"]
    found = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "out/p-4.nii.gz"))
    assert dice(found > 0, masks["4"] > 0) >= 0.95


def test_a_faulty_series_does_not_stop_the_rest(predict, volumes, tmp_path):
    mask = ball((14, 30, 26))
    dicom(tmp_path / "query/good", mask, np.eye(3))
    write_series(tmp_path / "query/bad", mask.astype(np.int16), skip=[6])
    (tmp_path / "query/worse").mkdir()
    (tmp_path / "query/worse/a.dcm").write_bytes(b"")
    result = predict()
    assert result.exit_code == 3
    assert "query/bad: series 3 lacks slices" in result.output
    assert "query/worse/a.dcm: " in result.output
    assert "unlike the examples" not in result.output
    assert written(tmp_path) == ["good.nii.gz"]


def test_frames_of_one_file_are_a_volume(predict, volumes, tmp_path):
    mask = ball((14, 30, 26))
    said = {"PixelSpacing": [1.25, 0.75], "SpacingBetweenSlices": 2.5}
    write_dicom(tmp_path / "query/cine.dcm", picture(mask).astype(np.uint16), **said)
    assert predict().exit_code == 0
    found = sitk.ReadImage(tmp_path / "out/cine.nii.gz")
    assert found.GetSpacing() == (0.75, 1.25, 2.5)
    assert dice(sitk.GetArrayFromImage(found) > 0, mask > 0) >= 0.95


def test_dicom_of_one_frame_is_a_picture(predict, tmp_path):
    for number in range(2):
        mask = blob((90, 70 + number))
        path = tmp_path / f"support/{number}.dcm"
        write_dicom(path, grey(mask), SeriesInstanceUID="1.2", ImagePositionPatient=None)
        save(tmp_path / f"support/{number}_mask.png", mask * 255)
    mask = blob((50, 64))
    write_dicom(
        tmp_path / "query/1.2.840.7", 255 - grey(mask), PhotometricInterpretation="MONOCHROME1"
    )
    write_dicom(tmp_path / "query/1.2.840.8.dcm", np.stack([grey(mask)] * 3, axis=-1))
    result = predict()
    assert result.exit_code == 0, result.output
    assert "Examples: 2, x with x_mask" in result.output
    assert "1 of 4 images are in colour" in result.output
    assert written(tmp_path) == ["1.2.840.7.png", "1.2.840.8.png"]
    for name in written(tmp_path):
        assert dice(read(tmp_path / "out" / name) > 0, mask > 0) >= 0.95


def test_an_overlay_of_a_volume_is_a_sheet_of_slices(predict, volumes, tmp_path):
    volume(tmp_path / "query/q.nii.gz", picture(ball((20, 40, 40))).astype(np.int16))
    assert predict(["--plane", "coronal", "--overlay"]).exit_code == 0
    height, width, _ = read(tmp_path / "out/overlays/q.png").shape
    tile_height, tile_width = Size(256, 384).of((20, 40), (2.5, 0.75))
    assert tile_height / tile_width == pytest.approx(20 * 2.5 / (40 * 0.75), rel=0.1)
    assert width // tile_width == 4 and height // tile_height == 3


class TestReal:
    """Files as they are distributed."""

    pytestmark = real

    def test_white_blood_cells(self, predict, tmp_path):
        with zipfile.ZipFile(MIRROR / "wbc/segmentation_WBC-master.zip") as archive:
            for number in range(1, 7):
                for suffix in ("bmp", "png"):
                    name = f"segmentation_WBC-master/Dataset 1/{number:03}.{suffix}"
                    folder = "support" if number < 5 else "query"
                    if folder == "support" or suffix == "bmp":
                        target = tmp_path / folder / f"{number:03}.{suffix}"
                        target.parent.mkdir(exist_ok=True)
                        target.write_bytes(archive.read(name))
        result = predict(["--probabilities"])
        assert result.exit_code == 0, result.output
        assert "Examples: 4, x.bmp with x.png" in result.output
        assert "6 of 6 images are in colour" in result.output
        for number in (5, 6):
            found = read(tmp_path / f"out/{number:03}.png")
            assert found.shape == read(tmp_path / f"query/{number:03}.bmp").shape[:2]
            assert set(np.unique(found)) <= {0, 128, 255}

    def test_hippocampus(self, predict, tmp_path):
        files = {}
        with tarfile.open(MIRROR / "msd/Task04_Hippocampus.tar") as archive:
            for member in archive:
                folder, _, name = member.name.partition("/")[2].rpartition("/")
                if folder in ("imagesTr", "labelsTr") and name[0] == "h" and member.isfile():
                    files[folder, name] = archive.extractfile(member).read()
        names = sorted({name for folder, name in files if folder == "labelsTr"})
        for name in names[:3]:
            for folder in ("imagesTr", "labelsTr"):
                target = tmp_path / "support" / folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(files[folder, name])
        query = tmp_path / "query" / names[3]
        query.parent.mkdir()
        query.write_bytes(files["imagesTr", names[3]])
        result = predict(["--plane", "coronal"])
        assert result.exit_code == 0, result.output
        assert "Examples: 3, imagesTr/x with labelsTr/x" in result.output
        assert geometry(tmp_path / "out" / names[3]) == geometry(query)
