"""Every archive that can be downloaded, several at a time; one that fails stops no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from megamedical.catalogue.archive import Archive
from megamedical.catalogue.datasets import Selection
from megamedical.catalogue.manifest import DatasetManifest
from megamedical.errors import MegaMedicalError
from megamedical.files.disk import in_words
from megamedical.obtaining.fetch import arrived
from megamedical.obtaining.plan import DatasetPlan, Plan, plan
from megamedical.obtaining.sources import archive_folder, obtain
from megamedical.reporting.downloads import SilentTransfers, Transfers


@dataclass(frozen=True)
class Fetched:
    """An archive that is here now.

    Attributes:
        dataset: id.
        archive: its name.
        place: where it is.
        was_there: whether it was there before; it has been checked all the same.
    """

    dataset: str
    archive: str
    place: Path
    was_there: bool


@dataclass(frozen=True)
class NotFetched:
    """An archive that could not be had, why, and what to do."""

    dataset: str
    archive: str
    reason: str
    remedy: str


_Outcome = Fetched | NotFetched


@dataclass(frozen=True)
class Fetching:
    """What became of all archives; `datasets` is what is still to be done for each."""

    fetched: tuple[Fetched, ...]
    failed: tuple[NotFetched, ...]
    datasets: tuple[DatasetPlan, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every archive is here, those among them that only a user can fetch."""
        return not self.failed and all(each.state == "ready" for each in self.datasets)


def download(
    chosen: Sequence[Selection],
    *,
    raw: Path,
    mirror: Path | None = None,
    jobs: int = 4,
    checksum: bool = True,
    transfers: Transfers | None = None,
    done: Callable[[Fetched | NotFetched], None] | None = None,
) -> Fetching:
    """Fetch what `plan` says can be downloaded, and check what is here.

    Args:
        chosen: datasets and their groups.
        raw: folder of the archives.
        mirror: folder of archives that are used in place.
        jobs: how many are fetched at a time.
        checksum: whether they are checked against their checksums.
        transfers: hears of the progress.
        done: is told what became of each, at once.

    Raises:
        MegaMedicalError: the disk is too small for what is to be downloaded, or the mirror is no
            folder.
    """
    look = partial(plan, chosen, raw=raw, mirror=mirror)
    before = look()
    items = [
        _Item(selection.dataset, archive, archive.name in each.here)
        for selection, each in zip(chosen, before.datasets, strict=True)
        for archive in selection.archives
        if archive.name not in each.by_hand
    ]
    _require_room(items, before, raw)
    work = _Fetch(raw, mirror, checksum, transfers or SilentTransfers())
    outcomes = []
    try:
        for outcome in _in_threads(work.run, items, jobs):
            outcomes.append(outcome)
            if done:
                done(outcome)
    except BaseException:
        work.stop()
        raise
    outcomes.sort(key=lambda outcome: (outcome.dataset, outcome.archive))
    return Fetching(
        tuple(outcome for outcome in outcomes if isinstance(outcome, Fetched)),
        tuple(outcome for outcome in outcomes if isinstance(outcome, NotFetched)),
        look().datasets,
    )


@dataclass(frozen=True)
class _Item:
    """An archive that is here or can be downloaded."""

    dataset: DatasetManifest
    archive: Archive
    was_there: bool


def _in_threads(
    run: Callable[[_Item], _Outcome], items: Sequence[_Item], jobs: int
) -> Iterator[_Outcome]:
    """What comes of each item, as it comes, from several threads.

    A process that ends does not wait for them, as for those of an executor: some wait for a
    server, and what has arrived of a file is kept as if the process had been killed.
    """
    waiting: SimpleQueue[_Item] = SimpleQueue()
    results: SimpleQueue[_Outcome | BaseException] = SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        with suppress(Empty, _Stopped):
            while True:
                item = waiting.get_nowait()
                try:
                    results.put(run(item))
                except _Stopped:
                    raise
                except BaseException as error:
                    results.put(error)

    for _ in range(min(jobs, len(items))):
        threading.Thread(target=work, daemon=True).start()
    for _ in items:
        result = results.get()
        if isinstance(result, BaseException):
            raise result
        yield result


class _Stopped(Exception):
    """A user has interrupted the whole."""


class _Fetch:
    """The fetching of one archive, in one of several threads."""

    def __init__(
        self, raw: Path, mirror: Path | None, checksum: bool, transfers: Transfers
    ) -> None:
        self._obtain = partial(
            obtain,
            raw=raw,
            mirror=mirror,
            checksum=checksum,
            wait=self._wait,
            tell=transfers.say,
        )
        self._transfers = transfers
        self._stopped = threading.Event()

    def run(self, item: _Item) -> Fetched | NotFetched:
        dataset, archive = item.dataset.id, item.archive.name
        with self._transfers.file(f"{dataset}/{archive}") as report:

            def heard(arrived: int, length: int | None) -> None:
                self._wait(0)
                report(arrived, length)

            try:
                obtained = self._obtain(item.dataset, item.archive, report=heard)
            except MegaMedicalError as error:
                return NotFetched(dataset, archive, error.problem, error.remedy)
            except OSError as error:
                reason = f"{archive} cannot be kept: {error.filename}: {error.strerror or error}"
                return NotFetched(dataset, archive, reason, "Look at the disk and its permissions.")
        return Fetched(dataset, archive, obtained.path, item.was_there)

    def stop(self) -> None:
        """Let no other begin, and end those that run; what has arrived is kept."""
        self._stopped.set()

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise _Stopped


def _require_room(items: Sequence[_Item], before: Plan, raw: Path) -> None:
    need = 0
    for item in items:
        if not item.was_there:
            part = archive_folder(raw, item.dataset) / item.archive.name
            need += max(0, item.archive.known_size - arrived(part))
    if need > before.free_raw:
        raise MegaMedicalError(
            f"{in_words(need)} are to be downloaded to {raw}, {in_words(before.free_raw)} are free",
            "Free some space, use --raw on a larger disk, or name fewer datasets.",
        )
