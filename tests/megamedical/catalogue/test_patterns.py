"""Path patterns: matching and filling are each other's inverse, and literal text is literal."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from megamedical.catalogue.patterns import Pattern

NAMES = st.text("abc_", min_size=1, max_size=3)
VALUES = st.text(string.ascii_letters + string.digits + " é", min_size=1, max_size=6)
SEPARATORS = st.text(r".+*?()[]^$|\-_/#&~", min_size=1, max_size=4)


@given(
    names=st.lists(NAMES, min_size=1, max_size=5),
    separators=st.lists(SEPARATORS, min_size=6, max_size=6),
    data=st.data(),
)
def test_a_filled_pattern_matches_with_the_same_fields(names, separators, data):
    fields = {name: data.draw(VALUES) for name in names}
    pieces = [separator + f"{{{name}}}" for separator, name in zip(separators, names, strict=False)]
    pattern = Pattern("".join([*pieces, separators[-1]]))
    assert pattern.match(pattern.fill(fields)) == fields
    assert pattern.fields == tuple(dict.fromkeys(names))


@given(
    text=st.sampled_from(
        [
            "{a}",
            "{a}/{b}",
            "{a}{b}",
            "{a}_{a}",
            "{a:[0-9]+}_{b}.x",
            "{a:.*}.x",
            "{a:x|0_}{b}",
            "a/{b:[0-9]{2}}",
        ]
    ),
    path=st.text("ab0/_.x", max_size=12),
)
def test_filling_in_what_matched_gives_the_path_back(text, path):
    fields = Pattern(text).match(path)
    if fields is not None:
        assert Pattern(text).fill(fields) == path


@pytest.mark.parametrize(
    ("text", "path", "fields"),
    [
        ("scan.nii", "scan.nii", {}),
        ("scan.nii", "scanXnii", None),
        ("scan.nii", "a/scan.nii", None),
        ("scan.nii", "scan.nii.gz", None),
        ("{case}.nii", "1.nii", {"case": "1"}),
        ("{case}.nii", "a/1.nii", None),
        ("{case}.nii", ".nii", None),
        ("{part}/{case}.nii", "a/1.nii", {"part": "a", "case": "1"}),
        ("{part}/{case}.nii", "a/b/1.nii", None),
        ("{path:.+}/{case}.nii", "a/b/1.nii", {"path": "a/b", "case": "1"}),
        ("{case:[0-9]+}.nii", "12.nii", {"case": "12"}),
        ("{case:[0-9]+}.nii", "x12.nii", None),
        ("{case:[0-9]{2,3}}.nii", "12.nii", {"case": "12"}),
        ("{case:[0-9]{2,3}}.nii", "1.nii", None),
        ("{part:training|test}/1", "training/1", {"part": "training"}),
        ("{part:training|test}/1", "test/1", {"part": "test"}),
        ("{part:training|test}/1", "training", None),
        ("{patient}/{patient}_1.nii", "p1/p1_1.nii", {"patient": "p1"}),
        ("{patient}/{patient}_1.nii", "p1/p2_1.nii", None),
        ("{patient}_{patient}_{patient}", "1_1_1", {"patient": "1"}),
        ("{patient}_{patient}_{patient}", "1_1_2", None),
        ("(a|b)[0-9]*.nii", "(a|b)[0-9]*.nii", {}),
        ("(a|b)[0-9]*.nii", "a1.nii", None),
        ("Dataset 1/{cell}.png", "Dataset 1/3.png", {"cell": "3"}),
        (r"a\{case}", r"a\1", {"case": "1"}),
    ],
)
def test_match(text, path, fields):
    assert Pattern(text).match(path) == fields


def test_fill_uses_only_its_own_fields():
    assert Pattern("{a}-{a}-{b:[0-9]+}").fill({"a": "x", "b": "7", "c": "?"}) == "x-x-7"


@pytest.mark.parametrize(
    "text", ["", "scan.nii", "{a}/{b_c}", "{a:[0-9]{2}}", "{a:x|y}", "a(b)[c]*"]
)
def test_what_can_be_a_pattern(text):
    Pattern(text).check()


@pytest.mark.parametrize(
    "text", ["{", "a}", "{}", "{A}", "{case1}", "{a:}", "{a b}", "{{a}}", "{a:[}", "{a:(}"]
)
def test_what_cannot_be_a_pattern(text):
    with pytest.raises(ValueError, match=r"brace|regular expression"):
        Pattern(text).check()
