"""What a build says while it works: bars on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from megamedical.reporting.console import say


class Listener(Protocol):
    """Hears what a build does."""

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Step]:
        """A stage of so many steps begins, and ends with the block."""
        ...

    def say(self, line: str) -> None:
        """Something a user should read."""
        ...


class Step(Protocol):
    """Called once for each step of a stage that is done."""

    def __call__(self, what: str = "") -> None:
        """One step is done; `what` names it."""
        ...


def _nothing(what: str = "") -> None:
    """A step that nobody counts."""


class Silence:
    """Hears nothing."""

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Step]:
        """See `Listener`."""
        del name, total, unit
        yield _nothing

    def say(self, line: str) -> None:
        """See `Listener`."""


class Bars:
    """A bar per stage, on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Step]:
        """See `Listener`."""
        with Progress(
            TextColumn("{task.description:<9}", style="bold", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[what]}", style="dim", markup=False),
            console=self._console,
        ) as progress:
            task = progress.add_task(name, total=total, what="", unit=unit)
            yield lambda what="": progress.update(task, advance=1, what=what)
            progress.update(task, what="")

    def say(self, line: str) -> None:
        """See `Listener`."""
        say(self._console, line)


class Lines:
    """A line now and then, for logs and pipes."""

    _EVERY = 10.0  # seconds

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Step]:
        """See `Listener`."""
        begun = said = time.monotonic()
        done = 0

        def step(what: str = "") -> None:
            nonlocal done, said
            del what
            done += 1
            if done < total and time.monotonic() - said > self._EVERY:
                said = time.monotonic()
                left = (said - begun) / done * (total - done)
                self.say(f"{name}: {done} of {total} {unit}{_in_words(left)}")

        yield step
        self.say(f"{name}: {done} of {total} {unit}, {time.monotonic() - begun:.1f} s")

    def say(self, line: str) -> None:
        """See `Listener`."""
        say(self._console, line)


def _in_words(left: float) -> str:
    """The time that is left, where it is worth to be told."""
    if left < 1:
        return ""
    return f", about {left:.0f} s left" if left < 100 else f", about {left / 60:.0f} min left"


def listener(console: Console) -> Listener:
    """Bars where they can be drawn, lines where they cannot."""
    return Bars(console) if console.is_terminal else Lines(console)
