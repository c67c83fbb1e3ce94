"""The slices of a store where they are quickest to get at: on disk, in memory, or on the GPU."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from megamedical.errors import MegaMedicalError
from megamedical.store.array_reader import Slices
from megamedical.store.sampling.episodes import Episode
from megamedical.store.store import Store

Place = Literal["disk", "memory", "shared memory", "device"]

_ROOM = 0.5  # of what is free may be taken
_SHARED = Path("/dev/shm")  # where Linux has the memory that processes share  # noqa: S108
_AT_ONCE = 1024  # slices


class CacheError(MegaMedicalError):
    """There is no room where slices were to be kept."""


class Source(Protocol):
    """Slices by their position."""

    def read(self, indices: NDArray[np.int64]) -> Tensor:
        """(n, H, W), as they are stored."""
        ...


@dataclass(frozen=True, eq=False)
class OnDisk:
    """An array of a store, read when it is asked for."""

    slices: Slices

    def read(self, indices: NDArray[np.int64]) -> Tensor:
        """See `Source`."""
        return torch.from_numpy(self.slices.read(indices))


@dataclass(frozen=True, eq=False)
class Held:
    """All slices of an array, (n, H, W), in memory or on a device."""

    slices: Tensor

    def read(self, indices: NDArray[np.int64]) -> Tensor:
        """See `Source`."""
        places = torch.from_numpy(indices).to(self.slices.device, non_blocking=True)
        return self.slices.index_select(0, places)


Arrays = Mapping[str, tuple[Source, Source]]  # images and masks, by `<dataset>/<group>`


def read_episodes(episodes: Sequence[Episode], arrays: Arrays) -> tuple[Tensor, Tensor]:
    """The slices of episodes of one support size, each group of them read at once.

    They are as they are stored, (B, 1 + S, H, W) each: images in float16, masks in uint8.
    """
    by_group: dict[str, list[int]] = defaultdict(list)
    for place, episode in enumerate(episodes):
        by_group[episode.task.group].append(place)
    read: list[tuple[Tensor, Tensor]] = []
    for group, places in by_group.items():
        images, masks = arrays[group]
        own = [episodes[place] for place in places]
        of_images = images.read(np.concatenate([each.images for each in own]))
        of_masks = masks.read(np.concatenate([each.masks for each in own]))
        shape = len(own), -1, *of_images.shape[1:]
        read.append((of_images.view(shape), of_masks.view(shape)))
    if len(read) == 1:
        return read[0]
    of_images, of_masks = (torch.cat(parts) for parts in zip(*read, strict=True))
    order = torch.from_numpy(np.argsort(np.concatenate(list(by_group.values()))))
    order = order.to(of_images.device, non_blocking=True)
    return of_images[order], of_masks[order]


def choose_cache(
    asked: str, bytes_needed: int, device: torch.device, workers: int = 0, processes: int = 1
) -> tuple[Place, str]:
    """Where the slices are to be kept, and why, in words.

    Args:
        asked: `auto`, `none`, `host` or `device`.
        bytes_needed: by one copy of the slices.
        device: where batches are wanted.
        workers: processes that read for one that trains; they share its copy.
        processes: how many train on this machine, each with a copy of its own.

    Raises:
        CacheError: memory to share was asked for, and there is too little.
    """
    host: Place = "shared memory" if workers else "memory"
    if asked == "host" and workers:
        _expect_room(bytes_needed * processes)
    if asked != "auto":
        places: dict[str, Place] = {"none": "disk", "host": host, "device": "device"}
        return places[asked], "as asked"
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if bytes_needed < _ROOM * free:
            return "device", f"{_size(bytes_needed)} of slices, {_size(free)} are free there"
    needed = bytes_needed * processes
    taken = f"{_size(needed)} of slices"
    if processes > 1:
        taken += f" in {processes} processes"
    rooms = [(psutil.virtual_memory().available, "of memory that are free")]
    if workers:
        rooms.append((_free_to_share(), f"that are free in {_SHARED}"))
    free, where = min(rooms)
    if needed < _ROOM * free:
        return host, f"{taken} fit into the {_size(free)} {where}"
    return "disk", f"{taken} are too much for the {_size(free)} {where}"


def open_arrays(
    store: Store, groups: Collection[str], place: Place = "disk", device: torch.device | None = None
) -> Arrays:
    """The slices of some groups, read to where they are kept.

    Args:
        store: what is read.
        groups: `<dataset>/<group>` each.
        place: where they are kept.
        device: which device that is, where it is one.
    """

    def kept(slices: Slices) -> Source:
        if place == "disk":
            return OnDisk(slices)
        dtype = torch.from_numpy(np.empty(0, slices.dtype)).dtype
        held = torch.empty(slices.shape, dtype=dtype, device=device if place == "device" else None)
        if place == "shared memory":
            held.share_memory_()  # type: ignore[no-untyped-call]
        for start in range(0, len(slices), _AT_ONCE):
            part = range(start, min(start + _AT_ONCE, len(slices)))
            held[part.start : part.stop] = torch.from_numpy(slices.read(part))
        return Held(held)

    arrays = {}
    for group in sorted(groups):
        images, masks = store.slices(group)
        arrays[group] = kept(images), kept(masks)
    return arrays


def bytes_of(store: Store, groups: Collection[str]) -> int:
    """The memory that the slices of some groups take, unpacked."""
    return sum(
        int(np.prod(array.shape)) * array.dtype.itemsize
        for group in groups
        for array in store.slices(group)
    )


def expect_room_to_pass(batch: int, batches: int) -> None:
    """Make sure that workers can pass so many batches of so many bytes on at once.

    A worker that finds no memory to share is killed, or waits for ever.

    Raises:
        CacheError: there is too little.
    """
    free = _free_to_share()
    if batch * batches >= free:
        raise CacheError(
            f"Workers cannot pass {batches} batches of {_size(batch)} on: {_size(free)} are free "
            f"in {_SHARED}",
            "Set workers=0, or fewer of them; in Docker, give it more with --shm-size.",
        )


def _expect_room(needed: int) -> None:
    """Make sure that workers can share so much: beyond it, they would be killed."""
    free = _free_to_share()
    if needed >= free:
        raise CacheError(
            f"Workers cannot share slices of {_size(needed)}: {_size(free)} are free in {_SHARED}",
            "Set workers=0 or cache=none; in Docker, give it more with --shm-size.",
        )


def _free_to_share() -> int:
    if _SHARED.is_dir():
        return shutil.disk_usage(_SHARED).free
    return psutil.virtual_memory().available


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
