"""Two passes of a network at once, each with half of the threads.

The threads of one pass wait for each other after every step, of which most take a few milliseconds;
those of two passes have nothing to wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import call
from threading import Barrier
from typing import TypeVar

import torch

from megamedical.files.system import after_fork

Answer = TypeVar("Answer")

_ABREAST = 2  # passes; each has maps of its own in memory
_pools: dict[int, ThreadPoolExecutor] = {}
after_fork(_pools.clear)  # threads do not go with a process that is forked


def side_by_side(passes: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """What passes on the CPU give, in their order; one that is left over has all threads."""
    threads = torch.get_num_threads()
    paired = len(passes) - len(passes) % _ABREAST if threads >= _ABREAST else 0
    found = [*_pool(threads).map(call, passes[:paired])] if paired else []
    return [*found, *(each() for each in passes[paired:])]


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that each compute with their share of so many."""
    if threads not in _pools:
        all_there = Barrier(_ABREAST)

        def take_share() -> None:
            torch.get_num_threads()  # a new thread takes that of all when it is first asked for
            torch.set_num_threads(threads // _ABREAST)

        pool = ThreadPoolExecutor(_ABREAST, "pass", take_share)
        [*pool.map(lambda _: all_there.wait(), range(_ABREAST))]
        torch.set_num_threads(threads)  # which is of the thread that says it, and of new ones
        _pools[threads] = pool
    return _pools[threads]
