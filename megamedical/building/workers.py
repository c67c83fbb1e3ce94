"""Who does the work: Dask workers, on this machine or elsewhere, or this process alone.

One task per archive, per subject, per group. Only names and small rows pass through the scheduler,
and a worker that dies has its task done by another.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from megamedical.errors import MegaMedicalError

# One thread each. Dask's own setting also trims the heap after every large array, which costs a
# third of the time here: pages given back must be cleared again.
_ENVIRONMENT = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """Something that does work on items, in any order."""

    def run(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | Exception]]:
        """Each item with its result, or with the error that its work raised, as they come."""
        ...


class ThisProcess:
    """The work is done here, one item after the other."""

    def run(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Workers`."""
        for item in items:
            try:
                yield item, work(item)
            except Exception as error:
                yield item, error


class DaskWorkers:
    """The work is done by the workers of a `distributed` scheduler."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401  (distributed has no types)
        self._client = client

    def run(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Workers`."""
        from distributed import KilledWorker, as_completed

        submitted = self._client.map(work, items, pure=False)
        futures = dict(zip(submitted, items, strict=True))
        del submitted  # a future that nobody holds is forgotten by the scheduler
        suspects = []
        for future, result in as_completed(list(futures), with_results=True, raise_errors=False):
            item, outcome = futures.pop(future), result[1] if future.status == "error" else result
            if isinstance(outcome, KilledWorker):
                suspects.append(item)
            else:
                yield item, outcome
        for item in suspects:  # each alone, for what waits at a worker is blamed for its death too
            future = self._client.submit(work, item, pure=False)
            error = future.exception()
            yield item, future.result() if error is None else error


@contextmanager
def workers(count: int | None = None, scheduler: str | None = None) -> Iterator[Workers]:
    """Workers for the time of a build.

    Args:
        count: processes of one thread each on this machine, by default one per core; 0 does
            everything in this process.
        scheduler: address of a running `distributed` scheduler whose workers are taken instead.

    Raises:
        MegaMedicalError: no scheduler answers at the address.
    """
    if scheduler is None and count == 0:
        yield ThisProcess()
        return
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, TimeoutError, ValueError) as error:
            raise MegaMedicalError(
                f"No Dask scheduler answers at {scheduler}", "Start one with `dask scheduler`."
            ) from error
        with client:
            yield DaskWorkers(client)
        return
    with (
        dask.config.set(
            {
                "distributed.nanny.pre-spawn-environ": _ENVIRONMENT,
                "distributed.worker.preload": ["megamedical.building.subject_job"],
                "distributed.worker.profile.enabled": False,
                # Where workers keep dying, Dask would close for good one that it finds restarting.
                "distributed.deploy.lost-worker-timeout": "1 week",
            }
        ),
        LocalCluster(
            n_workers=count or os.cpu_count() or 1,
            threads_per_worker=1,
            dashboard_address=":0",  # any free port
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield DaskWorkers(client)
