"""Label files into labels: what each decoder takes for a label, and how tight its boxes are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from megamedical.catalogue.annotation import Mask
from megamedical.catalogue.group import FileGroup
from megamedical.errors import SubjectError
from megamedical.reading.scan import LabelMap, Layers
from megamedical.subjects.decoding import DECODERS, decode

SHAPES = arrays.array_shapes(min_dims=2, max_dims=3, max_side=7)
MEANINGS = {"liver": (1,), "vessel": (4, 2), "tumour": (7,)}


def group(labels, **mask) -> FileGroup:
    return FileGroup.model_validate(
        {
            "modality": "ct",
            "dimension": 2,
            "labels": labels,
            "subjects": 1,
            "image": "{patient}.png",
            "mask": mask,
            "subject": "{patient}",
            "patient": "{patient}",
        }
    )


def decoded(facts: FileGroup, files, shape=(2, 4)):
    """Labels to where they are; `files` maps patterns to what the files hold."""
    segmentation = decode(facts, {p: np.array(v) for p, v in files.items()}.__getitem__, shape)
    everything = tuple(slice(0, side) for side in segmentation.shape)
    return {
        label: segmentation.mask(label, everything).astype(int).tolist()
        for label in segmentation.boxes()
    }


def tight_box(mask):
    """The smallest box around what is true, the slow way."""
    where = np.argwhere(mask)
    if not len(where):
        return None
    return tuple(slice(*ends) for ends in zip(where.min(0), where.max(0) + 1, strict=True))


def refusal_of(facts: FileGroup, files, shape=(2, 4)) -> str:
    with pytest.raises(SubjectError) as refused:
        decoded(facts, files, shape)
    assert refused.value.stage == "decode"
    return refused.value.reason


VALUES = group({255: "nucleus", 128: "cytoplasm"}, decode="values", file="{patient}.gif")
SEVERAL = group({3: "lung", 1: "liver", 2: "lung"}, decode="values", file="{patient}.gif")
ABOVE = group({1: "vessel"}, decode="threshold", file="{patient}.gif", above=127)
DRAWN = group({1: "mandible"}, decode="drawn", file="{patient}.gif")
EACH = group(
    {1: "disc", 2: "cup"},
    decode="files",
    files={"cup": "{patient}_cup.gif", "disc": "{patient}_disc.gif"},
)


def test_every_decoder_a_manifest_may_name_is_there():
    assert set(DECODERS) == set(Mask.model_fields["decode"].annotation.__args__)


def test_values_that_mean_nothing_are_ignored():
    found = decoded(VALUES, {"{patient}.gif": [[0, 128, 127, 129], [255, 254, 1, 128]]})
    assert found == {
        "nucleus": [[0, 0, 0, 0], [1, 0, 0, 0]],
        "cytoplasm": [[0, 1, 0, 0], [0, 0, 0, 1]],
    }
    assert list(found) == ["nucleus", "cytoplasm"], "in the manifest's order"


def test_a_label_that_does_not_occur_has_no_box():
    assert list(decoded(VALUES, {"{patient}.gif": [[0, 128, 0, 0]] * 2})) == ["cytoplasm"]


def test_several_values_may_be_one_label():
    assert decoded(SEVERAL, {"{patient}.gif": [[0, 1, 2, 3], [4, 3, 2, 1]]}) == {
        "lung": [[0, 0, 1, 1], [0, 1, 1, 0]],
        "liver": [[0, 1, 0, 0], [0, 0, 0, 1]],
    }


def test_threshold_is_what_is_above_it():
    assert decoded(ABOVE, {"{patient}.gif": [[0, 127, 128, 255], [0, 1, 126, 127]]}) == {
        "vessel": [[0, 0, 1, 1], [0, 0, 0, 0]]
    }


@pytest.mark.parametrize("ground", [0, 24, 255])
def test_what_is_drawn_is_all_that_differs_from_its_ground(ground):
    rows = [[ground, ground, 7, ground], [ground, 200, ground, ground]]
    assert decoded(DRAWN, {"{patient}.gif": rows}) == {"mandible": [[0, 0, 1, 0], [0, 1, 0, 0]]}
    assert "the mask is empty" in refusal_of(DRAWN, {"{patient}.gif": [[ground] * 4] * 2})


def test_what_is_drawn_over_a_corner_has_no_known_ground():
    files = {"{patient}.gif": [[0, 9, 9, 30], [0, 0, 0, 0]]}
    assert refusal_of(DRAWN, files) == "the mask's corners are not of one grey: 0, 30"


def test_of_lines_inside_one_another_a_pixel_has_the_last():
    files = {"wall": "o.txt", "cavity": "i.txt"}
    facts = group({1: "cavity", 2: "wall"}, decode="contours", files=files)
    labels = decoded(facts, {"o.txt": [[1, 1, 1, 0]] * 2, "i.txt": [[0, 1, 0, 0]] * 2})
    assert labels == {"cavity": [[0, 1, 0, 0]] * 2, "wall": [[1, 0, 1, 0]] * 2}
    labels = decoded(facts, {"o.txt": [[0] * 4] * 2, "i.txt": [[0, 1, 0, 0]] * 2})
    assert labels == {"cavity": [[0, 1, 0, 0]] * 2}


def test_a_file_per_label_may_overlap_and_hold_any_value():
    files = {
        "{patient}_disc.gif": [[0, 255, 255, 0], [0, 1, 7, 0]],
        "{patient}_cup.gif": [[0, 0, 1, 0], [0, 0, 0, 0]],
    }
    found = decoded(EACH, files)
    assert found == {
        "disc": [[0, 1, 1, 0], [0, 1, 1, 0]],
        "cup": [[0, 0, 1, 0], [0, 0, 0, 0]],
    }
    assert list(found) == ["disc", "cup"]


@pytest.mark.parametrize("facts", [VALUES, ABOVE], ids=["values", "threshold"])
def test_a_mask_of_another_shape_is_refused(facts):
    files = {"{patient}.gif": [[0, 255, 255]] * 2}
    assert refusal_of(facts, files) == "the mask is 2x3, the image 2x4"
    assert refusal_of(facts, files, (1, 2, 3)) == "the mask is 2x3, the image 1x2x3"
    assert refusal_of(facts, files, (3, 2)) == "the mask is 2x3, the image 3x2"


def test_masks_of_different_shapes_are_refused():
    files = {"{patient}_disc.gif": [[1, 1, 0, 0]] * 2, "{patient}_cup.gif": [[1, 1, 1]] * 2}
    assert refusal_of(EACH, files) == "its masks differ in shape: [(2, 3), (2, 4)]"


@pytest.mark.parametrize(
    ("facts", "values"),
    [(VALUES, 0), (VALUES, 7), (SEVERAL, 4), (SEVERAL, -1), (ABOVE, 127), (EACH, 0)],
)
def test_an_empty_mask_is_refused(facts, values):
    files = dict.fromkeys(facts.mask.patterns, np.full((2, 4), values))
    assert "the mask is empty" in refusal_of(facts, files)


@given(
    values=arrays.arrays(
        st.sampled_from(["u1", "i1", "i2", ">i4", "u8"]), SHAPES, elements=st.integers(0, 9)
    ),
    flipped=st.booleans(),
    shift=st.integers(0, 2),
)
def test_boxes_of_values_are_tight(values, flipped, shift):
    if values.dtype.kind == "i":
        values = values - np.array(shift, values.dtype)
    values = values[::-1].T if flipped else values
    label_map = LabelMap(values, MEANINGS)
    expected = {label: np.isin(values, meant) for label, meant in MEANINGS.items()}
    boxes = label_map.boxes()
    assert boxes == {
        label: tight_box(mask) for label, mask in expected.items() if tight_box(mask) is not None
    }
    assert label_map.shape == values.shape
    for label, box in boxes.items():
        np.testing.assert_array_equal(label_map.mask(label, box), expected[label][box])


@given(
    layers=SHAPES.flatmap(
        lambda shape: st.dictionaries(
            st.sampled_from("abc"), arrays.arrays(np.bool_, shape, fill=st.just(False)), min_size=1
        )
    )
)
def test_boxes_of_layers_are_tight(layers):
    segmentation = Layers(layers)
    boxes = segmentation.boxes()
    assert boxes == {
        label: tight_box(mask) for label, mask in layers.items() if tight_box(mask) is not None
    }
    for label, box in boxes.items():
        np.testing.assert_array_equal(segmentation.mask(label, box), layers[label][box])
