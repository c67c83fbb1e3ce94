"""Episodes on their way from the store to the device, ahead of the step that needs them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from universeg.training.augmentation import Augmentation, augment
from universeg.training.data.cache import Arrays, read_episode
from universeg.training.data.episodes import Episode, EpisodeSampler

_AUGMENT = 1  # so that augmentation draws other numbers than the sampler did


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
        return self.placed(stacked([read_episode(episode, self.arrays) for episode in episodes]))

    def placed(self, read: tuple[Tensor, Tensor]) -> Batch:
        """Images and masks of some episodes, (B, 1 + S, H, W), as a batch on the device."""
        images, masks = (part.to(self.device, non_blocking=True) for part in read)
        return Batch(images.float(), masks.float() / 255)


def stacked(read: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The images and the masks of some episodes: (B, 1 + S, H, W) each."""
    images, masks = zip(*read, strict=True)
    return torch.stack(images), torch.stack(masks)


class Loader:
    """The batches of a run, one for each step, augmented; read by workers ahead of time."""

    def __init__(
        self,
        sampler: EpisodeSampler,
        reader: Reader,
        augmentation: Augmentation,
        seed: int,
        workers: int,
    ) -> None:
        self._sampler = sampler
        self._reader = reader
        self._augmentation = augmentation
        self._seed = seed
        self._workers = workers
        self.waited = 0.0

    def batches(self, steps: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """The batch of each step, given the numbers of its episodes.

        `waited` adds up the seconds for which the caller had to wait for slices.
        """
        read = self._ahead(steps) if self._workers else self._now(steps)
        for numbers in steps:
            begun = time.perf_counter()
            batch = next(read)
            self.waited += time.perf_counter() - begun
            yield self._augmented(batch, numbers)

    def _now(self, steps: Sequence[Sequence[int]]) -> Iterator[Batch]:
        for numbers in steps:
            yield self._reader.read([self._sampler[number] for number in numbers])

    def _ahead(self, steps: Sequence[Sequence[int]]) -> Iterator[Batch]:
        loader = DataLoader(
            _Episodes(self._sampler, self._reader.arrays),
            batch_sampler=steps,  # type: ignore[arg-type]
            num_workers=self._workers,
            collate_fn=stacked,
            prefetch_factor=4,
            pin_memory=self._reader.device.type == "cuda",
            generator=torch.Generator(),  # else a run that goes on would draw from PyTorch's own
        )
        yield from map(self._reader.placed, loader)

    def _augmented(self, batch: Batch, numbers: Sequence[int]) -> Batch:
        """Each episode is augmented from its own number, whatever batch it is in."""
        pairs = [
            augment(images, masks, self._augmentation, (self._seed, number, _AUGMENT))
            for images, masks, number in zip(batch.images, batch.masks, numbers, strict=True)
        ]
        images, masks = zip(*pairs, strict=True)
        return Batch(torch.stack(images), torch.stack(masks))


class _Episodes(Dataset[tuple[Tensor, Tensor]]):
    """Episodes by their number, for worker processes."""

    def __init__(self, sampler: EpisodeSampler, arrays: Arrays) -> None:
        self._sampler = sampler
        self._arrays = arrays

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return read_episode(self._sampler[number], self._arrays)
