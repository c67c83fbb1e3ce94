"""How much of a budget of time is spent."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """A budget of seconds, which runs from the moment it is made."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        """Start the clock; `now` tells the time in seconds."""
        self.seconds = seconds
        self._now = now
        self._start = now()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self._now() - self._start

    @property
    def left(self) -> float:
        """Seconds until the end; nothing after it."""
        return max(0.0, self.seconds - self.spent)

    @property
    def share(self) -> float:
        """How much is spent, from 0 to 1."""
        return 1.0 if self.seconds <= 0 else min(1.0, self.spent / self.seconds)

    def part(self, share: float) -> Clock:
        """A clock, started now, for a share of what is left."""
        return Clock(share * self.left, self._now)
