"""Folders as people have them: annotations of other programs, colours, several masks."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.universeg.annotations.test_outlines import BOX, CORNERS, HOLE, SHAPE, coco
from tests.universeg.prediction.test_segmenter import Bright
from universeg.prediction.examples import find_pairs, read_example, read_support
from universeg.prediction.labels import asked_labels
from universeg.prediction.segmenter import Segmenter
from universeg.tuning.support import SupportError

SHADES = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint16).reshape(SHAPE)
RED, GREEN = (255, 0, 0), (0, 160, 0)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def image(path):
    return save(path, (SHADES % 251).astype(np.uint8))


def labelme(path, label="box", image_name=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"label": label, "points": CORNERS, "shape_type": "polygon"}
    said = {"shapes": [shape], "imagePath": image_name or f"{path.stem}.png"}
    path.write_text(json.dumps({**said, "imageHeight": SHAPE[0], "imageWidth": SHAPE[1]}))


def masks_of(pairing):
    return [read_example(pair, lambda _: None)[1] for pair in pairing.pairs]


def coloured(**parts):
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    for mask, colour in parts.values():
        pixels[mask] = colour
    return pixels


class TestAnnotations:
    def test_each_beside_its_picture(self, tmp_path):
        for name, label in (("a", "Cell"), ("b", "cell"), ("c", "nucleus")):
            image(tmp_path / f"{name}.png")
            labelme(tmp_path / f"{name}.json", label)
        pairing = find_pairs(tmp_path)
        assert pairing.how == "drawn in LabelMe"
        assert pairing.names == {1: "Cell", 2: "nucleus"}
        assert [int(mask.max()) for mask in masks_of(pairing)] == [1, 1, 2]
        np.testing.assert_array_equal(masks_of(pairing)[0] > 0, BOX)

    def test_one_file_for_all_with_pictures_in_a_folder(self, tmp_path):
        image(tmp_path / "images/pictures/a.png")
        image(tmp_path / "images/other/a.png")
        (tmp_path / "annotations").mkdir()
        whole = [float(number) for point in CORNERS for number in point]
        path = tmp_path / "annotations/instances_default.json"
        path.write_text(json.dumps(coco([[whole]])))
        for source in (tmp_path, path):
            (pair,) = find_pairs(source).pairs
            assert pair.image.path == tmp_path / "images/pictures/a.png"

    @pytest.mark.parametrize("name", ["../../secret.png", "/etc/secret.png", "C:\\x\\secret.png"])
    def test_nothing_outside_of_the_folder_is_opened(self, tmp_path, name):
        image(tmp_path / "secret.png")
        image(tmp_path / "folder/other.png")
        labelme(tmp_path / "folder/b.json", image_name=name)
        with pytest.raises(SupportError, match=r"No picture in .* is what LabelMe has drawn on"):
            find_pairs(tmp_path / "folder")

    def test_a_damaged_file_is_told_with_its_picture(self, tmp_path):
        for name in "ab":
            image(tmp_path / f"{name}.png")
        labelme(tmp_path / "a.json")
        (tmp_path / "b.json").write_text("{")
        first, second = find_pairs(tmp_path).pairs
        np.testing.assert_array_equal(read_example(first, print)[1] > 0, BOX)
        with pytest.raises(Exception, match=r"its mask b\.json is no JSON"):
            read_example(second, print)

    def test_masks_come_before_annotations(self, tmp_path):
        image(tmp_path / "a.png")
        save(tmp_path / "a_mask.png", BOX)
        labelme(tmp_path / "a.json")
        assert find_pairs(tmp_path).how == "x with x_mask"

    def test_a_label_is_chosen_by_its_name(self):
        names = {1: "Cell", 2: "left nucleus"}
        assert asked_labels(["Left nucleus"]).among(names) == {2: "left nucleus"}
        assert asked_labels([]).among(names) == names
        assert asked_labels(["2=n"]).among(names) == {2: "n"}
        with pytest.raises(SupportError, match=r"'brain'(.|\n)*Cell, left nucleus"):
            asked_labels(["brain"]).among(names)

    def test_they_are_read_in_python_too(self, tmp_path):
        image(tmp_path / "a.png")
        labelme(tmp_path / "a.json", "Nucleus")
        images, masks, names = read_support(tmp_path, ["nucleus"])
        assert images[0].shape == masks[0].shape == SHAPE
        assert names == {1: "Nucleus"}
        fitted = Segmenter(Bright()).fit(images, masks, names)
        assert fitted.predict(images[0]).labels == {1: "Nucleus"}
        with pytest.raises(SupportError, match=r"a\.png: its mask a\.json was drawn"):
            (tmp_path / "a.json").write_text((tmp_path / "a.json").read_text().replace("60", "61"))
            read_support(tmp_path)


class TestColours:
    def test_a_colour_is_a_label_with_the_name_that_is_given(self, tmp_path):
        image(tmp_path / "images/a.png")
        pixels = coloured(box=(BOX, RED), rest=(~BOX, (0, 0, 255)), inner=(BOX & ~HOLE, GREEN))
        save(tmp_path / "masks/a.png", pixels)
        asked = asked_labels(["#FF0000=tumour", "#00a000=necrosis"])
        pairing = find_pairs(tmp_path, asked.colours)
        assert asked.among(pairing.names) == {1: "tumour", 2: "necrosis"}
        (mask,) = masks_of(pairing)
        np.testing.assert_array_equal(mask == 1, HOLE)
        np.testing.assert_array_equal(mask == 2, BOX & ~HOLE)
        assert pairing.colours == {1: "#ff0000", 2: "#00a000"}

    def test_without_names_every_colour_but_black_is_a_label(self, tmp_path):
        for name, colour in (("a", RED), ("b", GREEN)):
            image(tmp_path / f"images/{name}.png")
            save(tmp_path / f"masks/{name}.png", coloured(box=(BOX, colour)))
        pairing = find_pairs(tmp_path)
        assert pairing.names == {1: "#00a000", 2: "#ff0000"}
        assert [int(mask.max()) for mask in masks_of(pairing)] == [2, 1]

    def test_grey_masks_in_colour_files_stay_what_they_are(self, tmp_path):
        image(tmp_path / "images/a.png")
        save(tmp_path / "masks/a.png", coloured(box=(BOX, (255, 255, 255))))
        pairing = find_pairs(tmp_path)
        assert pairing.names == {}
        assert [*np.unique(masks_of(pairing)[0])] == [0, 255]

    def test_a_palette_has_its_colours_where_they_are_asked_for(self, tmp_path):
        image(tmp_path / "images/a.png")
        picture = Image.fromarray(BOX.astype(np.uint8) * 5, mode="P")
        picture.putpalette([0, 0, 0] * 5 + [*RED])
        (tmp_path / "masks").mkdir()
        picture.save(tmp_path / "masks/a.png")
        assert masks_of(find_pairs(tmp_path))[0].max() == 5
        (mask,) = masks_of(find_pairs(tmp_path, {0xFF0000: 1}))
        np.testing.assert_array_equal(mask == 1, BOX)

    @pytest.mark.parametrize("given", [["#ff00=a"], ["#ff0000=a", "#ff0000=b"], ["#ff0000= "]])
    def test_colours_that_are_none_are_refused(self, given):
        with pytest.raises(SupportError, match="colour"):
            asked_labels(given)


class TestSeveralMasks:
    def test_numbered_ones_are_put_together(self, tmp_path):
        image(tmp_path / "benign (1).png")
        save(tmp_path / "benign (1)_mask.png", HOLE)
        save(tmp_path / "benign (1)_mask_1.png", BOX & ~HOLE)
        pairing = find_pairs(tmp_path)
        np.testing.assert_array_equal(masks_of(pairing)[0] > 0, BOX)
        assert pairing.notes == ("1 images have several masks, which are put together",)

    @pytest.mark.parametrize(
        "layout",
        [
            ["images/x.png", "masks/x/0001.png", "masks/x/0002.png"],
            ["images/x.png", "masks/x_1.png", "masks/x_2.png"],
            ["x1/images/9f3c.png", "x1/masks/a81b.png", "x1/masks/c0de.png"],
        ],
    )
    def test_a_mask_for_each_object(self, tmp_path, layout):
        image(tmp_path / layout[0])
        save(tmp_path / layout[1], HOLE)
        save(tmp_path / layout[2], BOX & ~HOLE)
        pairing = find_pairs(tmp_path)
        np.testing.assert_array_equal(masks_of(pairing)[0] > 0, BOX)
        assert pairing.names == {}

    @pytest.mark.parametrize(
        "layout",
        [
            ["images/{}.png", "masks/liver/{}.png", "masks/spleen/{}.png"],
            ["images/{}.png", "masks/{}/liver.png", "masks/{}/spleen.png"],
            ["{}/ct.png", "{}/segmentations/liver.png", "{}/segmentations/spleen.png"],
        ],
    )
    def test_a_mask_for_each_label(self, tmp_path, layout):
        for name in ("p1", "p2"):
            image(tmp_path / layout[0].format(name))
            save(tmp_path / layout[1].format(name), BOX)
            save(tmp_path / layout[2].format(name), BOX & ~HOLE)
        pairing = find_pairs(tmp_path)
        assert pairing.names == {1: "liver", 2: "spleen"}
        mask = masks_of(pairing)[0]
        np.testing.assert_array_equal((mask == 1).any(axis=0), BOX)
        np.testing.assert_array_equal((mask == 2).any(axis=0), BOX & ~HOLE)


class TestAdvice:
    def test_a_third_folder_is_left_aside_and_named(self, tmp_path):
        image(tmp_path / "images/a.png")
        image(tmp_path / "scans/q.png")
        save(tmp_path / "masks/a.png", BOX)
        pairing = find_pairs(tmp_path)
        assert pairing.how == "images/x with masks/x"
        assert pairing.notes == ("Left aside: scans/",)

    def test_two_ways_are_refused(self, tmp_path):
        for folder in ("images", "scans"):
            image(tmp_path / folder / "a.png")
        save(tmp_path / "masks/a.png", BOX)
        with pytest.raises(SupportError, match="images/x with masks/x and scans/x with masks/x"):
            find_pairs(tmp_path)

    def test_it_says_what_was_taken_for_what(self, tmp_path):
        image(tmp_path / "images/a.png")
        save(tmp_path / "masks/b.png", BOX)
        said = r"images/ \(a\.png\) for images and masks/ \(b\.png\) for masks: no name is in both"
        with pytest.raises(SupportError, match=said):
            find_pairs(tmp_path)

    @pytest.mark.parametrize(
        ("file", "content", "told"),
        [
            ("a.roi", "Iout", "ImageJ regions, not read here"),
            ("a.xml", "<annotation/>", "boxes of Pascal VOC"),
            ("a.json", '{"size": {}, "objects": []}', "Supervisely: export COCO"),
            ("labels.zip", "PK", "unpack it first"),
            ("a.txt", "0 0.5 0.5 0.1 0.1", "YOLO"),
        ],
    )
    def test_it_says_which_kind_it_is(self, tmp_path, file, content, told):
        image(tmp_path / "a.png")
        (tmp_path / file).write_text(content)
        with pytest.raises(SupportError, match=told):
            find_pairs(tmp_path)
