"""Videos and the spreadsheets that say which of their frames are annotated."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from miniatures.files import spreadsheet, video_of
from PIL import Image
from pydantic import ValidationError

import megamedical.reading.spreadsheets
import megamedical.reading.video
from megamedical.catalogue.datasets import catalog
from megamedical.catalogue.group import FileGroup
from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.reading.contract import Part
from megamedical.reading.file_parts import count_pictures, read_picture_part
from megamedical.reading.spreadsheets import find_row
from megamedical.reading.video import count_frames, read_frame
from megamedical.subjects.assembly import Assembly
from megamedical.subjects.matching import find_subjects

HEIGHT, WIDTH, COUNT = 32, 48, 10
HEART = catalog()["hmc-qu"].groups["a4c"]


def film() -> list[np.ndarray]:
    """Frames with a bright bar, which is four pixels further to the right in each."""
    frames = np.full((COUNT, HEIGHT, WIDTH), 20, np.uint8)
    for number, frame in enumerate(frames):
        frame[:, 4 * number : 4 * number + 4] = 220
    return list(frames)


def shown_in(frame: np.ndarray) -> int:
    """The number of the frame that a picture shows."""
    assert frame.shape == (HEIGHT, WIDTH)
    bars = frame.mean(axis=0).reshape(-1, 4).mean(axis=1)
    assert sorted(bars)[-1] > 2 * sorted(bars)[-2]
    return int(bars.argmax())


# Frames


@pytest.fixture(params=["mpeg4 avi", "mjpeg avi", "ffv1 avi", "mpeg4 mp4"])
def recording(request, tmp_path) -> Path:
    codec, kind = request.param.split()
    path = tmp_path / f"heart.{kind}"
    path.write_bytes(video_of(film(), kind, codec))
    return path


@pytest.mark.parametrize("order", [range(COUNT), [7, 2, 2, 9, 0], [COUNT - 1]])
def test_each_frame_is_the_one_of_its_number(recording, order):
    assert count_frames(recording) == count_pictures(recording) == COUNT
    assert [shown_in(read_frame(recording, number)) for number in order] == [*order]
    assert [shown_in(read_picture_part(recording, Part(frame=n))) for n in order] == [*order]


def test_frames_in_their_order_are_decoded_once(recording, monkeypatch):
    opened = []
    real = megamedical.reading.video._opened
    monkeypatch.setattr(
        megamedical.reading.video, "_opened", lambda path: opened.append(path) or real(path)
    )
    for number in (2, 3, 4, 7):
        read_frame(recording, number)
    assert len(opened) == 1


def test_a_file_that_changed_is_read_anew(recording):
    read_frame(recording, 1)
    kind = recording.suffix[1:]
    recording.write_bytes(video_of(film()[::-1], kind))
    assert shown_in(read_frame(recording, 2)) == COUNT - 3


def test_colours_without_luma_become_grey_as_elsewhere(tmp_path):
    av = pytest.importorskip("av")
    colours = np.random.default_rng(0).integers(0, 256, (3, 16, 20, 3)).astype(np.uint8)
    with av.open(tmp_path / "colours.avi", "w") as file:
        stream = file.add_stream("rawvideo", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 20, "bgr24"
        for frame in colours:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
    found = read_picture_part(tmp_path / "colours.avi", Part(frame=1))
    expected = np.asarray(Image.fromarray(colours[1]).convert("F"))
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("matrix", "meant"),
    [
        ((-1, 0, 0, -1), lambda frame: np.rot90(frame, 2)),
        ((0, 1, -1, 0), lambda frame: np.rot90(frame, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((0, 1, 1, 0), np.transpose),
        ((0, -1, -1, 0), lambda frame: np.rot90(frame.T, 2)),
    ],
)
def test_a_film_that_is_turned_stands_as_it_is_shown(tmp_path, matrix, meant):
    """Telephones keep frames as their sensor lies, and say how to turn them; some mirror them."""
    path, content = tmp_path / "a.mp4", bytearray(video_of(film(), "mp4"))
    path.write_bytes(content)
    shown = read_frame(path, 3)
    place = content.index(b"tkhd") + 44  # of its matrix, in 16.16
    a, b, c, d = (number << 16 for number in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = tmp_path / "turned.mp4"
    path.write_bytes(content)
    np.testing.assert_array_equal(read_frame(path, 3), meant(shown))


def test_a_frame_that_is_not_there_is_told(recording):
    for number in (COUNT, COUNT + 5):
        told = f"has no frame {number}: {COUNT} can be decoded"
        with pytest.raises(SubjectError, match=told) as refused:
            read_frame(recording, number)
        assert refused.value.file == recording.name
    assert shown_in(read_frame(recording, 3)) == 3


def test_nothing_is_read_behind_damage(tmp_path):
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 256, (64, 64)).astype(np.uint8) for _ in range(20)]
    content = video_of(noisy)
    middle = len(content) // 2
    (tmp_path / "whole.avi").write_bytes(content)
    path = tmp_path / "damaged.avi"
    path.write_bytes(content[:middle] + bytes(400) + content[middle + 400 :])
    whole = [read_frame(tmp_path / "whole.avi", number) for number in range(20)]
    readable = 0
    for number in range(20):
        try:
            found = read_frame(path, number)
        except SubjectError as error:
            assert error.file == "damaged.avi"
            break
        np.testing.assert_array_equal(found, whole[number])
        readable += 1
    assert 5 < readable < 15
    for number in (readable, 19):
        with pytest.raises(SubjectError, match="damaged"):
            read_frame(path, number)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 99, video_of(film())[:3000]])
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "heart.avi"
    path.write_bytes(content)
    for read in (count_frames, lambda path: read_frame(path, 0)):
        with pytest.raises(SubjectError) as refused:
            read(path)
        assert refused.value.file == "heart.avi"
        assert str(tmp_path) not in refused.value.reason


def test_a_playlist_in_disguise_opens_no_other_file(tmp_path):
    (tmp_path / "secret.avi").write_bytes(video_of(film()))
    path = tmp_path / "heart.avi"
    path.write_text("ffconcat version 1.0\nfile secret.avi\n")
    assert pytest.importorskip("av").open(path).format.name == "concat", "it would be followed"
    with pytest.raises(SubjectError):
        count_frames(path)


@pytest.mark.parametrize(
    ("bound", "told"), [("_MOST", "holds more than 9"), ("_LARGEST", "pixels")]
)
def test_sizes_are_bounded(recording, monkeypatch, bound, told):
    monkeypatch.setattr(megamedical.reading.video, bound, 9)
    with pytest.raises(SubjectError, match=told):
        count_frames(recording)


@pytest.mark.parametrize("missing", ["av", "openpyxl"])
def test_what_must_be_installed_is_told(tmp_path, monkeypatch, missing):
    files = annotated(tmp_path)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MegaMedicalError, match="which is not installed") as refused:
        find_subjects("hmc-qu", "a4c", HEART, files)
    assert not isinstance(refused.value, SubjectError)
    assert refused.value.remedy == "pip install 'megamedical[video]'"


# Spreadsheets


@pytest.fixture
def sheet(tmp_path) -> Path:
    path = tmp_path / "A4C.xlsx"
    rows = [["ECHO", "first"], ["a ", 3], ["b", 4.0], ["b", 5], [None, 6, "ü"]]
    path.write_bytes(spreadsheet(rows))
    return path


def test_a_row_is_found_by_what_its_cells_say(sheet):
    assert find_row(sheet, {"A": "a"})["B"] == "3"
    assert find_row(sheet, {"A": " b", "B": "4"})["B"] == "4"
    assert find_row(sheet, {"C": "ü"}) == {"B": "6", "C": "ü"}


@pytest.mark.parametrize(
    ("cells", "told"), [({"A": "c"}, "no row has c in A"), ({"A": "b"}, "2 rows have b in A")]
)
def test_a_row_that_is_not_there_once_is_told(sheet, cells, told):
    with pytest.raises(SubjectError, match=told):
        find_row(sheet, cells)


@pytest.mark.parametrize("content", [b"", b"PK but no zip", spreadsheet([["ECHO"]])[:900]])
def test_a_damaged_spreadsheet_is_told(tmp_path, content):
    path = tmp_path / "A4C.xlsx"
    path.write_bytes(content)
    with pytest.raises(SubjectError) as refused:
        find_row(path, {"A": "a"})
    assert refused.value.file == "A4C.xlsx"


def test_a_spreadsheet_that_unpacks_to_too_much_is_told(sheet, monkeypatch):
    monkeypatch.setattr(megamedical.reading.spreadsheets, "_LARGEST", 100)
    with pytest.raises(SubjectError, match="unpacks to more than 100 bytes"):
        find_row(sheet, {"A": "a"})


# Which frames are annotated

NAME = "ES0001 _4CH_1"
IMAGE, SHEET = f"HMC-QU/A4C/{NAME}.avi", "A4C.xlsx"
MASK = f"LV Ground-truth Segmentation Masks/Mask_{NAME}.mat"


def annotated(
    folder: Path, first: object = 4, last: object = 6, tick: str | None = "ü", pictures: int = 3
) -> dict[str, Path]:
    """A recording, the row of its annotated frames, and a mask of so many pictures."""
    from scipy.io import savemat

    masks = np.zeros((pictures, 8, 6), np.uint8)
    for number, mask in enumerate(masks):
        mask[number : number + 2, 1:3] = 1
    mat = io.BytesIO()
    savemat(mat, {"predicted": masks})
    rows = [["ECHO"], [NAME, *[0] * 6, first, last, tick]]
    files = {IMAGE: video_of(film()), MASK: mat.getvalue(), SHEET: spreadsheet(rows)}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return {path: folder / path for path in files}


def find(files) -> tuple[list[str], dict[str, str]]:
    subjects, failures = find_subjects("hmc-qu", "a4c", HEART, files)
    assert {subject.patient for subject in subjects} <= {"ES0001"}
    names = [subject.name.removeprefix(f"{NAME}-") for subject in subjects]
    return names, {failure.file: failure.reason for failure in failures}


def test_a_mask_belongs_to_the_frames_of_its_row(tmp_path):
    subjects, failures = find_subjects("hmc-qu", "a4c", HEART, annotated(tmp_path))
    assert not failures
    assert [subject.fields["frame"] for subject in subjects] == ["00003", "00004", "00005"]
    for number, subject in enumerate(subjects):
        assembly = Assembly(HEART, subject)
        assert shown_in(assembly.scan.voxels) == 3 + number
        mask = np.zeros((8, 6), np.uint8)
        mask[number : number + 2, 1:3] = 1
        stretched = np.kron(mask, np.ones((HEIGHT // 8, WIDTH // 6), np.uint8))
        np.testing.assert_array_equal(assembly.label_values(HEART.mask.patterns[0]), stretched)


def test_what_has_no_tick_has_no_mask(tmp_path):
    files = annotated(tmp_path, tick=None)
    assert find(files) == (
        [],
        {IMAGE: f"has a mask, but its row in {SHEET} lacks ü in J"},
    )
    del files[MASK]
    assert find(files) == ([], {})


@pytest.mark.parametrize(
    ("facts", "names", "failures"),
    [
        (
            {"pictures": 2},
            ["00003", "00004"],
            {MASK: f"shows 2 frames, {SHEET} says 4 to 6"},
        ),
        (
            {"pictures": 4},
            ["00003", "00004", "00005"],
            {MASK: f"shows 4 frames, {SHEET} says 4 to 6"},
        ),
        (
            {"first": 9, "last": 11},
            ["00008", "00009"],
            {IMAGE: "has 10 frames, its mask shows 9 to 11"},
        ),
        ({"first": 11, "last": 13}, [], {IMAGE: "has 10 frames, its mask shows 11 to 13"}),
        (
            {"first": 9, "last": 11, "pictures": 2},
            ["00008", "00009"],
            {MASK: f"shows 2 frames, {SHEET} says 9 to 11"},
        ),
    ],
)
def test_frames_that_do_not_fit_are_told_and_the_others_go_on(tmp_path, facts, names, failures):
    assert find(annotated(tmp_path, **facts)) == (names, failures)


@pytest.mark.parametrize("first", [0, 7, None, "-", 1e12, -3])
def test_a_row_without_frames_is_told(tmp_path, first):
    names, failures = find(annotated(tmp_path, first=first))
    assert not names
    assert "a row has no first and last frame" in failures[SHEET]


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (IMAGE, {MASK: "a mask without an image"}),
        (MASK, {IMAGE: f"an image without its mask {MASK}"}),
        (SHEET, {SHEET: "this file is missing"}),
    ],
)
def test_a_file_that_is_missing_is_told(tmp_path, lost, told):
    files = annotated(tmp_path)
    del files[lost]
    names, failures = find(files)
    assert not names
    assert failures.items() >= told.items()


def test_a_recording_without_a_row_is_told(tmp_path):
    files = annotated(tmp_path)
    (tmp_path / SHEET).write_bytes(spreadsheet([["ES0002 _4CH_1", *[0] * 6, 4, 6, "ü"]]))
    assert find(files) == ([], {SHEET: f"no row has {NAME} in A"})


@pytest.mark.parametrize(("codec", "is_kept"), [("mpeg4", False), ("mjpeg", False), ("ffv1", True)])
def test_a_film_of_labels_is_packed_without_loss(tmp_path, codec, is_kept):
    (tmp_path / "a.avi").write_bytes(video_of(film(), "avi", codec))
    (tmp_path / "a_m.avi").write_bytes(video_of(film(), "avi", codec))
    labels = {20: "ground", 220: "bar"}
    facts = {
        "modality": "ultrasound", "dimension": 2, "subjects": 10, "labels": labels,
        "image": "{case:[a-z]}.avi", "mask": {"decode": "values", "file": "{case}_m.avi"},
        "frames": "frame", "subject": "{case}-{frame}", "patient": "{case}",
    }  # fmt: skip
    group = FileGroup.model_validate(facts)
    tree = {path.name: path for path in tmp_path.iterdir()}
    subjects, _ = find_subjects("films", "all", group, tree)
    assembly = Assembly(group, subjects[3])
    if is_kept:
        assert shown_in(assembly.label_values("{case}_m.avi")) == 3
    else:
        with pytest.raises(SubjectError, match="is a video packed with loss"):
            assembly.label_values("{case}_m.avi")


# Keys of a manifest


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"frames": None, "subject": "{patient}"}, "`span:` belongs to `frames:`"),
        ({"told": {"array": "a", "pattern": "{view}"}}, "`span:` belongs to `frames:`"),
        ({"mask": {"decode": "files", "files": {"LV wall": "a.mat"}}}, "one file shows all"),
        ({"mask": {"decode": "values", "file": "{frame}.mat"}}, "uses {frame}"),
        ({"span": {**HEART.span.model_dump(), "row": {"A": "{beat}"}}}, "uses {beat}"),
        ({"span": {**HEART.span.model_dump(), "first": "8"}}, "should match pattern"),
        ({"dimension": 3, "planes": ["axial"]}, "belongs to `dimension: 2`"),
    ],
)
def test_a_span_that_cannot_be_is_told(changed, told):
    with pytest.raises(ValidationError, match=told):
        FileGroup.model_validate({**HEART.model_dump(), **changed})


def test_groups_that_say_nothing_of_it_keep_their_fingerprint():
    facts = catalog()["isbi-em"].groups["train"].model_dump(mode="json")
    assert "span" not in facts
    assert "stretched" not in facts["mask"]
