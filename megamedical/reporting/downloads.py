"""What downloads say while they run: a bar for each on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from megamedical.files.disk import in_words
from megamedical.reporting.console import say

Report = Callable[[int, int | None], None]  # told the bytes that are here, and how many there are


def nobody(arrived: int, length: int | None) -> None:
    """The report that nobody reads."""


class Transfers(Protocol):
    """Hears of files that are fetched, from several threads at once."""

    @contextmanager
    def file(self, name: str) -> Iterator[Report]:
        """A file is fetched while the block lasts; its report is told what has arrived."""
        ...

    def say(self, line: str) -> None:
        """Something a user should read."""
        ...


class SilentTransfers:
    """Hears nothing."""

    @contextmanager
    def file(self, name: str) -> Iterator[Report]:
        """See `Transfers`."""
        del name
        yield nobody

    def say(self, line: str) -> None:
        """See `Transfers`."""


class TransferBars:
    """A bar for each file, with its rate and the time that is left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def file(self, name: str) -> Iterator[Report]:
        """See `Transfers`."""
        task = self._progress.add_task(name, total=None)
        try:
            yield lambda arrived, length: self._progress.update(
                task, completed=arrived, total=length
            )
        finally:
            self._progress.remove_task(task)

    def say(self, line: str) -> None:
        """See `Transfers`."""
        say(self._progress.console, line)


class TransferLines:
    """A line for each file that comes, and now and then how far it is."""

    _EVERY = 30.0  # seconds

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def file(self, name: str) -> Iterator[Report]:
        """See `Transfers`."""
        said = time.monotonic()

        def report(arrived: int, length: int | None) -> None:
            nonlocal said
            if time.monotonic() - said > self._EVERY:
                said = time.monotonic()
                whole = f" of {in_words(length)}" if length else ""
                say(self._console, f"{name}: {in_words(arrived)}{whole}")

        yield report

    def say(self, line: str) -> None:
        """See `Transfers`."""
        say(self._console, line)


@contextmanager
def transfers(console: Console) -> Iterator[Transfers]:
    """Bars where they can be drawn, lines where they cannot."""
    if not console.is_terminal:
        yield TransferLines(console)
        return
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    ) as progress:
        yield TransferBars(progress)
