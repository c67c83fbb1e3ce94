"""How long something may be trained: so many steps, or so many seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.method import MethodError

_TICKS = 1000  # parts of a budget of seconds
_WRITTEN = re.compile(r"([1-9][0-9]{0,6})(s|steps)")


@dataclass(frozen=True)
class Budget:
    """So many `steps` or `s`. What is trained by the clock is not the same from run to run."""

    amount: int
    unit: str

    @classmethod
    def of(cls, written: str) -> Budget:
        """The budget that is written as `60s` or `600steps`.

        Raises:
            MethodError: it is neither.
        """
        found = _WRITTEN.fullmatch(written)
        if found is None:
            raise MethodError(f"{written!r} is no budget", "Write it as 60s, or as 600steps.")
        return cls(int(found[1]), found[2])

    @property
    def parts(self) -> int:
        """Of how many equal parts a schedule may think it made."""
        return self.amount if self.unit == "steps" else _TICKS

    def spent(self) -> Iterator[int]:
        """For each step that may be taken, how many parts are spent once it is."""
        if self.unit == "steps":
            yield from range(1, self.amount + 1)
            return
        begun = time.perf_counter()
        while (passed := time.perf_counter() - begun) < self.amount:
            yield int(_TICKS * passed / self.amount)

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"
