"""Codec and shard size of the store: bytes on disk against random reads, images and masks apart.

    python performance/codecs.py STORE DATASET/GROUP [--reads 4000]
    python performance/codecs.py --toy

A read is what a fast loader does: find the slice in the shard's index, decode it, nothing else. The
last column is plain zarr-python, for one slice at a time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from numcodecs import Blosc, Zstd
from zarr.codecs import BloscCodec, ZstdCodec

from megamedical import build, open_store

BATCH = 64
REPEATS = 5
CODECS = {
    "none": (None, lambda chunk: chunk),
    "lz4": (BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle"), Blosc("lz4").decode),
    "lz4 shuffle": (BloscCodec(cname="lz4", clevel=5, shuffle="shuffle"), Blosc("lz4").decode),
    "blosc zstd 3": (BloscCodec(cname="zstd", clevel=3, shuffle="shuffle"), Blosc("zstd").decode),
    "zstd 3": (ZstdCodec(level=3), Zstd().decode),
}


def written(slices: np.ndarray, codec: object, shard: int, folder: Path) -> zarr.Array:
    array = zarr.create_array(
        str(folder),
        shape=slices.shape,
        dtype=slices.dtype,
        chunks=(1, *slices.shape[1:]),
        shards=(shard, *slices.shape[1:]),
        compressors=codec,
    )
    array[:] = slices
    return array


def random_reads(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype, decode: Callable, reads: int
) -> float:
    """Slices a second, from a memory-mapped shard."""
    shard = np.memmap(folder / "c" / "0" / "0" / "0", mode="r")
    count = shape[0]
    index = np.frombuffer(shard[-(16 * count + 4) : -4].tobytes(), dtype="<u8").reshape(count, 2)
    present = np.flatnonzero(index[:, 0] != 2**64 - 1)
    order = np.random.default_rng(0).choice(present, reads)
    batch = np.zeros((BATCH, *shape[1:]), dtype)
    spent = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        for place, (offset, size) in enumerate(index[order].tolist()):
            chunk = decode(shard[offset : offset + size])
            batch[place % BATCH] = np.frombuffer(chunk, dtype).reshape(shape[1:])
        spent.append(time.perf_counter() - begin)
    return reads / min(spent)


def main(store: str | Path, group: str, reads: int) -> None:
    for name, array in zip(("images", "masks"), open_store(store).arrays(group), strict=True):
        slices = array[:2048]
        print(f"\n{group}/{name}: {len(slices)} slices of {slices.shape[1:]} {slices.dtype}")
        print(f"{'codec':14}{'size':>8}{'reads/s':>10}{'zarr reads/s':>14}")
        for codec, (stored, decode) in CODECS.items():
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place) / "array"
                copy = written(slices, stored, len(slices), folder)
                size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
                speed = random_reads(folder, slices.shape, slices.dtype, decode, reads)
                begin = time.perf_counter()
                for number in np.random.default_rng(0).integers(0, len(slices), 200):
                    copy[int(number)]
                plain = 200 / (time.perf_counter() - begin)
            print(f"{codec:14}{size / slices.nbytes:8.3f}{speed:10,.0f}{plain:14,.0f}")
        for shard in (64, 512, 2048):
            with tempfile.TemporaryDirectory() as place:
                begin = time.perf_counter()
                chosen, _ = CODECS["none" if name == "images" else "lz4"]
                written(slices, chosen, shard, Path(place))
                spent = time.perf_counter() - begin
                files = sum(p.is_file() for p in Path(place).rglob("*"))
            print(f"shards of {shard:4}: written in {spent:.2f} s, {files} files")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("store", nargs="?")
    parser.add_argument("group", nargs="?")
    parser.add_argument("--reads", type=int, default=4000)
    parser.add_argument("--toy", action="store_true", help="a tiny store of its own")
    given = parser.parse_args()
    if given.toy:
        with tempfile.TemporaryDirectory() as place:
            build("synthetic", store=place, tasks=1, subjects=4, resolution=32, workers_count=0)
            main(place, "synthetic/task-0000", reads=20)
    else:
        main(given.store, given.group, given.reads)
