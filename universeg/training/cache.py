"""The slices of a store where they are quickest to get at: on disk, in memory, or on the GPU."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from megamedical.slices import Slices
from megamedical.store import Store
from universeg.training.episodes import Episode

Cache = Literal["none", "host", "device"]
_ROOM = 0.5  # of what is free may be taken


class Source(Protocol):
    """Slices by their position."""

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.generic]:
        """(n, H, W)."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """All slices of an array, (n, H, W), in memory that worker processes share."""

    slices: Tensor

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.generic]:
        """See `Source`."""
        return self.slices.numpy()[indices]


Arrays = Mapping[str, tuple[Source, Source]]  # images and masks, by `<dataset>/<group>`


def read_episode(episode: Episode, arrays: Arrays) -> tuple[Tensor, Tensor]:
    """The slices of an episode as they are stored: (1 + S, H, W) float16, and uint8."""
    images, masks = arrays[episode.task.group]
    return torch.from_numpy(images.read(episode.images)), torch.from_numpy(
        masks.read(episode.masks)
    )


def choose_cache(asked: str, bytes_needed: int, device: torch.device) -> tuple[Cache, str]:
    """Where the slices are to be kept, and why, in words."""
    needed = f"the slices take {bytes_needed / 1e9:.1f} GB"
    if asked != "auto":
        return asked, "as asked"  # type: ignore[return-value]
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if bytes_needed < _ROOM * free:
            return "device", f"{needed}, {free / 1e9:.1f} GB are free on the GPU"
    free = psutil.virtual_memory().available
    if bytes_needed < _ROOM * free:
        return "host", f"{needed}, {free / 1e9:.1f} GB of memory are free"
    return (
        "none",
        f"{needed}, which is too much for the {free / 1e9:.1f} GB of memory that are free",
    )


def open_arrays(store: Store, groups: Collection[str], cache: Cache) -> Arrays:
    """The slices of some groups, in memory if they are to be kept on the host."""
    arrays: dict[str, tuple[Source, Source]] = {}
    for group in sorted(groups):
        images, masks = store.slices(group)
        arrays[group] = (images, masks) if cache == "none" else (_held(images), _held(masks))
    return arrays


def bytes_of(store: Store, groups: Collection[str]) -> int:
    """The memory that the slices of some groups take, unpacked."""
    return sum(
        int(np.prod(array.shape)) * array.dtype.itemsize
        for group in groups
        for array in store.slices(group)
    )


def _held(slices: Slices) -> InMemory:
    held = torch.from_numpy(np.empty(slices.shape, slices.dtype)).share_memory_()  # type: ignore[no-untyped-call]
    for start in range(0, len(slices), 1024):
        stop = min(start + 1024, len(slices))
        slices.read(range(start, stop), held.numpy()[start:stop])
    return InMemory(held)
