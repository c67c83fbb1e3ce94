"""How fast a run is, and what its time goes to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Protocol, TypeAlias

import torch

Phase: TypeAlias = Literal["reading", "drawing", "augmenting", "network", "writing"]
PHASES: tuple[Phase, ...] = ("reading", "drawing", "augmenting", "network", "writing")


class Clock:
    """Episodes a second, and the share of each phase of a step; evaluations left out.

    A GPU works behind the program that gives it work. So on one, phases are told apart by events in
    its own stream, which cost nothing, and what it waits for counts to the phase it waits in.
    """

    def __init__(self, device: torch.device, before: float = 0.0) -> None:
        """Begin; so many seconds were spent in an earlier part of the run."""
        self._device = device
        self._before = before
        self._begun = time.perf_counter()
        self._episodes = 0
        self._seconds: dict[str, float] = dict.fromkeys(PHASES, 0.0)
        self._marks: list[tuple[str, _Moment]] = [("", self._now())]

    def mark(self, phase: Phase) -> None:
        """The time since the last mark was spent on this."""
        self._marks.append((phase, self._now()))

    def tick(self, episodes: int) -> None:
        """A step of so many episodes is done."""
        self._episodes += episodes
        self._settle()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done inside takes no time."""
        paused = time.perf_counter()
        yield
        self._begun += time.perf_counter() - paused
        self._marks.append(("", self._now()))

    @property
    def spent(self) -> float:
        """Seconds, those of earlier parts of the run among them."""
        return self._before + time.perf_counter() - self._begun

    @property
    def rate(self) -> float:
        """Episodes a second."""
        return self._episodes / max(time.perf_counter() - self._begun, 1e-9)

    @property
    def shares(self) -> Mapping[str, float]:
        """Of each phase, its share of the time of all phases."""
        total = sum(self._seconds.values()) or 1.0
        return {phase: seconds / total for phase, seconds in self._seconds.items()}

    def figures(self) -> dict[str, float]:
        """The rate, and the shares by the names of the phases."""
        return {"examples_per_second": self.rate, **self.shares}

    def __str__(self) -> str:
        return f"{self.rate:.1f} episodes/s"

    def _now(self) -> _Moment:
        return _Event(self._device) if self._device.type == "cuda" else _Time()

    def _settle(self) -> None:
        """Add up what is over; a GPU may not be so far."""
        while len(self._marks) > 1:
            (_, begun), (phase, ended) = self._marks[:2]
            if not ended.is_over:
                return
            if phase:
                self._seconds[phase] += ended.since(begun)
            del self._marks[0]


def about(seconds: float) -> str:
    """A time to come, as people say it.

    >>> about(40), about(100), about(9000)
    ('about 40 s', 'about 2 min', 'about 2.5 h')
    """
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


class _Moment(Protocol):
    """When something was."""

    @property
    def is_over(self) -> bool:
        """Whether it has come."""
        ...

    def since(self, earlier: Any) -> float:  # noqa: ANN401
        """Seconds from an earlier moment of the same kind."""
        ...


class _Time:
    """By the clock of the machine."""

    is_over = True

    def __init__(self) -> None:
        self._at = time.perf_counter()

    def since(self, earlier: _Time) -> float:
        return self._at - earlier._at


class _Event:
    """By the stream of a GPU, which may not have come to it yet."""

    def __init__(self, device: torch.device) -> None:
        self._at = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._at.record(torch.cuda.current_stream(device))

    @property
    def is_over(self) -> bool:
        return bool(self._at.query())  # type: ignore[no-untyped-call]

    def since(self, earlier: _Event) -> float:
        return float(earlier._at.elapsed_time(self._at)) / 1000
