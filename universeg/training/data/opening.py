"""How a run reads its slices: from where, and by whom."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

from megamedical.store.store import Store
from universeg.training.config import Config
from universeg.training.data.cache import (
    CacheError,
    Place,
    bytes_of,
    choose_cache,
    expect_room_to_pass,
    open_arrays,
)
from universeg.training.data.loading import AHEAD, Reader
from universeg.training.data.steps import episodes_of
from universeg.training.team import Team

_STORED = 2 + 1  # bytes of a pixel and of its mask
_PLACES: dict[Place, str] = {
    "disk": "on the disk",
    "memory": "in memory",
    "shared memory": "in memory that workers share",
    "device": "on the device",
}


@dataclass(frozen=True, eq=False)
class Reading:
    """A reader, the processes that read for it, and whether a thread reads ahead in their place."""

    reader: Reader
    workers: int
    ahead: bool


def open_reading(
    config: Config, store: Store, groups: Collection[str], team: Team, say: Callable[[str], None]
) -> Reading:
    """Open the slices of some groups where they are quickest to get at, and say where that is.

    Workers are asked only where they are wanted or the slices must come from the disk: passing
    slices from one process to another takes longer than gathering them from memory.

    Raises:
        CacheError: there is no room where slices are to be kept, or for workers to pass them on.
    """
    device = team.device
    workers = config.workers or 0
    place, why = choose_cache(config.cache, bytes_of(store, groups), device, workers, team.beside)
    if config.workers is None and place == "disk" and device.type != "cpu":
        workers = max(1, (os.cpu_count() or 1) // team.beside - 1)
    if place == "device":
        workers = 0  # the device gathers them itself
    if workers:
        workers = affordable_workers(config, workers, team, say)
    say(f"Slices are kept {_PLACES[place]}: {why}. Training on {device}.")
    ahead = not workers and device.type == "cuda" and place != "device"
    return Reading(Reader(open_arrays(store, groups, place, device), device), workers, ahead)


def affordable_workers(config: Config, workers: int, team: Team, say: Callable[[str], None]) -> int:
    """So many workers, or none where they were not asked for and cannot pass on what they read.

    Raises:
        CacheError: they were asked for, and cannot.
    """
    sizes = list(config.support_sizes) or [config.support_size]
    most = max(episodes_of(config, size, team.size) // team.size * (1 + size) for size in sizes)
    try:
        expect_room_to_pass(most * config.resolution**2 * _STORED, workers * AHEAD * team.beside)
    except CacheError as error:
        if config.workers is not None:
            raise
        say(f"{error.problem}; so nobody reads ahead.")
        return 0
    return workers
