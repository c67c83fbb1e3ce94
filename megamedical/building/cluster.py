"""Workers elsewhere: those of a running Dask scheduler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from megamedical.building.workers import WorkerError
from megamedical.errors import MegaMedicalError
from megamedical.reporting.afar import Hearer

Item = TypeVar("Item")
Result = TypeVar("Result")


class DaskWorkers:
    """The work is done by the workers of a `distributed` scheduler; see `Workers`.

    How long a piece of work may take, and how much memory, is for the cluster to say.
    """

    def __init__(self, client: Any) -> None:  # noqa: ANN401  (distributed has no types)
        self._client = client

    def run(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        minutes: float | None = None,
        tell: Hearer | None = None,
    ) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Workers`."""
        from distributed import KilledWorker, as_completed

        del minutes, tell
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
            if isinstance(error, KilledWorker):
                error = WorkerError("its worker died, and others before (out of memory?)")
            yield item, future.result() if error is None else error


@contextmanager
def cluster(scheduler: str) -> Iterator[DaskWorkers]:
    """The workers of a scheduler.

    Raises:
        MegaMedicalError: none answers at the address.
    """
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        raise MegaMedicalError(
            f"No Dask scheduler answers at {scheduler}", "Start one with `dask scheduler`."
        ) from error
    with client:
        yield DaskWorkers(client)
