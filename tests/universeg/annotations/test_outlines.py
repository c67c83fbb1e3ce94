"""Files as LabelMe, COCO, CVAT, QuPath and VIA write them, each of the same two shapes."""

import base64
import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from megamedical.errors import SubjectError
from universeg.annotations.drawing import label_maps
from universeg.annotations.kinds import NotAnnotations, read_annotations
from universeg.annotations.naming import unified
from universeg.annotations.outlines.runs import lengths_in, pixels_of
from universeg.desk.masks import runs_of

SHAPE = (40, 60)
BOX = np.zeros(SHAPE, bool)  # x from 10 to 30, y from 5 to 25
BOX[5:25, 10:30] = True
HOLE = BOX.copy()  # of which x from 15 to 20, y from 10 to 15 is not
HOLE[10:15, 15:20] = False
ROUND = np.hypot(*(np.indices(SHAPE) + 0.5 - np.array([20, 45])[:, None, None])) <= 8

CORNERS = [[10.0, 5.0], [30.0, 5.0], [30.0, 25.0], [10.0, 25.0]]
INNER = [[15.0, 10.0], [20.0, 10.0], [20.0, 15.0], [15.0, 15.0]]


def png(mask):
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def packed(counts):
    """Runs as COCO packs them into letters."""
    text = ""
    for number, count in enumerate(counts):
        value = count - (counts[number - 2] if number > 2 else 0)
        while True:
            code = value & 31
            value >>= 5
            is_more = value != (-1 if code & 16 else 0)
            text += chr((code | 32 if is_more else code) + 48)
            if not is_more:
                break
    return text


def drawn(path, content):
    """What a file holds, as layers by name, of its first picture."""
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    _, annotations = read_annotations(path)
    names = unified(annotations.named())
    values = label_maps(annotations.drawings[0], SHAPE, names.values)
    sheets = values.reshape(-1, *SHAPE)
    layers = {name: (sheets == value).any(axis=0) for value, name in names.names.items()}
    return layers, annotations, names


class TestLabelMe:
    def test_every_shape_that_has_an_area(self, tmp_path):
        flat = {"group_id": None, "description": "", "flags": {}, "mask": None}
        shapes = [
            {"label": "box", "points": CORNERS, "shape_type": "polygon", **flat},
            {"label": "disc", "points": [[45, 20], [53, 20]], "shape_type": "circle", **flat},
            {"label": "corner", "points": [[4, 3], [0, 0]], "shape_type": "rectangle", **flat},
            {"label": "turned", "points": CORNERS, "shape_type": "rotation", **flat},
            {"label": "box", "points": [[1, 1], [9, 9]], "shape_type": "line", **flat},
            {"label": "__ignore__", "points": CORNERS, "shape_type": "polygon", **flat},
            {
                **flat,
                "label": "painted",
                "points": [[50, 30], [52, 33]],
                "shape_type": "mask",
                "mask": png(np.array([[1, 0, 1]] * 4, dtype=bool)),
            },
        ]
        layers, annotations, _ = drawn(
            tmp_path / "a.json",
            {
                "version": "5.5.0",
                "flags": {},
                "shapes": shapes,
                "imagePath": "..\\pictures\\a.jpg",
                "imageData": None,
                "imageHeight": 40,
                "imageWidth": 60,
            },
        )
        np.testing.assert_array_equal(layers["box"], BOX)
        np.testing.assert_array_equal(layers["turned"], BOX)
        np.testing.assert_array_equal(layers["disc"], ROUND)
        assert layers["corner"].sum() == 12 and layers["corner"][:3, :4].all()
        assert layers["painted"].sum() == 8 and layers["painted"][30:34, [50, 52]].all()
        assert annotations.notes == [
            "a.json holds what is no area of a label, and left out: 1 × line, 1 × __ignore__"
        ]

    def test_a_picture_of_another_size_is_refused(self, tmp_path):
        shape = {"label": "box", "points": CORNERS, "shape_type": "polygon"}
        said = {"shapes": [shape], "imagePath": "a.jpg", "imageHeight": 60, "imageWidth": 40}
        with pytest.raises(SubjectError, match="on a picture of 60 x 40, the image is 40 x 60"):
            drawn(tmp_path / "a.json", said)


def coco(segmentations, **changes):
    return {
        "info": {},
        "images": [{"id": 7, "file_name": "pictures/a.png", "height": 40, "width": 60}],
        "categories": [
            {"id": 3, "name": "Box", "supercategory": ""},
            {"id": 9, "name": "disc", "supercategory": ""},
        ],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 3, "iscrowd": 0, "segmentation": each}
            for n, each in enumerate(segmentations)
        ],
        **changes,
    }


class TestCoco:
    RUNS = runs_of(HOLE.T)

    @pytest.mark.parametrize(
        ("segmentation", "mask"),
        [
            ([[float(number) for point in CORNERS for number in point]], BOX),
            ({"counts": RUNS, "size": [40, 60]}, HOLE),
            ({"counts": packed(RUNS), "size": [40, 60]}, HOLE),
        ],
    )
    def test_polygons_and_runs(self, tmp_path, segmentation, mask):
        layers, annotations, names = drawn(tmp_path / "a.json", coco([segmentation]))
        np.testing.assert_array_equal(layers["Box"], mask)
        assert names.names == {3: "Box"}  # the category that nothing shows is none
        assert annotations.drawings[0].image == "pictures/a.png"

    def test_identities_are_numbers_or_texts_and_strays_are_told(self, tmp_path):
        outline = {"category_id": "7", "segmentation": [[4, 3, 20, 3, 20, 13, 4, 13]]}
        said = {
            "images": [{"id": "1", "file_name": "a.png", "width": 60, "height": 40}],
            "categories": [{"id": 7, "name": "cell"}],
            "annotations": [{"image_id": 1, **outline}, {"image_id": 2, **outline}],
        }
        layers, annotations, _ = drawn(tmp_path / "a.json", said)
        assert layers["cell"].sum() == 160
        assert "1 × annotation of a picture that is not listed" in annotations.notes[0]

    def test_what_the_desk_writes_is_read(self, tmp_path):
        from universeg.desk.masks import Masks
        from universeg.desk.results.polygons import Coco, write_geojson
        from universeg.results.labels import Label

        labels = [Label(value=2, name="ring", colour="#00ff00")]
        writer = Coco(labels)
        writer.add("a.png", Masks(SHAPE, {2: HOLE}))
        layers, _, names = drawn(
            tmp_path / "a.json", writer.write(tmp_path / "coco.json").read_text()
        )
        np.testing.assert_array_equal(layers["ring"], HOLE)
        assert names.names == {2: "ring"}
        path = write_geojson(tmp_path / "a.geojson", Masks(SHAPE, {2: HOLE}), labels)
        layers, _, names = drawn(tmp_path / "b.geojson", path.read_text())
        np.testing.assert_array_equal(layers["ring"], HOLE)
        assert [*names.colours.values()] == ["#00ff00"]

    @pytest.mark.parametrize(
        ("segmentation", "told"),
        [
            ({"counts": [10**15], "size": [40, 60]}, "do not fill"),
            ({"counts": [2400], "size": [10**6, 10**6]}, "for a picture of 40 x 60"),
            ({"counts": [-1, 2401], "size": [40, 60]}, "do not fill"),
            ({"counts": [10**30], "size": [40, 60]}, "longer than any picture"),
            ({"counts": [1.5], "size": [40, 60]}, "no whole numbers"),
            ({"counts": "~~~", "size": [40, 60]}, "packed in no way"),
            ({"counts": "o" * 10_000, "size": [40, 60]}, "packed in no way"),
            ({"size": [40, 60]}, "lacks 'counts'"),
            ([[0, 0, 1]], "x and y by turns"),
            ([[0, 0, 1, 1, 1e300, 5]], "far outside"),
            ([["a", "b", "c", "d", "e", "f"]], "no pairs of numbers"),
        ],
    )
    def test_hostile_segmentations_are_refused(self, tmp_path, segmentation, told):
        with pytest.raises(SubjectError, match=told):
            drawn(tmp_path / "a.json", coco([segmentation]))

    def test_painting_over_and_over_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("universeg.annotations.drawing._MOST_WORK", 10_000)
        whole = [0.0, 0.0, 60.0, 0.0, 60.0, 40.0, 0.0, 40.0]
        with pytest.raises(SubjectError, match="again and again"):
            drawn(tmp_path / "a.json", coco([[whole]] * 9))


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_runs_give_the_pixels_that_they_were_made_of(mask):
    counts = runs_of(mask.T)
    np.testing.assert_array_equal(pixels_of(counts, mask.shape, by_columns=True), mask)
    assert lengths_in(packed(counts)) == counts
    rows = runs_of(mask)
    np.testing.assert_array_equal(pixels_of(rows, mask.shape, by_columns=False), mask)


@given(st.text(max_size=30))
def test_packed_runs_never_do_more_than_be_refused(text):
    try:
        lengths = lengths_in(text)
    except ValueError:
        return
    assert len(lengths) <= len(text)


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><labels>
    <label><name>box</name><color>#FA3253</color><type>any</type><attributes></attributes></label>
    <label><name>disc</name><color>#33ddff</color><type>any</type><attributes></attributes></label>
    <label><name>unused</name><color>#000000</color></label>
  </labels></task><dumped>2024-05-01</dumped></meta>
  <image id="0" name="set/a.png" width="60" height="40">
    {shapes}
  </image>
  <image id="1" name="set/b.png" width="60" height="40"></image>
</annotations>
"""
_MASK_RUNS = ", ".join(map(str, runs_of(HOLE[5:25, 10:30])))


class TestCvat:
    @pytest.mark.parametrize(
        ("shape", "mask"),
        [
            ('<polygon label="box" source="manual" occluded="0" z_order="0" '
             'points="10.00,5.00;30.00,5.00;30.00,25.00;10.00,25.00"></polygon>', BOX),
            ('<box label="box" occluded="0" xtl="10.00" ytl="5.00" xbr="30.00" ybr="25.00"/>', BOX),
            ('<box label="box" xtl="10" ytl="5" xbr="30" ybr="25" rotation="90.0"/>', BOX),
            ('<ellipse label="box" cx="45.00" cy="20.00" rx="8.00" ry="8.00" z_order="0"/>', ROUND),
            (f'<mask label="box" rle="{_MASK_RUNS}" left="10" top="5" width="20" height="20"/>',
             HOLE),
        ],
    )  # fmt: skip
    def test_every_shape_that_has_an_area(self, tmp_path, shape, mask):
        line = '<polyline label="disc" points="1,1;5,5"/><points label="disc" points="3,3"/>'
        layers, annotations, names = drawn(
            tmp_path / "annotations.xml", CVAT.format(shapes=shape + line)
        )
        np.testing.assert_array_equal(layers["box"], mask)
        assert [drawing.image for drawing in annotations.drawings] == ["set/a.png", "set/b.png"]
        assert [*names.colours.values()] == ["#fa3253"]
        assert "1 × polyline, 1 × points" in annotations.notes[0]

    def test_a_turned_ellipse_and_a_turned_box(self, tmp_path):
        shapes = (
            '<ellipse label="box" cx="30" cy="20" rx="15" ry="4" rotation="90"/>'
            '<box label="disc" xtl="20" ytl="15" xbr="40" ybr="25" rotation="90"/>'
        )
        layers, _, _ = drawn(tmp_path / "a.xml", CVAT.format(shapes=shapes))
        rows, columns = np.nonzero(layers["box"])
        assert np.ptp(rows) == 29 and np.ptp(columns) == 7
        rows, columns = np.nonzero(layers["disc"])
        assert np.ptp(rows) == 19 and np.ptp(columns) == 9

    def test_a_video_is_told_what_to_export(self, tmp_path):
        video = '<annotations><track id="0" label="x"><polygon frame="0" points="1,1"/></track></annotations>'  # noqa: E501
        with pytest.raises(SubjectError, match="export `CVAT for images`"):
            drawn(tmp_path / "a.xml", video)

    @pytest.mark.parametrize(
        "text",
        [
            '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;">]><annotations>&b;</annotations>',  # noqa: E501
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
            "<a>" * 5000 + "</a>" * 5000,
            "<annotations>",
            "",
        ],
    )
    def test_hostile_xml_is_refused(self, tmp_path, text):
        with pytest.raises(SubjectError, match="is no XML that is read"):
            drawn(tmp_path / "a.xml", text)


def feature(geometry, classification):
    return {
        "type": "Feature",
        "id": "3b2c3f5e-5c1c-4c53-9f3e-6b0d4d3f1f9a",
        "geometry": geometry,
        "properties": {"objectType": "annotation", **classification},
    }


RING, INSIDE = [*CORNERS, CORNERS[0]], [*INNER, INNER[0]]
TUMOR = {"classification": {"name": "Tumor", "color": [200, 0, 0]}}
OLD = {"classification": {"name": "Tumor", "colorRGB": -3670016}}


class TestGeoJson:
    @pytest.mark.parametrize(
        "properties", [TUMOR, OLD, {"classification": {"names": ["Tumor"], "color": [200, 0, 0]}}]
    )
    @pytest.mark.parametrize("wrap", [
        lambda features: {"type": "FeatureCollection", "features": features},
        lambda features: features,
        lambda features: features[0],
    ])  # fmt: skip
    def test_a_polygon_with_a_hole_and_its_class(self, tmp_path, properties, wrap):
        polygon = {"type": "Polygon", "coordinates": [RING, INSIDE]}
        layers, annotations, names = drawn(
            tmp_path / "slide 1.geojson", wrap([feature(polygon, properties)])
        )
        np.testing.assert_array_equal(layers["Tumor"], HOLE)
        assert [*names.colours.values()] == ["#c80000"]
        assert annotations.drawings[0].image == "slide 1"

    def test_classes_that_qupath_does_not_count_are_left_out_and_told(self, tmp_path):
        whole = feature({"type": "Polygon", "coordinates": [RING]}, TUMOR)
        region = {"classification": {"name": "Region*", "color": [0, 0, 180]}}
        ignored = feature({"type": "Polygon", "coordinates": [INSIDE]}, region)
        layers, annotations, _ = drawn(
            tmp_path / "a.geojson", {"type": "FeatureCollection", "features": [whole, ignored]}
        )
        assert [*layers] == ["Tumor"]
        assert "1 × Region*" in annotations.notes[0]

    def test_parts_and_collections_are_drawn_and_points_left_out(self, tmp_path):
        far = [[x + 25, y + 10] for x, y in INSIDE]
        parts = {"type": "MultiPolygon", "coordinates": [[RING], [far]]}
        both = {"type": "GeometryCollection", "geometries": [parts, {"type": "Point"}]}
        layers, annotations, _ = drawn(tmp_path / "a.json", [feature(both, {})])
        assert layers["unnamed"].sum() == 400 + 25
        assert "1 × Point" in annotations.notes[0]


REGION = {
    "shape_attributes": {
        "name": "polygon",
        "all_points_x": [x for x, _ in CORNERS],
        "all_points_y": [y for _, y in CORNERS],
    },
    "region_attributes": {"quality": {"good": True}, "Class": "box"},
}
CIRCLE = {
    "shape_attributes": {"name": "circle", "cx": 45, "cy": 20, "r": 8},
    "region_attributes": {"quality": {}, "Class": "2"},
}


def via(regions):
    return {"a.png1234": {"filename": "a.png", "size": 1234, "regions": regions,
                          "file_attributes": {}}}  # fmt: skip


class TestVia:
    @pytest.mark.parametrize(
        "said",
        [
            via({"0": REGION, "1": CIRCLE}),
            via([REGION, CIRCLE]),
            {
                "_via_settings": {},
                "_via_img_metadata": via([REGION, CIRCLE]),
                "_via_attributes": {
                    "region": {"Class": {"type": "dropdown", "options": {"2": "disc"}}},
                    "file": {},
                },
                "_via_data_format_version": "2.0.10",
                "_via_image_id_list": ["a.png1234"],
            },
        ],
    )
    def test_versions_one_and_two(self, tmp_path, said):
        layers, _, _ = drawn(tmp_path / "via_project.json", said)
        np.testing.assert_array_equal(layers["box"], BOX)
        other = "disc" if "_via_attributes" in said else "2"
        np.testing.assert_array_equal(layers[other], ROUND)

    def test_version_three(self, tmp_path):
        flat = [number for point in CORNERS for number in point]
        said = {
            "project": {"pid": "x", "data_format_version": "3.1.1", "vid_list": ["1"]},
            "config": {},
            "attribute": {"1": {"aname": "class", "anchor_id": "FILE1_Z0_XY1", "type": 4,
                                "options": {"0": "box", "1": "disc"}}},
            "file": {"1": {"fid": 1, "fname": "a.png", "type": 2, "loc": 1, "src": ""}},
            "metadata": {
                "1_a": {"vid": "1", "flg": 0, "z": [], "xy": [7, *flat], "av": {"1": "0"}},
                "1_b": {"vid": "1", "flg": 0, "z": [], "xy": [3, 45, 20, 8], "av": {"1": "1"}},
                "1_c": {"vid": "1", "flg": 0, "z": [], "xy": [1, 4, 4], "av": {"1": "1"}},
                "1_d": {"vid": "1", "flg": 0, "z": [1.0], "xy": [], "av": {}},
            },
            "view": {"1": {"fid_list": [1]}},
        }  # fmt: skip
        layers, _, _ = drawn(tmp_path / "via3.json", said)
        np.testing.assert_array_equal(layers["box"], BOX)
        np.testing.assert_array_equal(layers["disc"], ROUND)

    @pytest.mark.parametrize("first", ["filename", "#filename"])
    def test_tables(self, tmp_path, first):
        head = f"{first},file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"  # noqa: E501
        rows = [head]
        for number, region in enumerate([REGION, CIRCLE]):
            cells = [json.dumps(region[key]).replace('"', '""') for key in REGION]
            rows.append(f'a.png,1234,"{{}}",2,{number},"{cells[0]}","{cells[1]}"')
        rows.append('b.png,1,"{}",0,0,"{}","{}"')
        layers, annotations, _ = drawn(tmp_path / "via.csv", "\n".join(rows))
        np.testing.assert_array_equal(layers["box"], BOX)
        assert [drawing.image for drawing in annotations.drawings] == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "[" * 100_000, "nested deeper"),
        ("a.json", '{"shapes": [{"points": [[NaN, 1], [2, 2], [3, 1]]}]}', "no number"),
        ("a.json", "{", "no JSON"),
        ("a.json", '{"images": [{"id": 1}], "annotations": []}', "COCO has it, but lacks 'height'"),
        ("a.json", '{"shapes": [7]}', "LabelMe has it, but holds something else"),
        ("a.json", '{"images": 5, "annotations": []}', "unknown kind"),
        ("a.json", '{"size": {}, "objects": []}', "Supervisely"),
        ("a.json", '[{"data": {}, "annotations": []}]', "Label Studio"),
        ("a.mrk.json", '{"markups": []}', "markups of 3D Slicer"),
        ("a.xml", "<annotation><object/></annotation>", "Pascal VOC"),
        ("a.xml", "<ASAP_Annotations/>", "import it into QuPath"),
        ("a.csv", "patient,age\n1,40\n", "no table of annotations"),
    ],
)
def test_what_is_not_read_is_told(tmp_path, name, text, told):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(SubjectError, match=told):
        read_annotations(path)


def test_settings_beside_a_dataset_are_not_worth_a_word(tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": {}}')
    with pytest.raises(NotAnnotations) as refused:
        read_annotations(tmp_path / "dataset.json")
    assert refused.value.reason == ""


def test_labels_that_overlap_keep_all_their_pixels(tmp_path):
    shapes = [
        {"label": "outer", "points": CORNERS, "shape_type": "polygon"},
        {"label": "inner", "points": INNER, "shape_type": "polygon"},
    ]
    layers, _, _ = drawn(tmp_path / "a.json", {"shapes": shapes, "imagePath": "a.png"})
    np.testing.assert_array_equal(layers["outer"], BOX)
    np.testing.assert_array_equal(layers["inner"], BOX & ~HOLE)


WHOLE = [
    {"shapes": [{"label": "a", "points": CORNERS, "shape_type": "polygon"},
                {"label": "b", "points": [[1, 1], [3, 3]], "shape_type": "mask",
                 "mask": png(np.ones((3, 3), bool))}],
     "imagePath": "a.png", "imageHeight": 40, "imageWidth": 60},
    coco([[[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]], {"counts": [2400], "size": [40, 60]}]),
    {"type": "FeatureCollection",
     "features": [feature({"type": "Polygon", "coordinates": [RING, INSIDE]}, TUMOR)]},
    {"_via_img_metadata": via([REGION, CIRCLE]), "_via_attributes": {"region": {"Class": {}}}},
]  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False),
    st.text(max_size=5), st.just([]), st.just({}), st.just([[[]]]), st.just({"name": 5}),
)  # fmt: skip


@st.composite
def mutated(draw):
    """What a program writes, with one thing in it that no program writes."""
    said = json.loads(json.dumps(draw(st.sampled_from(WHOLE))))
    place = said
    while True:
        keys = [*place] if isinstance(place, dict) else [*range(len(place))]
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            place[key] = draw(ODD)
            return said
        place = inner


@given(said=mutated())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_a_file_says_it_is_read_or_refused(tmp_path, said):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(said))
    try:
        _, annotations = read_annotations(path)
        values = unified(annotations.named()).values
        for drawing in annotations.drawings:
            assert label_maps(drawing, SHAPE, values).shape[-2:] == SHAPE
    except SubjectError as error:
        assert error.reason or isinstance(error, NotAnnotations)
