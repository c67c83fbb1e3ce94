"""Labelled planes that a network finds as if it did not know them: each from the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from universeg.training.augmentation import augment_stacks
from universeg.tuning.clock import Clock
from universeg.tuning.finder import Maps
from universeg.tuning.in_context import InContext
from universeg.tuning.support import Pick, Support
from universeg.tuning.unet_learning import AUGMENTATION

Step = Callable[[], object]
Stage = Callable[[int], AbstractContextManager[Step]]

_COPIES = 12  # of what is labelled, where there is but one scan


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Labelled planes, and what a network finds in each from the other examples.

    Attributes:
        support: what they are of.
        shown: the network, with what it is shown.
        picks: which they are, N.
        images: (N, H, W).
        masks: (N, L, H, W).
        maps: the logits that the network finds, (N, L, H, W).
    """

    support: Support
    shown: InContext
    picks: Sequence[Pick]
    images: Maps
    masks: Maps
    maps: Maps

    @property
    def scans(self) -> Sequence[int]:
        """The example that each is of."""
        return [example for example, _ in self.picks]

    def of(self, examples: Collection[int], inside: bool = True) -> NDArray[np.intp]:
        """Which planes are of some examples; or of all others, where `inside` is false."""
        return np.flatnonzero([(scan in examples) == inside for scan in self.scans])


def unwatched(total: int) -> AbstractContextManager[Step]:
    """A stage of so many steps that nobody counts."""
    del total
    return nullcontext(lambda: None)


def leave_out(
    shown: InContext, most: int, clock: Clock | None = None, stage: Stage = unwatched
) -> LeftOut:
    """Find planes from the other examples: at most so many, and as many as a clock lets.

    There are two scans at least, and planes of two are found whatever the clock says. `stage` is
    told how many there are, and each that is found.
    """
    support = shown.support
    picks = _spread(support, most)
    order = np.random.default_rng((support.seed, 3)).permutation(len(picks))
    maps: dict[int, Maps] = {}
    with stage(len(picks)) as step:
        for place in order.tolist():
            scans = {picks[done][0] for done in maps}
            if clock and clock.share >= 1 and len(scans) > 1:
                break
            maps[place] = shown.left_out([picks[place]])[0]
            step()
    own = [picks[place] for place in sorted(maps)]
    found = np.stack([maps[place] for place in sorted(maps)])
    return LeftOut(support, shown, own, support.images(own), support.masks(own), found)


def move_copies(shown: InContext, seed: int) -> LeftOut:
    """Of a single scan nothing can be left out: copies of it, moved and recoloured, take its place.

    They are nearer to it than another scan would be, so what is found in them flatters.
    """
    support = shown.support
    planes = _spread(support, _COPIES)
    picks = [planes[place % len(planes)] for place in range(_COPIES)]
    stacks = np.concatenate([support.images(picks)[:, None], support.masks(picks)], axis=1)
    seeds = [(seed, 5, place) for place in range(_COPIES)]
    moved = augment_stacks(torch.from_numpy(stacks)[:, None], AUGMENTATION, seeds)[:, 0].numpy()
    images, masks = np.ascontiguousarray(moved[:, 0]), np.ascontiguousarray(moved[:, 1:])
    maps = shown.logits(images, [support.position(pick) for pick in picks])
    return LeftOut(support, shown, picks, images, masks, maps)


def _spread(support: Support, most: int) -> list[Pick]:
    """At most so many planes, spread over the examples and along each."""
    by_example: dict[int, list[Pick]] = {}
    for pick in support.planes:
        by_example.setdefault(pick[0], []).append(pick)
    examples = np.random.default_rng((support.seed, 7)).permutation([*by_example])[:most]
    each = max(1, most // max(1, len(examples)))
    chosen = []
    for example in sorted(examples.tolist()):
        own = by_example[example]
        places = np.linspace(0, len(own) - 1, min(each, len(own)) + 2)[1:-1]
        chosen += [own[place] for place in sorted({round(float(place)) for place in places})]
    return chosen
