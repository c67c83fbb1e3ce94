"""What is read at once: pairs of an image and a mask, as stored until somebody looks at them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data._utils.collate import default_collate_fn_map

from megamedical.store.array_reader import Slices
from megamedical.store.sampling.slots import Shape, Slot, Word, take

About = Mapping[str, Any]  # of one: task, subject and so on; of many: a list of each

_TYPES = {"images": "float16", "masks": "uint8"}


class Pairs:
    """Images and masks, and what they are.

    As they are read, images are float16 and masks uint8, which is what travels between processes
    and to a GPU; they become float32 in [0, 1] where they are when they are asked for.
    """

    def __init__(
        self, stored: tuple[Tensor, Tensor], about: About, slot: Slot | None = None
    ) -> None:
        """Take what was read.

        Args:
            stored: images and masks, (B, N, H, W) each: as they lie in a store, or float32; what
                nobody has asked for in float32 stays so, under this name.
            about: `task`, `subject` and more, a list of B each.
            slot: the memory in which they lie, if a worker shares it.
        """
        self.about = about
        self.stored = stored
        self._slot = slot

    def __len__(self) -> int:
        return len(self.stored[0])

    @property
    def images(self) -> Tensor:
        """All images, float32 in [0, 1]."""
        return _floats(*self.stored)[0]

    @property
    def masks(self) -> Tensor:
        """All masks, float32 in [0, 1]: the share of each pixel that is covered."""
        return _floats(*self.stored)[1]

    def to(self, device: torch.device | str) -> Self:
        """The same on a device, to which it goes as small as it is stored."""
        return self._with(lambda part: part.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same in memory from which a GPU copies; a DataLoader asks for it."""
        return self._with(torch.Tensor.pin_memory)

    def _nth(self, number: int) -> tuple[Tensor, Tensor]:
        images, masks = self.stored
        return images[number], masks[number]

    def _with(self, change: Callable[[Tensor], Tensor]) -> Self:
        images, masks = map(change, self.stored)
        return type(self)((images, masks), self.about)

    def __reduce__(self) -> tuple[Any, ...]:
        slot = self._slot or _shared(self.stored)
        if slot is None:
            return type(self), (self.stored, self.about)
        return _received, (type(self), slot.word(), self.about)


class Example(NamedTuple):
    """A slice with its mask, (1, H, W) float32 in [0, 1] each, and what it is."""

    image: Tensor
    mask: Tensor
    about: About


class Batch(Pairs):
    """Slices with their masks, (B, 1, H, W) each."""

    def __getitem__(self, number: int) -> Example:
        return Example(*_floats(*self._nth(number)), _of(self.about, number))

    def __iter__(self) -> Iterator[Any]:
        """Images, masks and what they are: a batch can be unpacked."""
        return iter((self.images, self.masks, self.about))


class InContext(NamedTuple):
    """An episode: a query, and the labelled slices of other patients that say what is sought.

    `query` and `truth` are (1, H, W), `support_images` and `support_masks` (S, 1, H, W), all
    float32 in [0, 1].
    """

    query: Tensor
    support_images: Tensor
    support_masks: Tensor
    truth: Tensor
    about: About


class Episodes(Pairs):
    """Episodes of one support size, the query of each before its support."""

    @property
    def query(self) -> Tensor:
        """The images to be segmented, (B, 1, H, W)."""
        return self.images[:, :1]

    @property
    def support_images(self) -> Tensor:
        """The labelled images, (B, S, 1, H, W)."""
        return self.images[:, 1:, None]

    @property
    def support_masks(self) -> Tensor:
        """Their masks, (B, S, 1, H, W)."""
        return self.masks[:, 1:, None]

    @property
    def truth(self) -> Tensor:
        """The masks of the queries, (B, 1, H, W)."""
        return self.masks[:, :1]

    def __getitem__(self, number: int) -> InContext:
        return InContext(*_parts(*_floats(*self._nth(number))), _of(self.about, number))

    def __iter__(self) -> Iterator[Any]:
        """Query, images and masks of the support, truth, and what they are: to be unpacked."""
        return iter((self.query, self.support_images, self.support_masks, self.truth, self.about))


def read_pairs(
    arrays: Mapping[str, tuple[Slices, Slices]],
    groups: Sequence[str],
    images: NDArray[np.int64],
    masks: NDArray[np.int64],
) -> tuple[tuple[Tensor, Tensor], Slot | None]:
    """Read images and masks straight to where they are wanted, each group of them at once.

    Args:
        arrays: images and masks of each group.
        groups: of each of B.
        images: for each of B, its N positions in the images of its group, (B, N).
        masks: likewise.

    Returns:
        (B, N, H, W) each, as they are stored; and where they lie, if a worker shares it.
    """
    side = next(iter(arrays.values()))[0].shape[1:]
    shape = (*images.shape, *side)
    shapes: list[Shape] = [(shape, dtype) for dtype in _TYPES.values()]
    slot = take(shapes)
    whole = slot.arrays if slot else [np.empty(*each) for each in shapes]
    flat = [array.reshape(-1, *side) for array in whole]
    for group, own in _members(groups):
        for slices, wanted, out in zip(arrays[group], (images, masks), flat, strict=True):
            if len(own) == len(groups):
                slices.read(wanted.ravel(), out)
            else:
                places = np.arange(wanted.size).reshape(wanted.shape)[own].ravel()
                slices.read(wanted[own].ravel(), out, places)
    return (torch.from_numpy(whole[0]), torch.from_numpy(whole[1])), slot


def _members(groups: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Each group once, in order, and which are of it."""
    found = defaultdict(list)
    for number, group in enumerate(groups):
        found[group].append(number)
    yield from sorted(found.items())


def _floats(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Images and masks as float32 in [0, 1], however they are stored."""
    return images.float(), masks if masks.is_floating_point() else masks.float().mul_(1 / 255)


def _parts(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, images and masks of the support, truth, of one episode's (1 + S, H, W)."""
    return images[:1], images[1:, None], masks[1:, None], masks[:1]


def _shared(parts: tuple[Tensor, Tensor]) -> Slot | None:
    """Memory that a worker shares, with what lies elsewhere copied there."""
    arrays = [part.numpy() for part in parts if part.device.type == "cpu"]
    slot = take([(array.shape, array.dtype.name) for array in arrays]) if arrays else None
    for array, place in zip(arrays, slot.arrays if slot else (), strict=False):
        place[:] = array
    return slot


def _of(about: About, number: int) -> About:
    return {name: values[number] for name, values in about.items()}


def _received(kind: type[Pairs], word: Word, about: About) -> Pairs:
    images, masks = map(torch.from_numpy, word.arrays())
    return kind((images, masks), about)


def _collated(batch: Any, *, collate_fn_map: object = None) -> Any:  # noqa: ANN401, ARG001
    """What a DataLoader makes of what was read: a whole batch stays what it is."""
    if isinstance(batch, Pairs):
        return batch
    *parts, about = zip(*batch, strict=True)
    whole = {name: [each[name] for each in about] for name in about[0]}
    if isinstance(batch[0], Example):
        images, masks = map(torch.stack, parts)
        return Batch((images, masks), whole)
    query, support_images, support_masks, truth = map(torch.stack, parts)
    images = torch.cat([query, support_images[:, :, 0]], 1)
    return Episodes((images, torch.cat([truth, support_masks[:, :, 0]], 1)), whole)


default_collate_fn_map.update({Example: _collated, InContext: _collated})
