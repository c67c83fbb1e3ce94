"""Whatever byte of a store changes, in whatever file: it is refused, or verification names it."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest
from tiny_store import Discs, write_store

from megamedical import open_store
from megamedical.errors import StoreError
from megamedical.store.verification import verify

GROUPS = (Discs("one", labels=("disc", "ring")), Discs("two", planes=("axial", "coronal")))
FLIPS = 5  # of each file; performance/flips.py tries as many as it is told


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "store"
    write_store(folder, *GROUPS)
    assert verify(folder).problems == ()
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "store")


def files(store):
    return sorted(path for path in store.rglob("*") if path.is_file() and path.stat().st_size)


def is_noticed(store):
    """Whether the store is refused, or something is found to be wrong with it."""
    try:
        return bool(verify(store).problems)
    except StoreError:
        return True


def test_every_flipped_bit_is_found(copy):
    """In every file: the first and last byte, and some between, of those of a shard many."""
    lots, unseen, tried = random.Random(0), [], 0
    for path in files(copy):
        before = path.read_bytes()
        places = {0, len(before) - 1, *(lots.randrange(len(before)) for _ in range(FLIPS))}
        for place in places:
            content = bytearray(before)
            content[place] ^= 1 << lots.randrange(8)
            path.write_bytes(content)
            tried += 1
            if not is_noticed(copy):
                unseen.append((path.relative_to(copy), place))
        path.write_bytes(before)
    assert unseen == []
    assert tried > 15 * FLIPS
    assert not is_noticed(copy)


@pytest.mark.long
def test_every_byte_of_the_root_is_watched(copy):
    path = copy / "zarr.json"
    before = path.read_bytes()
    for place, byte in enumerate(before):
        changed = before[:place] + bytes([byte ^ 0xFF]) + before[place + 1 :]
        path.write_bytes(changed)
        with pytest.raises(StoreError):
            open_store(copy)


@pytest.mark.parametrize("kept", [0, 1, 0.5, -1])
def test_every_file_that_is_lost_or_cut_off_is_found(copy, kept):
    for path in files(copy):
        before = path.read_bytes()
        path.write_bytes(before[: int(len(before) * kept) if kept == 0.5 else kept])
        assert is_noticed(copy), path
        path.unlink()
        assert is_noticed(copy), path
        path.write_bytes(before)
    assert not is_noticed(copy)


@pytest.mark.parametrize("array", ["images", "masks"])
def test_a_file_of_another_group_is_found(copy, array):
    shutil.copy(copy / "one/discs" / array / "c/0/0/0", copy / "two/discs" / array / "c/0/0/0")
    assert f"two/discs/{array}/c/0/0/0 is not as it was written" in verify(copy).problems


class TestReading:
    """A slice is the one that was written, or an error that names the file."""

    @pytest.mark.parametrize("array", ["images", "masks"])
    def test_never_gives_zeros_for_a_lost_file(self, copy, array):
        (copy / "one/discs" / array / "c/0/0/0").unlink()
        store = open_store(copy)
        example = store.examples.iloc[0]
        with pytest.raises(StoreError, match=f"one/discs/{array}/c/0/0/0 cannot be read"):
            store.read(example["task"], example["subject"])

    def test_never_gives_what_was_not_written(self, copy):
        path, lots = copy / "one/discs/images/c/0/0/0", random.Random(1)
        before, known = path.read_bytes(), open_store(copy).slices("one/discs")[0].read(range(14))
        used = 14 * (16 * 16 * 2 + 4)  # then comes the index
        for _ in range(100):
            content = bytearray(before)
            place = lots.randrange(used)
            content[place] ^= 1 << lots.randrange(8)
            path.write_bytes(content)
            images, _ = open_store(copy).slices("one/discs")
            damaged = place // 516
            with pytest.raises(StoreError, match="does not have the checksum"):
                images.read([damaged])
            others = [number for number in range(14) if number != damaged]
            np.testing.assert_array_equal(images.read(others), known[others])

    def test_refuses_metadata_that_changed(self, copy):
        path = copy / "one/discs/zarr.json"
        path.write_bytes(path.read_bytes().replace(b"discs", b"disks"))
        with pytest.raises(StoreError, match="is not what it was when the store was opened"):
            open_store(copy).slices("one/discs")
