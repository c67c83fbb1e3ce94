"""How fast a run is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Episodes a second, and the share of time spent waiting for them; evaluations left out."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._begun = time.perf_counter()
        self._steps = 0
        self._waited = 0.0

    def tick(self, waited: float) -> None:
        """A step is done; so many seconds were waited for slices in all."""
        self._steps += 1
        self._waited = waited

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done inside takes no time."""
        paused = time.perf_counter()
        yield
        self._begun += time.perf_counter() - paused

    def rates(self) -> tuple[float, float]:
        """Episodes a second, and the share of the time that was waited."""
        spent = time.perf_counter() - self._begun
        return self._steps * self._batch_size / spent, self._waited / spent

    def figures(self) -> dict[str, float]:
        """The rates, by name."""
        examples, waited = self.rates()
        return {"examples_per_second": examples, "waiting": waited}

    def __str__(self) -> str:
        return f"{self.rates()[0]:.1f} episodes/s"
