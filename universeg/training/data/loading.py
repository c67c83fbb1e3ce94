"""Episodes on their way from the store to the device, ahead of the step that needs them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from megamedical.errors import MegaMedicalError
from megamedical.store.sampling.batches import Pairs
from megamedical.store.sampling.episodes import Episode, EpisodeSampler
from universeg.training.augmentation import Augmentation, augment_batch
from universeg.training.clock import Clock
from universeg.training.data.cache import Arrays, read_episodes
from universeg.training.data.steps import Step
from universeg.training.drawn.batch import with_drawn

AHEAD = 2  # batches that each worker, or the thread, has ready
_AUGMENT = 1  # so that augmentation draws other numbers than the sampler did
_DRAW = 3  # likewise drawn tasks


class LoadingError(MegaMedicalError):
    """What reads slices has ended."""


@contextmanager
def ended_workers_explained() -> Iterator[None]:
    """Say in words that a process that reads has ended: PyTorch raises it wherever one then is.

    Raises:
        LoadingError: one has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LoadingError(
            f"A process that reads slices has ended: {error}",
            "Most often there is too little memory: set workers=0, or fewer of them; in "
            "Docker, give it more with --shm-size.",
        ) from error


@dataclass(frozen=True, eq=False)
class Batch:
    """Episodes on the device; each its query, then its support.

    `images` and `masks` are (B, 1 + S, H, W) float32 in [0, 1].
    """

    images: Tensor
    masks: Tensor

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """The query, (B, 1, H, W), and images and masks of its support, (B, S, 1, H, W)."""
        return self.images[:, :1], self.images[:, 1:, None], self.masks[:, 1:, None]

    @property
    def truth(self) -> Tensor:
        """The masks of the queries, (B, 1, H, W)."""
        return self.masks[:, :1]


class Reader:
    """Reads episodes onto a device."""

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        """Take what there is to read.

        Args:
            arrays: of each group.
            device: where batches are wanted.
        """
        self.arrays = arrays
        self.device = device

    def read(self, episodes: Sequence[Episode]) -> Batch:
        """A batch of episodes of one support size."""
        return self.placed(read_episodes(episodes, self.arrays))

    def placed(self, read: tuple[Tensor, Tensor]) -> Batch:
        """Images and masks of some episodes, (B, 1 + S, H, W), as a batch on the device."""
        images, masks = (part.to(self.device, non_blocking=True) for part in read)
        return Batch(images.float(), masks.float() / 255)


class Loader:
    """The batches of a run, one for each step: read, completed with drawn tasks, augmented."""

    def __init__(
        self,
        sampler: EpisodeSampler,
        reader: Reader,
        augmentation: Augmentation,
        seed: int,
        workers: int,
        ahead: bool = False,
    ) -> None:
        """Prepare to read.

        Args:
            sampler: draws the episodes of the store.
            reader: reads them.
            augmentation: of all episodes.
            seed: of what is drawn, and of the augmentation.
            workers: processes that read ahead.
            ahead: whether, without workers, a thread does so.
        """
        self._steps = _Steps(sampler, reader.arrays)
        self._reader = reader
        self._augmentation = augmentation
        self._seed = seed
        self._workers = workers
        self._ahead = ahead

    def batches(
        self, steps: Iterable[Step], clock: Clock | None = None
    ) -> Generator[Batch, None, None]:
        """The batch of each step; the clock is told what its making took."""
        clock = clock or Clock(torch.device("cpu"))
        for step, read in self._read(steps):
            batch = self._reader.placed(read)
            clock.mark("reading")
            batch = self._completed(batch, step)
            clock.mark("drawing")
            batch = self._augmented(batch, step)
            clock.mark("augmenting")
            yield batch

    def _read(self, steps: Iterable[Step]) -> Iterator[tuple[Step, tuple[Tensor, Tensor]]]:
        if self._workers:
            return self._by_workers(steps)
        if self._ahead:
            return self._by_a_thread(steps)
        return ((step, self._steps.read(step)) for step in steps)

    def _by_workers(self, steps: Iterable[Step]) -> Iterator[tuple[Step, tuple[Tensor, Tensor]]]:
        loader = DataLoader(
            self._steps,
            batch_sampler=([step] for step in steps),
            num_workers=self._workers,
            collate_fn=_first,
            prefetch_factor=AHEAD,
            pin_memory=self._reader.device.type == "cuda",
            generator=torch.Generator(),  # else a run that goes on would draw from PyTorch's own
        )
        with ended_workers_explained():
            for step, read in loader:
                yield step, read.stored

    def _by_a_thread(self, steps: Iterable[Step]) -> Iterator[tuple[Step, tuple[Tensor, Tensor]]]:
        """Reading lets other threads go on, so the device need not wait for it."""
        waiting: deque[tuple[Step, Future[tuple[Tensor, Tensor]]]] = deque()
        with ThreadPoolExecutor(1) as thread:
            for step in steps:
                waiting.append((step, thread.submit(self._pinned, step)))
                if len(waiting) > AHEAD:
                    first, read = waiting.popleft()
                    yield first, read.result()
            while waiting:
                first, read = waiting.popleft()
                yield first, read.result()

    def _pinned(self, step: Step) -> tuple[Tensor, Tensor]:
        images, masks = self._steps.read(step)
        if self._reader.device.type != "cuda":
            return images, masks
        return images.pin_memory(), masks.pin_memory()

    def _completed(self, batch: Batch, step: Step) -> Batch:
        families = {family: len(numbers) for family, numbers in step.drawn.items()}
        seed = (self._seed, step.number, step.process, _DRAW)
        return Batch(*with_drawn(batch.images, batch.masks, families, seed))

    def _augmented(self, batch: Batch, step: Step) -> Batch:
        """Each episode is augmented from its own number, whatever batch it is in."""
        seeds = [(self._seed, number, _AUGMENT) for number in step.numbers]
        return Batch(*augment_batch(batch.images, batch.masks, self._augmentation, seeds))


class _Steps(Dataset[tuple[Step, Pairs]]):
    """What steps have to read, for worker processes too, which hand on `Pairs` without copies."""

    def __init__(self, sampler: EpisodeSampler, arrays: Arrays) -> None:
        self._sampler = sampler
        self._arrays = arrays

    def read(self, step: Step) -> tuple[Tensor, Tensor]:
        """Images and masks of the episodes that a step reads, (B, 1 + S, H, W)."""
        numbers = step.read or [0]  # something that the drawn ones have their size from
        episodes = [self._sampler.draw(number, step.support_size) for number in numbers]
        images, masks = read_episodes(episodes, self._arrays)
        return images[: len(step.read)], masks[: len(step.read)]

    def __getitem__(self, step: Step) -> tuple[Step, Pairs]:
        return step, Pairs(self.read(step), {})


def _first(steps: Sequence[tuple[Step, Pairs]]) -> tuple[Step, Pairs]:
    """Each step is a batch of its own."""
    return steps[0]
