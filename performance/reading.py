"""Pairs of an image and a mask a second, read at random from a store: ours against others.

    OMP_NUM_THREADS=1 BLOSC_NTHREADS=1 python performance/reading.py [--toy]

An episode is 65 images and 65 masks, anywhere in 6,000 images and 12,000 masks of 128 x 128, put
into new arrays, but where it says otherwise; each slice was read, and so checked, once before. The
first table is of one process on one core, all files in the page cache; LMDB holds the same slices
as raw bytes, as thunderpack does. Beside the pairs a second of the clock are those a second of the
core's time, which other programs disturb less. The second table is of a DataLoader on all cores.
The third is of `Store.episodes` and `Store.dataset`: batches of 4 episodes, and of 256
slices. Readers take turns; figures are medians. What it needs:
`pip install -e '.[universeg,performance]'`.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pandas as pd
import tensorstore
import zarr
from torch.utils.data import DataLoader, Dataset

from megamedical.store.array_reader import Slices
from megamedical.store.array_writer import create_array
from megamedical.store.location import Location
from megamedical.store.sampling.datasets import EpisodeDataset, SliceDataset
from megamedical.store.sampling.episodes import Episode
from megamedical.store.sampling.tasks import Task

TOY = "--toy" in sys.argv[1:]  # small and once: does it still work?
IMAGES, MASKS, SIZE = (80, 160, 128) if TOY else (6000, 12_000, 128)
AT_ONCE = 40 if TOY else 1000
PAIRS = 65
REPEATS = 1 if TOY else 15
EPISODES = 2 if TOY else 50  # a repeat
LOADED = 4 if TOY else 200  # episodes of a DataLoader
REQUIRED = 100_000

Arrays = tuple[np.ndarray, np.ndarray]
Read = Callable[[np.ndarray, np.ndarray], Arrays]


def draw_store(folder: Path) -> None:
    """Images of noise, and masks of one ellipse with a soft border: 1 % to 20 % of the slice."""
    rng = np.random.default_rng(0)
    create_array(Location(folder), "images", IMAGES, SIZE)[:] = rng.random(
        (IMAGES, SIZE, SIZE), dtype=np.float32
    ).astype(np.float16)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    masks = np.empty((MASKS, SIZE, SIZE), np.uint8)
    for mask in masks:
        (y, x), (height, width) = rng.uniform(32, 96, 2), rng.uniform(7, 32, 2)
        distance = np.hypot((rows - y) / height, (columns - x) / width)
        mask[:] = np.rint(255 * np.clip((1 - distance) * min(height, width) + 0.5, 0, 1))
    create_array(Location(folder), "masks", MASKS, SIZE)[:] = masks


def ours(folder: Path) -> Read:
    images, masks = (Slices(Location(folder), name) for name in ("images", "masks"))
    return lambda first, second: (images.read(first), masks.read(second))


def into_kept_arrays(folder: Path) -> Read:
    """What ours takes without the new arrays, into memory that the system has given it before."""
    images, masks = (Slices(Location(folder), name) for name in ("images", "masks"))
    kept = (np.empty((PAIRS, SIZE, SIZE), kind) for kind in (np.float16, np.uint8))
    of_images, of_masks = kept
    return lambda first, second: (images.read(first, of_images), masks.read(second, of_masks))


def plain_zarr(folder: Path) -> Read:
    images, masks = (zarr.open_array(folder / name, mode="r") for name in ("images", "masks"))
    return lambda first, second: (images.oindex[first], masks.oindex[second])


def with_tensorstore(folder: Path) -> Read:
    """Batched reads; its cache holds the indices of the shards, and not all slices."""
    one_thread = {"limit": 1}
    context = tensorstore.Context(
        {
            "cache_pool": {"total_bytes_limit": 2**20},
            "data_copy_concurrency": one_thread,
            "file_io_concurrency": one_thread,
        }
    )

    def opened(name: str) -> tensorstore.TensorStore:
        place = {"driver": "file", "path": str(folder / name)}
        return tensorstore.open(
            {"driver": "zarr3", "kvstore": place}, context=context, read=True
        ).result()

    images, masks = opened("images"), opened("masks")

    def read(first: np.ndarray, second: np.ndarray) -> Arrays:
        with tensorstore.Batch() as batch:
            reads = images[first].read(batch=batch), masks[second].read(batch=batch)
        return reads[0].result(), reads[1].result()

    return read


def with_lmdb(folder: Path) -> Read:
    database = lmdb.open(str(folder / "lmdb"), map_size=2**30)
    for name in ("images", "masks"):
        slices = zarr.open_array(folder / name, mode="r")[:]
        with database.begin(write=True) as transaction:
            for number, content in enumerate(slices):
                transaction.put(f"{name}/{number}".encode(), content.tobytes())
    transaction = database.begin(buffers=True)

    def slices_of(name: str, dtype: type, numbers: np.ndarray) -> np.ndarray:
        out = np.empty((len(numbers), SIZE, SIZE), dtype)
        for place, number in zip(out, numbers.tolist(), strict=True):
            content = transaction.get(f"{name}/{number}".encode())
            place[:] = np.frombuffer(content, dtype).reshape(SIZE, SIZE)
        return out

    return lambda first, second: (
        slices_of("images", np.float16, first),
        slices_of("masks", np.uint8, second),
    )


def episode(number: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(number)
    return rng.integers(0, IMAGES, PAIRS), rng.integers(0, MASKS, PAIRS)


def read_everything(read: Read) -> None:
    """Bring every file into the page cache."""
    for start in range(0, IMAGES, AT_ONCE):
        read(np.arange(start, start + AT_ONCE), np.arange(2 * start, 2 * (start + AT_ONCE)))


def pairs_a_second(read: Read, episodes: int) -> tuple[float, float]:
    """By the clock, and by the time that the core spent."""
    drawn = [episode(number) for number in range(episodes)]
    begin, begin_core = time.perf_counter(), time.process_time()
    for first, second in drawn:
        read(first, second)
    spent, spent_core = time.perf_counter() - begin, time.process_time() - begin_core
    return episodes * PAIRS / spent, episodes * PAIRS / spent_core


def compare_readers(folder: Path) -> float:
    readers = {
        "megamedical": (ours(folder), EPISODES),
        "into arrays that are kept": (into_kept_arrays(folder), EPISODES),
        "LMDB, raw bytes": (with_lmdb(folder), EPISODES),
        "tensorstore": (with_tensorstore(folder), EPISODES),
        "zarr-python": (plain_zarr(folder), 1),
    }
    read_everything(readers["megamedical"][0])
    expected = readers["megamedical"][0](*episode(0))
    for read, episodes in readers.values():
        pairs_a_second(read, episodes)
        for found, known in zip(read(*episode(0)), expected, strict=True):
            np.testing.assert_array_equal(found, known)
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    for _ in range(REPEATS):
        for name, (read, episodes) in readers.items():
            speeds[name].append(pairs_a_second(read, episodes))
    medians = {name: np.median(found, axis=0).tolist() for name, found in speeds.items()}
    print(
        f"{'one process, one core':28}{'pairs/s':>10}{'ratio':>8}{'pairs/core s':>14}{'ratio':>8}"
    )
    for name, found in medians.items():
        ratios = np.divide(found, medians["megamedical"])
        print(f"{name:28}{found[0]:10,.0f}{ratios[0]:8.3f}{found[1]:14,.0f}{ratios[1]:8.3f}")
    return medians["megamedical"][0]


class Episodes(Dataset):
    """What a training loop asks a DataLoader for."""

    def __init__(self, folder: Path) -> None:
        self.images, self.masks = (Slices(Location(folder), name) for name in ("images", "masks"))

    def __len__(self) -> int:
        return LOADED

    def __getitem__(self, number: int) -> Arrays:
        first, second = episode(number)
        return self.images.read(first), self.masks.read(second)


class Drawn:
    """Episodes of one task, drawn as everywhere here."""

    task = Task("a/b/mri/axial/mid/disc", {"dataset": "a", "group": "b"}, None, None)

    def __getitem__(self, number: int) -> Episode:
        return Episode(self.task, "somebody", *episode(number))


def public_datasets(folder: Path) -> dict[str, tuple[Dataset, int]]:
    """What `Store.episodes` and `Store.dataset` give, each with the size of its batches."""
    arrays = {"a/b": tuple(Slices(Location(folder), name) for name in ("images", "masks"))}
    drawn = EpisodeDataset((Drawn.task,), arrays, Drawn(), LOADED, 0)
    masks = np.arange(PAIRS * LOADED) % MASKS
    who = {"task": Drawn.task.name, "subject": "s", "patient": "p", "split": "train"}
    rows = pd.DataFrame({"image": masks // 2 % IMAGES, "mask": masks, **who})
    return {"Store.episodes": (drawn, 4), "Store.dataset": (SliceDataset(rows, arrays), 256)}


def compare_workers(folder: Path) -> None:
    of_arrays = {"arrays": (Episodes(folder), None)}
    for name, (dataset, batch_size) in (of_arrays | public_datasets(folder)).items():
        loaders = {"no workers": DataLoader(dataset, batch_size)} | {
            f"{count} {start}ed": DataLoader(
                dataset,
                batch_size,
                num_workers=count,
                multiprocessing_context=start,
                persistent_workers=True,
                prefetch_factor=4,
            )
            for start in ("fork", "spawn")
            for count in (1, 2)
        }
        compare_loaders(name, loaders)


def compare_loaders(name: str, loaders: dict[str, DataLoader]) -> None:
    speeds: dict[str, list[float]] = {kind: [] for kind in loaders}
    for repeat in range(1 + max(1, REPEATS // 2)):
        for kind, loader in loaders.items():
            begin = time.perf_counter()
            for _ in loader:
                pass
            if repeat:  # the first starts the workers
                speeds[kind].append(LOADED * PAIRS / (time.perf_counter() - begin))
    alone = statistics.median(speeds["no workers"])
    print(f"\n{name:24}{'pairs/s':>10}{'ratio':>8}")
    for kind, found in speeds.items():
        median = statistics.median(found)
        print(f"{kind:24}{median:10,.0f}{median / alone:8.2f}")


def main() -> None:
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw_store(folder)
        os.sched_setaffinity(0, {max(cores)})
        speed = compare_readers(folder)
        os.sched_setaffinity(0, cores)
        compare_workers(folder)
    print(f"\n{speed:,.0f} pairs/s on one core; required are {REQUIRED:,}")
    if speed < REQUIRED and not TOY:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
