"""A stage that goes by the clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from megamedical.reporting.progress import Listener


@contextmanager
def by_the_clock(listener: Listener, name: str, seconds: float) -> Iterator[None]:
    """A stage of so many seconds; each is counted as it passes, the rest when the work is done."""
    total = max(1, math.ceil(seconds))
    is_done = Event()
    with listener.stage(name, total, "seconds") as step:

        def count() -> None:
            for _ in range(total - 1):
                is_done.wait(1.0)
                step()

        counting = Thread(target=count, daemon=True)
        counting.start()
        try:
            yield
        finally:
            is_done.set()
            counting.join()
            step()
