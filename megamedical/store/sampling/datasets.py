"""The slices and the episodes of a store as PyTorch's datasets; a batch is read at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from megamedical.store.array_reader import Slices
from megamedical.store.sampling.batches import (
    Batch,
    Episodes,
    Example,
    InContext,
    read_pairs,
)
from megamedical.store.sampling.episodes import EpisodeSampler
from megamedical.store.sampling.tasks import Task

Transform: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

_AUGMENT = 1  # so that an augmentation draws other numbers than the episode did


class Augment(Protocol):
    """What changes episodes, as `universeg.Augmentation` does."""

    def __call__(
        self, images: Tensor, masks: Tensor, seeds: Sequence[tuple[int, ...]]
    ) -> tuple[Tensor, Tensor]:
        """Change images and masks, (B, 1 + S, H, W) float32 in [0, 1]; a seed for each of B."""
        ...


class SliceDataset(Dataset[Example]):
    """Slices with their masks, each what a row of `Store.examples` says; see `Store.dataset`."""

    def __init__(
        self,
        rows: pd.DataFrame,
        arrays: Mapping[str, tuple[Slices, Slices]],
        transform: Transform | None = None,
    ) -> None:
        """Take what is to be read.

        Args:
            rows: of `Store.examples`.
            arrays: images and masks of each of their groups.
            transform: is done to each image and mask, (1, H, W) float32 in [0, 1].
        """
        self.rows = rows.reset_index(drop=True)
        self._arrays = arrays
        self._transform = transform
        self._groups = _groups(self.rows["task"])
        self._images, self._masks = (
            self.rows[name].to_numpy(np.int64) for name in ("image", "mask")
        )
        names = ("task", "subject", "patient", "split")
        self._about = {name: self.rows[name].to_numpy(object) for name in names}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Example:
        return self.__getitems__([_within(number, len(self))])[0]

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        """Some of them as a batch: a DataLoader asks so."""
        drawn = np.asarray(numbers, np.intp)
        groups = self._groups[drawn].tolist()
        of_images, of_masks = self._images[drawn, None], self._masks[drawn, None]
        stored, slot = read_pairs(self._arrays, groups, of_images, of_masks)
        about = {name: values[drawn].tolist() for name, values in self._about.items()}
        batch = Batch(stored, about, slot)
        if self._transform is None:
            return batch
        pairs = zip(batch.images, batch.masks, strict=True)
        changed = [self._transform(image, mask) for image, mask in pairs]
        images, masks = (torch.stack(parts) for parts in zip(*changed, strict=True))
        return Batch((images, masks), about)


class EpisodeDataset(Dataset[InContext]):
    """In-context episodes, each drawn from its own number; see `Store.episodes`."""

    def __init__(
        self,
        tasks: Sequence[Task],
        arrays: Mapping[str, tuple[Slices, Slices]],
        sampler: EpisodeSampler,
        length: int,
        seed: int,
        augment: Augment | None = None,
    ) -> None:
        """Take what there is to draw from.

        Args:
            tasks: that the sampler draws.
            arrays: images and masks of each of their groups.
            sampler: draws episodes by their number.
            length: how many there are.
            seed: of the augmentation.
            augment: changes them.
        """
        self.tasks = tasks
        self._arrays = arrays
        self._sampler = sampler
        self._length = length
        self._seed = seed
        self._augment = augment

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> InContext:
        return self.__getitems__([_within(number, len(self))])[0]

    def __getitems__(self, numbers: Sequence[int]) -> Episodes:
        """Some of them as a batch: a DataLoader asks so."""
        drawn = [self._sampler[number] for number in numbers]
        groups = [episode.task.group for episode in drawn]
        images = np.stack([episode.images for episode in drawn])
        masks = np.stack([episode.masks for episode in drawn])
        stored, slot = read_pairs(self._arrays, groups, images, masks)
        about = {
            "task": [episode.task.name for episode in drawn],
            "subject": [episode.subject for episode in drawn],
            "number": list(numbers),
        }
        batch = Episodes(stored, about, slot)
        if self._augment is None:
            return batch
        seeds = [(self._seed, number, _AUGMENT) for number in numbers]
        return Episodes(self._augment(batch.images, batch.masks, seeds), about)


def _groups(tasks: pd.Series) -> NDArray[np.object_]:
    """`<dataset>/<group>` of each of many tasks' ids, most of which come often."""
    homes = {task: "/".join(task.split("/")[:2]) for task in tasks.unique()}
    return tasks.map(homes).to_numpy(object)


def _within(number: int, length: int) -> int:
    """A number from 0, of one that may count from the end."""
    if not -length <= number < length:
        raise IndexError(f"There are {length}, and none at {number}")
    return number % length
