"""What was drawn is on disk, whatever happens next."""

import errno
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from made_desk import SHAPE, disc, patch
from places import FIXTURES, ROOT

from megamedical.errors import MegaMedicalError
from universeg.desk import record as record_module
from universeg.desk.masks import Masks
from universeg.desk.record import ConflictError, Record

CUT = ("2d", 0)


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "scan", "scan")


def draw(record, pixels, label=1, overlap=False):
    revision = record.standing.revision
    return record.edit(SHAPE, revision, CUT, [patch(pixels, label)], overlap)


def again(record):
    return Record(record.folder, "scan")


def layer(record, label=1):
    return record.masks(SHAPE).layer(label)


def test_a_stroke_is_there_for_whoever_opens_the_folder_next(record):
    draw(record, disc())
    draw(record, disc(radius=3), label=2)
    other = again(record)
    np.testing.assert_array_equal(layer(other, 2), disc(radius=3))
    np.testing.assert_array_equal(layer(other), disc() & ~disc(radius=3))
    assert (other.standing.state, other.standing.revision) == ("begun", 2)
    assert other.standing.drawn == [CUT]


def test_what_a_killed_process_drew_is_there(tmp_path):
    """Each stroke that was said to be saved, of a process that is killed in the midst of one."""
    code = f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(FIXTURES)!r})
        from made_desk import SHAPE, disc, patch
        from universeg.desk.record import Record
        record = Record(Path({str(tmp_path)!r}) / "scan", "scan")
        for revision in range(3):
            pixels = disc(radius=revision + 2)
            record.edit(SHAPE, revision, ("2d", 0), [patch(pixels)], False)
            print(revision + 1, flush=True)
        edits = os.open(record.folder / "edits.jsonl", os.O_APPEND | os.O_WRONLY)
        os.write(edits, b'{{"revision": 4')
        os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (ended.returncode, ended.stdout.split()) == (-signal.SIGKILL, ["1", "2", "3"])
    record = Record(tmp_path / "scan", "scan")
    np.testing.assert_array_equal(layer(record), disc(radius=4))
    draw(record, disc(radius=6))
    np.testing.assert_array_equal(layer(again(record)), disc(radius=6))


def test_on_a_full_disk_nothing_has_changed(record, monkeypatch):
    draw(record, disc())

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(record_module.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            draw(record, disc(radius=3))
    for each in (record, again(record)):
        np.testing.assert_array_equal(layer(each), disc())
        assert each.standing.revision == 1
    draw(record, disc(radius=3))
    np.testing.assert_array_equal(layer(again(record)), disc(radius=3))


def test_a_full_disk_does_not_accept(record, monkeypatch):
    draw(record, disc())

    def full(*_: object, **__: object):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Masks, "save", full)
        with pytest.raises(OSError, match="No space left"):
            record.finish(SHAPE, 1)
    assert (record.standing.state, record.standing.revision) == ("begun", 1)
    record.finish(SHAPE, 1)
    assert again(record).standing.state == "corrected"


def test_the_mask_may_be_newer_than_what_is_said_of_it(record, monkeypatch):
    """As after a sudden end between the two files that accepting writes."""
    draw(record, disc())

    def ended(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Record, "_write_standing", ended)
        with pytest.raises(KeyboardInterrupt):
            record.finish(SHAPE, 1)
    other = again(record)
    assert (other.standing.state, other.standing.revision) == ("begun", 1)
    draw(other, disc(radius=3))
    np.testing.assert_array_equal(layer(again(other)), disc(radius=3))


def test_a_second_window_is_told_and_overwrites_nothing(record):
    draw(record, disc())
    with pytest.raises(ConflictError, match="another window"):
        record.edit(SHAPE, 0, CUT, [patch(~disc())], False)
    with pytest.raises(ConflictError):
        record.finish(SHAPE, 0)
    np.testing.assert_array_equal(layer(again(record)), disc())


def found(record, pixels, confidence=0.8):
    file = record.folder / "coming.npz"
    Masks(SHAPE, {1: pixels}).save(file)
    record.take(file, confidence, "a support")


def test_a_prediction_is_accepted_as_it_is(record):
    found(record, disc())
    assert record.standing.state == "predicted"
    record.finish(SHAPE, 0)
    other = again(record)
    assert (other.standing.state, other.standing.agreed) == ("accepted", 1)
    np.testing.assert_array_equal(layer(other), disc())


def test_a_prediction_is_corrected(record):
    found(record, disc())
    draw(record, disc(radius=6))
    record.finish(SHAPE, 1)
    standing = again(record).standing
    dice = 2 * disc(radius=6).sum() / (disc().sum() + disc(radius=6).sum())
    assert (standing.state, standing.agreed) == ("corrected", pytest.approx(dice))
    draw(record, disc(radius=7))
    assert again(record).standing.state == "begun"


def test_slices_that_were_drawn_are_not_filled(tmp_path):
    record = Record(tmp_path / "scan", "scan")
    shape = (6, *SHAPE)
    record.edit(shape, 0, ("axial", 2), [patch(disc())], False)
    column = np.zeros((6, 50), bool)
    column[0] = True
    record.edit(shape, 1, ("coronal", 7), [patch(column)], False)
    file = record.folder / "coming.npz"
    Masks(shape, {1: np.ones(shape, bool)}).save(file)
    record.fill(shape, file)
    filled = Record(record.folder, "scan").masks(shape)
    expected = disc()
    expected[7] = False  # of the coronal slice
    np.testing.assert_array_equal(filled.layer(1)[2], expected)
    np.testing.assert_array_equal(filled.shown(1, ("coronal", 7)), column)
    assert filled.layer(1)[0].sum() == SHAPE[0] * SHAPE[1] - 50
    assert record.standing.revision == 2  # no person did anything


def test_what_a_person_is_done_with_is_neither_filled_nor_taken(record):
    draw(record, disc())
    record.finish(SHAPE, 1)
    file = record.folder / "coming.npz"
    for give in (lambda: record.fill(SHAPE, file), lambda: record.take(file, 0.5, "a support")):
        Masks(SHAPE, {1: disc(radius=3)}).save(file)
        give()
        assert record.standing.state == "corrected"
        np.testing.assert_array_equal(layer(again(record)), disc())


def test_many_edits_are_folded_into_the_mask(record, monkeypatch):
    monkeypatch.setattr(record_module, "_LONG", 2000)
    for radius in range(1, 15):
        draw(record, disc(radius=radius))
    assert (record.folder / "edits.jsonl").stat().st_size < 2000
    other = again(record)
    np.testing.assert_array_equal(layer(other), disc(radius=14))
    assert other.standing.revision == 14


def test_a_scan_of_another_size_is_told(record):
    draw(record, disc())
    record.finish(SHAPE, 1)
    with pytest.raises(MegaMedicalError, match="scan of another size"):
        again(record).masks((41, 50))
