"""How good a prediction will be, as the labelled slices tell: each is found from the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from universeg.tuning.finder import Maps, sigmoid

_THRESHOLDS = np.linspace(0.1, 0.9, 33)
_FEW = 4  # scans that count as much as a threshold of 0.5 that nobody looked for
_APART = 0.2  # Dice above that; so much better is an example that is found well
_LOW = 0.6  # Dice, below which there is a warning
_DRAWS = 1000  # of scans with replacement, for the interval


@dataclass(frozen=True)
class Expectation:
    """What is to be expected of a label.

    Attributes:
        dice: the mean over scans that were left out.
        low: the lower end of its interval, 95 % by drawing scans anew.
        high: the upper end.
        threshold: of the probability, that suits; near 0.5 where scans are few.
        scans: how many were left out.
        best: the Dice of the one that was found best.
    """

    dice: float
    low: float
    high: float
    threshold: float
    scans: int
    best: float

    def __str__(self) -> str:
        return f"expect a Dice of {self.dice:.2f} ({self.low:.2f}-{self.high:.2f})"

    def shifted(self, gain: float) -> Expectation:
        """With so much more Dice, by what is learnt; what threshold suits that is not known."""
        ends = (self.dice, self.low, self.high, self.best)
        dice, low, high, best = (min(1.0, max(0.0, each + gain)) for each in ends)
        return replace(self, dice=dice, low=low, high=high, best=best, threshold=0.5)

    @property
    def warning(self) -> str:
        """Why it is low, and what may help; nothing, where it is not."""
        if self.dice >= _LOW:
            return ""
        if self.scans < _FEW:
            return f"that is low, and {self.scans} examples tell little: label more"
        if self.best >= _LOW + _APART:
            return "some examples are found well and others not: label more that look like those"
        return "no example is found well from the others: label more, or try a longer --budget"

    @property
    def facts(self) -> dict[str, float]:
        """As numbers, for a table."""
        return asdict(self)


def expected(
    logits: Maps, masks: Maps, scans: Sequence[int], labels: Mapping[int, str]
) -> dict[str, Expectation]:
    """What is to be expected of each label, from planes that were left out.

    Args:
        logits: of what was found in them, (N, L, H, W).
        masks: their truth, (N, L, H, W).
        scans: of which scan each plane is, (N,); planes of one scan are scored together.
        labels: their names. One that no plane shows has no expectation.
    """
    found = {}
    for channel, name in enumerate(labels.values()):
        truth = masks[:, channel] > 0.5
        counted = sorted({scan for scan, mask in zip(scans, truth, strict=True) if mask.any()})
        if len(counted) < 2:
            continue
        own = np.array(scans)
        curves = np.stack(
            [_curve(sigmoid(logits[own == n, channel]), truth[own == n]) for n in counted]
        )
        found[name] = _of(curves)
    return found


def dice_of(probabilities: Maps, truth: NDArray[np.bool_], threshold: float = 0.5) -> float:
    """Dice of planes that are scored together; 1 where both are empty."""
    mask = probabilities > threshold
    total = np.count_nonzero(mask) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(mask & truth) / total if total else 1.0


def _curve(probabilities: Maps, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.array([dice_of(probabilities, truth, cut) for cut in _THRESHOLDS])


def _of(curves: NDArray[np.float64]) -> Expectation:
    """From the Dice of each scan at each threshold, (scans, thresholds)."""
    scans = len(curves)
    best = float(_THRESHOLDS[int(curves.mean(axis=0).argmax())])
    threshold = (scans * best + _FEW * 0.5) / (scans + _FEW)
    dice = curves[:, int(np.abs(_THRESHOLDS - threshold).argmin())]
    drawn = np.random.default_rng(0).integers(scans, size=(_DRAWS, scans))
    low, high = np.percentile(dice[drawn].mean(axis=1), [2.5, 97.5])
    return Expectation(
        float(dice.mean()), float(low), float(high), threshold, scans, float(dice.max())
    )
