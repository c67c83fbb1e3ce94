"""Which ways are averaged, as the slices that were left out say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from universeg.tuning.expectation import dice_of
from universeg.tuning.finder import Maps, logit, sigmoid

_CHANCE = 1.0  # standard errors by which what is simpler may be behind, and is taken all the same


@dataclass(frozen=True)
class Choice:
    """The ways that are averaged, why, and what the average finds in what was left out."""

    names: tuple[str, ...]
    why: str
    logits: Maps


def choose(
    judged: Mapping[str, Maps], masks: Maps, scans: Sequence[int], preferred: Sequence[str]
) -> Choice:
    """The average of ways that does best on planes that none of them learnt from.

    Few planes cannot tell much apart: what is preferred is taken, unless another average is better
    by more than chance.

    Args:
        judged: the logits of each way, (N, L, H, W); the first is that of the network as it is.
        masks: the truth, (N, L, H, W).
        scans: of which scan each plane is.
        preferred: the ways that are averaged where nothing speaks against it.
    """
    names = [*judged]
    if not scans:
        chosen = tuple(name for name in names if name in (names[0], *preferred))
        return Choice(chosen, "one labelled scan: nothing could be left out to judge by", masks[:0])
    averages = {
        some: logit(np.mean([sigmoid(judged[name]) for name in some], axis=0))
        for count in range(1, len(names) + 1)
        for some in combinations(names, count)
    }
    dice = {some: _scores(logits, masks, scans) for some, logits in averages.items()}
    usual = tuple(name for name in names if name in preferred) or tuple(names[:1])
    best = max(dice, key=lambda some: dice[some].mean())
    gain = dice[best] - dice[usual]
    error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.1
    chosen = best if gain.mean() > _CHANCE * error else usual
    said = ", ".join(f"{name} {dice[(name,)].mean():.2f}" for name in names)
    why = f"left-out Dice: {said}; {' + '.join(chosen)} {dice[chosen].mean():.2f}"
    return Choice(chosen, why, averages[chosen])


def _scores(logits: Maps, masks: Maps, scans: Sequence[int]) -> NDArray[np.float64]:
    """The mean Dice over labels of each scan."""
    found, own = sigmoid(logits), np.array(scans)
    return np.array(
        [
            np.mean(
                [
                    dice_of(found[own == scan, label], masks[own == scan, label] > 0.5)
                    for label in range(masks.shape[1])
                ]
            )
            for scan in sorted(set(scans))
        ]
    )
