"""Which ways are averaged, as the slices that were left out say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from universeg.tuning.expectation import dice_of
from universeg.tuning.finder import Maps, logit, sigmoid

AS_IT_IS, BRANCH = "in context", "branch"
_BESIDE = 0.5  # what the network as it is counts beside a branch, which adds to it
_SCATTER = 0.15  # of the gain from scan to scan, at least: few scans may agree by chance


@dataclass(frozen=True)
class Choice:
    """The ways that are averaged, and why.

    `dice` is of each way, and of the average, by their names joined with a plus; `gain` is that of
    the average over the network as it is. Both are means over the scans that were left out.
    """

    names: tuple[str, ...]
    why: str
    dice: Mapping[str, float] = field(default_factory=dict)
    gain: float = 0.0


def choose(
    judged: Mapping[str, Maps], masks: Maps, scans: Sequence[int], preferred: Sequence[str]
) -> Choice:
    """The average of ways that does best on planes that none of them learnt from.

    Few planes cannot tell much apart: what is preferred is taken, unless another average is better
    by more than the standard error.

    Args:
        judged: the logits of each way, (N, L, H, W); the first is that of the network as it is.
        masks: the truth, (N, L, H, W).
        scans: of which scan each plane is.
        preferred: the ways that are averaged where nothing speaks against it.
    """
    names = [*judged]
    if not scans:
        chosen = tuple(name for name in names if name in preferred)
        return Choice(chosen, "one labelled scan: nothing could be left out to judge by")
    averages = {
        some: _averaged(some, judged)
        for count in range(1, len(names) + 1)
        for some in combinations(names, count)
    }
    dice = {some: _scores(logits, masks, scans) for some, logits in averages.items()}
    usual = tuple(name for name in names if name in preferred) or tuple(names[:1])
    best = max(dice, key=lambda some: dice[some].mean())
    gain = dice[best] - dice[usual]
    scatter = max(_SCATTER, gain.std(ddof=1) if len(gain) > 1 else 0.0)
    chosen = best if gain.mean() > scatter / np.sqrt(len(gain)) else usual
    told = {" + ".join(some): float(dice[some].mean()) for some in dice if len(some) == 1}
    told[" + ".join(chosen)] = float(dice[chosen].mean())
    why = "left-out Dice: " + ", ".join(f"{name} {value:.2f}" for name, value in told.items())
    return Choice(chosen, why, told, float((dice[chosen] - dice[(names[0],)]).mean()))


def weights(names: Sequence[str]) -> list[float]:
    """What each of some ways counts in their average."""
    return [_BESIDE if name == AS_IT_IS and BRANCH in names else 1.0 for name in names]


def _averaged(names: Sequence[str], judged: Mapping[str, Maps]) -> Maps:
    """The logits of the average of some ways."""
    counts = np.array(weights(names), dtype=np.float32)
    found = np.stack([sigmoid(judged[name]) for name in names])
    return logit(np.average(found, axis=0, weights=counts).astype(np.float32))


def _scores(logits: Maps, masks: Maps, scans: Sequence[int]) -> NDArray[np.float64]:
    """Of each scan the mean Dice over the labels that it shows; 0 where it shows none."""
    found, truth, own = sigmoid(logits), masks > 0.5, np.array(scans)
    return np.array(
        [
            np.mean(
                [
                    dice_of(found[own == scan, label], truth[own == scan, label])
                    for label in range(masks.shape[1])
                    if truth[own == scan, label].any()
                ]
                or [0.0]
            )
            for scan in sorted(set(scans))
        ]
    )
