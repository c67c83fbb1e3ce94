"""Slices read at random: what plain zarr reads, in any process, and never what was not stored."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import pickle
import struct
import uuid
from pathlib import Path

import fsspec
import google_crc32c
import numpy as np
import pytest
import zarr
from fsspec.asyn import AsyncFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from megamedical.errors import StoreError
from megamedical.store import array_writer
from megamedical.store.array_reader import Slices
from megamedical.store.location import Location

SIZE = 16
SHARD = 4  # slices
COUNT = 10  # two whole shards and a half
ZERO = (1, 5, 6)
ABSENT = 2**64 - 1
NAMES = ("images", "masks")


class FarAway(AsyncFileSystem):
    """The files of this machine behind an event loop, as those of S3 are."""

    protocol = "far"
    cachable = False

    async def _info(self, path, **_):
        found = Path(path)
        if not found.exists():
            raise FileNotFoundError(path)
        return {"name": path, "size": found.stat().st_size, "type": "file"}

    async def _cat_file(self, path, start=None, end=None, **_):
        await asyncio.sleep(0)
        return Path(path).read_bytes()[start:end]


fsspec.register_implementation("far", FarAway, clobber=True)


def drawn(name):
    """Ten slices as an array has them, three of them all zero."""
    rng = np.random.default_rng(0)
    if name == "images":
        slices = rng.random((COUNT, SIZE, SIZE)).astype(np.float16)
    else:
        slices = (255 * (rng.random((COUNT, SIZE, SIZE)) < 0.1)).astype(np.uint8)
    slices[list(ZERO)] = 0
    return slices


def write(url, name, slices):
    array_writer.create_array(Location(url), name, len(slices), SIZE)[:] = slices


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with both arrays, in shards of four, which no test may change."""
    folder = tmp_path_factory.mktemp("written")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_writer, "IMAGE_SHARD", SHARD)
        patch.setattr(array_writer, "MASK_SHARD", SHARD)
        for name in NAMES:
            write(folder, name, drawn(name))
    return folder


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Both arrays as the first format had them: no checksums, and what is zero left out."""
    folder = tmp_path_factory.mktemp("old")
    for name in NAMES:
        slices = drawn(name)
        packed = zarr.codecs.BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle")
        zarr.create_array(
            folder / name,
            shape=slices.shape,
            dtype=slices.dtype,
            chunks=(1, SIZE, SIZE),
            shards=(SHARD, SIZE, SIZE),
            compressors=None if name == "images" else packed,
        )[:] = slices
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """A copy of it, to be damaged."""
    for path in written.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(written)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture(params=["", "far://"])
def place(request, folder):
    """The copy as a folder, and behind a URL."""
    return f"{request.param}{folder}"


def opened(place, name):
    return Slices(Location(place), name)


def shard_of(folder, name, number=0):
    return folder / name / "c" / str(number) / "0" / "0"


def index_of(content):
    """Offset and size of each chunk of a shard."""
    return np.frombuffer(content[-16 * SHARD - 4 : -4], "<u8").reshape(SHARD, 2).copy()


def set_index(path, number, offset, size):
    """Write one entry of a shard's index anew, with the checksum that makes it look right."""
    content = path.read_bytes()
    index = index_of(content)
    index[number] = offset, size
    checksum = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    path.write_bytes(content[: -16 * SHARD - 4] + index.tobytes() + checksum)


def first_chunk(path):
    offset, size = index_of(path.read_bytes())[0].tolist()
    return slice(offset, offset + size)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(indices=st.lists(st.integers(0, COUNT - 1), max_size=30), seed=st.integers(0, 255))
def test_any_slices_are_those_of_plain_zarr(written, old, name, indices, seed):
    for folder in (written, old):
        are_those_of_plain_zarr(folder, name, indices, seed)


def are_those_of_plain_zarr(written, name, indices, seed):
    plain = zarr.open_array(written / name, mode="r")
    expected = plain.oindex[np.array(indices, int)] if indices else np.empty((0, SIZE, SIZE))
    for scheme in ("", "far://"):
        slices = opened(f"{scheme}{written}", name)
        assert (slices.shape, slices.dtype, len(slices)) == (plain.shape, plain.dtype, COUNT)
        given = np.full((len(indices), SIZE, SIZE), seed, slices.dtype)
        assert slices.read(indices, out=given) is given
        for found in (given, slices.read(indices), slices.read(np.array(indices, np.int32))):
            assert found.dtype == plain.dtype
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_slice_is_written_and_one_that_is_all_zero_is_not_left_out(written, name):
    index = index_of(shard_of(written, name).read_bytes())
    assert (index != ABSENT).all()
    out = np.ones((3, SIZE, SIZE), drawn(name).dtype)
    assert not opened(written, name).read(ZERO, out=out).any()


@pytest.mark.parametrize("name", NAMES)
def test_what_zarr_left_out_is_read_as_zero(place, folder, name):
    set_index(shard_of(folder, name), 0, ABSENT, ABSENT)
    out = np.ones((1, SIZE, SIZE), drawn(name).dtype)
    assert not opened(place, name).read([0], out=out).any()


def test_a_store_in_memory_is_read_like_a_folder(monkeypatch):
    monkeypatch.setattr(array_writer, "MASK_SHARD", SHARD)
    url = f"memory://{uuid.uuid4()}"
    write(url, "masks", drawn("masks"))
    indices = [9, 0, 1, 9, 4]
    np.testing.assert_array_equal(opened(url, "masks").read(indices), drawn("masks")[indices])
    fsspec.filesystem("memory").rm(f"{url}/masks/c/1", recursive=True)
    with pytest.raises(StoreError, match=r"masks/c/1/0/0 cannot be read"):
        opened(url, "masks").read([4])


@pytest.mark.parametrize("index", [-1, COUNT, ABSENT // 2])
def test_a_slice_that_does_not_exist_is_refused(written, index):
    with pytest.raises(IndexError, match=rf"images has {COUNT} slices, and none at {index}$"):
        opened(written, "images").read([0, index, 2])


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((2, SIZE, SIZE), np.uint16),
        np.zeros((3, SIZE, SIZE), np.float16),
        np.zeros((2, SIZE, SIZE + 1), np.float16),
        np.zeros((2, SIZE, SIZE), np.float16).transpose(0, 2, 1),
        np.zeros((4, SIZE, SIZE), np.float16)[::2],
        np.broadcast_to(np.float16(0), (2, SIZE, SIZE)),
    ],
    ids=["type", "number", "size", "transposed", "gaps", "read-only"],
)
def test_an_array_that_cannot_take_the_slices_is_refused(written, out):
    with pytest.raises(ValueError, match=r"out must be \(2, 16, 16\) float16, contiguous"):
        opened(written, "images").read([0, 2], out=out)
    assert not out.any()


def read_all(arrays, sender):
    sender.send([slices.read(range(COUNT)) for slices in arrays])


@pytest.mark.parametrize(("start", "scheme"), [("fork", ""), ("fork", "far://"), ("spawn", "")])
def test_another_process_reads_the_same_objects(written, start, scheme):
    context = multiprocessing.get_context(start)
    arrays = [opened(f"{scheme}{written}", name) for name in NAMES]
    expected = [slices.read(range(COUNT)) for slices in arrays]  # so that files are open here
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=read_all, args=(arrays, sender))
    process.start()
    sender.close()
    found = receiver.recv()
    process.join()
    for known, there, slices in zip(expected, found, arrays, strict=True):
        np.testing.assert_array_equal(there, known)
        np.testing.assert_array_equal(slices.read(range(COUNT)), known)


def test_a_pickled_one_carries_no_slices_and_reads_on(written, monkeypatch):
    monkeypatch.chdir(written.parent)
    slices = opened(written.name, "images")
    fresh = pickle.dumps(slices)
    slices.read([0, 9])
    assert len(pickle.dumps(slices)) == len(fresh)
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(pickle.loads(fresh).read([9, 0]), slices.read([9, 0]))  # noqa: S301


class TestDamage:
    """The error names the file; nothing is read from it that was not stored there."""

    def refuses(self, place, name, reason, index=0):
        with pytest.raises(StoreError, match=reason) as caught:
            opened(place, name).read([index])
        shard = shard_of(Path(place.removeprefix("far://")), name, index // SHARD)
        assert str(shard) in str(caught.value)

    @pytest.mark.parametrize("name", NAMES)
    def test_a_file_that_is_lost(self, place, folder, name):
        shard_of(folder, name, 1).unlink()
        self.refuses(place, name, "No such file", index=4)
        self.refuses(place, name, "No such file", index=5)  # all zero or not
        assert opened(place, name).read([0]).any()

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("kept", [0, 3, 60, -1])
    def test_a_file_that_is_cut_off(self, place, folder, name, kept):
        shard = shard_of(folder, name)
        shard.write_bytes(shard.read_bytes()[:kept])
        self.refuses(place, name, "cut off" if kept or "far" in place else "empty file")

    def test_an_index_with_a_wrong_bit(self, place, folder):
        shard = shard_of(folder, "images")
        content = bytearray(shard.read_bytes())
        content[-20] ^= 1
        shard.write_bytes(content)
        self.refuses(place, "images", "its index is damaged")

    def test_a_file_that_lost_chunks_before_its_index(self, place, folder):
        shard = shard_of(folder, "images")
        shard.write_bytes(shard.read_bytes()[-16 * SHARD - 4 :])
        self.refuses(place, "images", "chunks beyond its end" if "far" not in place else "read")

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("offset", [2**20, 2**63, ABSENT - 511, ABSENT - 1])
    def test_a_chunk_beyond_the_file(self, place, folder, name, offset):
        size = int(index_of(shard_of(folder, name).read_bytes())[0, 1])
        set_index(shard_of(folder, name), 0, offset, size)
        self.refuses(place, name, "its index names chunks beyond its end")

    def test_a_chunk_that_reaches_into_the_index(self, folder):
        shard = shard_of(folder, "images")
        set_index(shard, 0, len(shard.read_bytes()) - 2 * SIZE**2 - 1, 2 * SIZE**2 + 4)
        self.refuses(str(folder), "images", "its index names chunks beyond its end")

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("size", [0, 2, 2**40, ABSENT - 1, ABSENT])
    def test_a_chunk_of_a_size_that_cannot_be(self, place, folder, name, size):
        set_index(shard_of(folder, name), 0, 0, size)
        self.refuses(place, name, f"its index names a chunk of {size} bytes")

    def test_a_chunk_that_is_neither_there_nor_absent(self, place, folder):
        set_index(shard_of(folder, "images"), 0, ABSENT, 2 * SIZE**2 + 4)
        self.refuses(place, "images", "its index names a chunk of 516 bytes")

    @pytest.mark.parametrize("declared", [0, SIZE**2 - 1, SIZE**2 + 1, 2**32 - 1])
    def test_a_compressed_chunk_that_holds_something_else(self, place, folder, declared):
        shard = shard_of(folder, "masks")
        content = bytearray(shard.read_bytes())
        chunk = first_chunk(shard)
        content[chunk.start + 4 : chunk.start + 8] = struct.pack("<I", declared)
        checksum = google_crc32c.value(bytes(content[chunk.start : chunk.stop - 4]))
        content[chunk.stop - 4 : chunk.stop] = checksum.to_bytes(4, "little")
        shard.write_bytes(content)
        self.refuses(place, "masks", "holds a slice of another size")

    def test_a_compressed_chunk_of_zero_bytes(self, place, folder):
        shard = shard_of(folder, "masks")
        content = bytearray(shard.read_bytes())
        chunk = first_chunk(shard)
        content[chunk] = bytes(chunk.stop - chunk.start)
        shard.write_bytes(content)
        self.refuses(place, "masks", "cannot be read")

    @settings(max_examples=60, deadline=None)
    @given(data=st.data(), name=st.sampled_from(NAMES))
    def test_a_chunk_with_a_wrong_byte(self, written, tmp_path_factory, data, name):
        folder = tmp_path_factory.mktemp("damaged")
        position = damage(written, folder, name, data)
        for scheme in ("", "far://"):
            if position < 0:
                assert opened(f"{scheme}{folder}", name).read([0]).any()
            else:
                self.refuses(f"{scheme}{folder}", name, "cannot be read")

    @settings(max_examples=60, deadline=None)
    @given(data=st.data())
    def test_a_chunk_of_the_first_format_with_wrong_bytes(self, old, tmp_path_factory, data):
        """It has no checksum: wrong pixels can come, but no others' memory and no crash."""
        folder = tmp_path_factory.mktemp("damaged")
        damage(old, folder, "masks", data)
        filled = []
        for value in (85, 170):
            out = np.full((1, SIZE, SIZE), value, np.uint8)
            try:
                filled.append(opened(folder, "masks").read([0], out=out))
            except StoreError as error:
                assert str(shard_of(folder, "masks")) in str(error)
        if filled:
            np.testing.assert_array_equal(*filled)


def damage(written, folder, name, data):
    """Change a byte of the first chunk of a copy; its place, or -1 where it is what it was."""
    content = bytearray(shard_of(written, name).read_bytes())
    chunk = first_chunk(shard_of(written, name))
    position = data.draw(st.integers(chunk.start, chunk.stop - 1))
    before, content[position] = content[position], data.draw(st.integers(0, 255))
    shard = shard_of(folder, name)
    shard.parent.mkdir(parents=True)
    shard.write_bytes(content)
    (folder / name / "zarr.json").write_bytes((written / name / "zarr.json").read_bytes())
    return -1 if content[position] == before else position


class TestLayout:
    """An array that something else wrote is refused as a whole, never read wrongly."""

    GOOD = {  # noqa: RUF012
        "shape": (8, SIZE, SIZE),
        "shards": (SHARD, SIZE, SIZE),
        "chunks": (1, SIZE, SIZE),
        "dtype": "float16",
        "compressors": zarr.codecs.Crc32cCodec(),
    }

    @pytest.mark.parametrize(
        "change",
        [
            {"compressors": zarr.codecs.BloscCodec()},
            {"compressors": [zarr.codecs.Crc32cCodec(), zarr.codecs.Crc32cCodec()]},
            {"compressors": zarr.codecs.ZstdCodec()},
            {"dtype": "float32"},
            {"dtype": "uint8"},
            {"chunks": (2, SIZE, SIZE)},
            {"chunks": (1, SIZE // 2, SIZE)},
            {"shards": None},
            {"shards": (SHARD, SIZE, 2 * SIZE), "chunks": (1, SIZE, SIZE)},
            {"shape": (8, SIZE), "shards": (SHARD, SIZE), "chunks": (1, SIZE)},
            {"fill_value": 1},
            {"filters": [zarr.codecs.TransposeCodec(order=(0, 2, 1))]},
            {"serializer": zarr.codecs.BytesCodec(endian="big")},
            {"chunk_key_encoding": {"name": "default", "separator": "."}},
            {"zarr_format": 2, "shards": None, "compressors": None},
        ],
        ids=",".join,
    )
    def test_another_layout(self, tmp_path, change):
        def made(name, **settings):
            array = zarr.create_array(tmp_path / name, **{**self.GOOD, **settings})
            array[:] = np.ones(array.shape)
            return opened(tmp_path, name)

        assert (made("images").read([7]) == 1).all()
        with pytest.raises(StoreError, match=rf"{tmp_path}.*other") as caught:
            made("other", **change)
        assert caught.value.remedy

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff",
            b"[]",
            b"{}",
            b"null",
            b'{"shape": 3}',
            b'{"codecs": [], "shape": [1, 2, 3]}',
        ],
    )
    def test_metadata_that_are_none(self, folder, content):
        (folder / "images" / "zarr.json").write_bytes(content)
        with pytest.raises(StoreError, match="images is not laid out as"):
            opened(folder, "images")

    @pytest.mark.parametrize("per_shard", [0, -1, "x", None])
    def test_shards_of_no_size(self, folder, per_shard):
        path = folder / "images" / "zarr.json"
        said = json.loads(path.read_bytes())
        said["chunk_grid"]["configuration"]["chunk_shape"][0] = per_shard
        path.write_text(json.dumps(said))
        with pytest.raises(StoreError, match="images is not laid out as"):
            opened(folder, "images")

    def test_an_array_that_is_not_there(self, folder):
        with pytest.raises(StoreError, match="has no nothing"):
            opened(folder, "nothing")
