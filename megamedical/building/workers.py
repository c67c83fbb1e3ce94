"""Who does the work: this process alone, others on this machine, or those of a Dask scheduler.

One task per archive, per subject, per group. Only names and small rows pass between processes, and
a worker that dies has its task done by another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Protocol, TypeVar

from megamedical.errors import MegaMedicalError
from megamedical.files.system import IS_POSIX
from megamedical.reporting.afar import Hearer, heard_by

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerError(Exception):
    """A piece of work that no worker can do: they die of it, or it takes too much."""


class Workers(Protocol):
    """Something that does work on items, in any order."""

    def run(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        minutes: float | None = None,
        tell: Hearer | None = None,
    ) -> Iterator[tuple[Item, Result | Exception]]:
        """Each item with its result, or with the error that its work raised, as they come.

        `tell` hears what work says by `megamedical.reporting.afar`, but on other machines. An item
        that workers die of, or that takes longer than so many minutes or more memory than there is,
        has a `WorkerError`, where there are workers that can be stopped.
        """
        ...


class ThisProcess:
    """The work is done here, one item after the other, however long it takes."""

    def run(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        minutes: float | None = None,
        tell: Hearer | None = None,
    ) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Workers`."""
        del minutes
        for item in items:
            outcome: Result | Exception
            try:
                with heard_by(tell):
                    outcome = work(item)
            except Exception as error:
                outcome = error
            yield item, outcome


@contextmanager
def workers(count: int | None = None, scheduler: str | None = None) -> Iterator[Workers]:
    """Workers for the time of a build.

    Args:
        count: processes of one thread each on this machine, by default one per core; 0 does
            everything in this process.
        scheduler: address of a running `distributed` scheduler whose workers are taken instead.

    Raises:
        MegaMedicalError: no scheduler answers at the address; or processes were asked for on a
            system that is not of POSIX, where this one does everything by default.
    """
    if scheduler is not None:
        from megamedical.building.cluster import cluster

        with cluster(scheduler) as far:
            yield far
    elif count == 0 or (count is None and not IS_POSIX):
        yield ThisProcess()
    elif not IS_POSIX:
        raise MegaMedicalError(
            f"There are no worker processes on {sys.platform}",
            "Leave --workers out: this process does the work.",
        )
    else:
        from megamedical.building.processes import LocalWorkers

        with closing(LocalWorkers(count or os.cpu_count() or 1)) as near:
            yield near
