"""Make the best of a network, of labelled slices, and of a budget of seconds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from universeg.tuning.clock import Clock
from universeg.tuning.expectation import Expectation, dice_of, expected, left_out_planes
from universeg.tuning.finder import Average, Finder, Maps, sigmoid
from universeg.tuning.forest import Forest
from universeg.tuning.in_context import InContext
from universeg.tuning.network_learning import NetworkLearning
from universeg.tuning.support import Support
from universeg.tuning.unet_learning import UNetLearning

WAYS = ("in-context", "tuned", "forest", "unet")
SECONDS = {"cpu": 60.0}  # of a budget, where none is named
_SECONDS_ELSEWHERE = 5.0


def default_budget(device: str) -> float:
    """Seconds that learning may take: 60 on a CPU, 5 elsewhere."""
    return SECONDS.get(device.partition(":")[0], _SECONDS_ELSEWHERE)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What finds the labels of a support, what was chosen, and what is to be expected.

    Attributes:
        finder: what finds them.
        chosen: the ways that are averaged.
        why: what the slices said that were left out, for a person.
        expected: by the name of the label; none where there was nothing to leave out.
    """

    finder: Finder
    chosen: Sequence[str]
    why: str
    expected: Mapping[str, Expectation] = field(default_factory=dict)

    def probabilities(self, queries: Maps) -> Maps:
        """Of the first label, (Q, H, W) in [0, 1], in queries (Q, H, W) in [0, 1]."""
        return sigmoid(self.finder.logits(queries))[:, 0]


def fit(
    network: nn.Module,
    support: Support,
    *,
    ways: Collection[str] = WAYS,
    budget: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> Fitted:
    """Fit what is asked for within a budget, and average it.

    Args:
        network: in context, on the device.
        support: the labelled slices.
        ways: of `WAYS`, those that are tried.
        budget: seconds; by default as many as suit the device.
        seed: of all that is drawn.
        device: as PyTorch names it.
        say: takes what happens.
    """
    clock = Clock(default_budget(device) if budget is None else budget)
    shown = InContext(network, support)
    picks = left_out_planes(support)
    images, masks = support.images(picks), support.masks(picks)
    maps = shown.left_out(picks)
    scans = [example for example, _ in picks]
    made: dict[str, Finder] = {}
    if "in-context" in ways:
        made["in-context"] = shown
    if "forest" in ways:
        made["forest"] = Forest(images, masks, maps, shown, seed)
    slow = [way for way in ("tuned", "unet") if way in ways]
    for number, way in enumerate(slow):
        part = clock.part(1 / (len(slow) - number))
        if way == "tuned":
            learning = NetworkLearning(network, support, seed)
            learning.learn((), part)
            made[way] = InContext(learning.network, support)
        else:
            unet = UNetLearning(masks, shown, seed, device)
            unet.learn(images, masks, maps, part)
            made[way] = unet
        say(f"{way}: {part.spent:.0f} s")
    found = expected(maps, masks, scans, support.labels)
    dice = np.mean(
        [dice_of(sigmoid(own), mask > 0.5) for own, mask in zip(maps, masks, strict=True)]
    )
    why = f"in context, the slices that are left out have a Dice of {dice:.2f}"
    return Fitted(Average([(1.0, each) for each in made.values()]), list(made), why, found)
