"""How well it does: labelled scans, each found from the others as if nobody had labelled it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from universeg.desk.predicting.confidence import Sums, most_likely
from universeg.desk.predicting.learnt import Learnt
from universeg.desk.predicting.tasks import Judged
from universeg.prediction.deciding import softmax
from universeg.tuning.expectation import dice_of, expected
from universeg.tuning.finder import Maps, sigmoid
from universeg.tuning.in_context import InContext
from universeg.tuning.left_out import LeftOut, leave_out
from universeg.tuning.support import Pick

_PLANES = 16  # at most, spread over the scans


class _Heard(InContext):
    """A network that can be interrupted between two slices."""

    alive: Callable[[], None]

    def left_out(self, picks: Sequence[Pick], also: Collection[int] = ()) -> Maps:
        """See `InContext`."""
        self.alive()
        return super().left_out(picks, also)


def judge(
    shown: InContext, overlap: bool, learnt: Learnt | None, alive: Callable[[], None]
) -> Judged:
    """What is to be expected of predictions from these examples; nothing, where there is but one.

    What was tuned has seen all of them, and would flatter itself: the network as it was is judged,
    and the gain added that was seen when it was tuned.
    """
    support = shown.support
    if len(support.scans) < 2:
        return Judged()
    heard = _Heard(shown.network, support)
    heard.alive = alive
    known = leave_out(heard, _PLANES)
    found = expected(known.maps, known.masks, known.scans, {v: str(v) for v in support.labels})
    gain = learnt.gain if learnt and learnt.knows(shown) else 0.0
    return Judged(
        {int(value): each.shifted(gain) if gain else each for value, each in found.items()},
        [(min(1.0, dice + gain), own) for dice, own in _by_scan(known, overlap)],
    )


def _by_scan(known: LeftOut, overlap: bool) -> Iterator[tuple[float, float]]:
    """Of each scan the Dice, and that which the network expects; means over its labels."""
    for scan in sorted({*known.scans}):
        own = known.of({scan})
        sums, inside = Sums(len(known.support.labels)), []
        for logits in known.maps[own]:
            chances = sigmoid(logits) if overlap else softmax(logits)
            inside.append(chances > 0.5 if overlap else most_likely(chances))
            sums.add(chances, inside[-1])
        truth, masks = known.masks[own] > 0.5, np.stack(inside)
        dice = [
            dice_of(masks[:, label].astype(np.float32), truth[:, label])
            for label in range(truth.shape[1])
            if truth[:, label].any()
        ]
        if dice:
            yield float(np.mean(dice)), sums.expected_dice
