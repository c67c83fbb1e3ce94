"""A network that was trained before, and what can be learnt from the labelled slices beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.machine.device import chosen
from benchmark.method import About, Method, MethodError, Support, Track
from benchmark.methods.budget import Budget
from benchmark.methods.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from universeg.tuning.expectation import Expectation
    from universeg.tuning.left_out import LeftOut
    from universeg.tuning.support import Support as Examples
    from universeg.tuning.ways import Grown

_ASKED = re.compile(r"(?P<weights>.+)\+(?P<more>(forest|expect|tune|budget)(=.*)?)")
_SHOWN = 16  # slices with each query and each that is left out, as in `universeg.tuning`
_LEFT_OUT = 64  # slices at most
_FOLDS = 4  # forests by which it is told what to expect


class Learning(Method):
    """A network, and what learns from a support beside it; all queries of a task share one."""

    shares_support = True

    def __init__(self, model: nn.Module, about: About) -> None:
        """Take a model with trained weights, and what is known of them."""
        self._model = model.eval()
        self._about = about
        self._expected: float | None = None

    def to(self, device: str) -> None:
        """Compute on another device."""
        place = chosen(device)
        self._model.to(place)
        self.device = str(place)

    def expected(self) -> float | None:
        """The Dice of labelled slices, each found from the others; None where there is but one."""
        return self._expected


class WithForest(Learning):
    """The mean of the network's map and a forest's that sees it: no weights change."""

    @property
    def about(self) -> About:
        """Name, paper, the weights and what they have seen."""
        return replace(
            self._about,
            name=f"{self._about.name}+forest",
            departs=(
                "Averaged with a forest of 25 trees on ilastik's filters and the network's map, "
                f"grown from the support, each slice found from others; {_SHOWN} slices shown."
            ),
        )

    def fit(self, support: Support, seed: int) -> None:
        """Find each labelled slice from the others, and grow the forest."""
        from universeg.tuning.clock import Clock
        from universeg.tuning.in_context import InContext
        from universeg.tuning.left_out import leave_out, move_copies
        from universeg.tuning.ways import Grown

        examples = _examples(support, seed)
        self._shown = InContext(self._model, examples, size=_SHOWN)
        is_alone = len(support.images) == 1
        known = move_copies(self._shown, seed) if is_alone else leave_out(self._shown, _LEFT_OUT)
        way = Grown(known, seed)
        self._expected = None if is_alone else _expected(known, way, examples)
        way.learn((), Clock(0), 1.0)
        self._forest = way.finder

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of both probabilities."""
        from universeg.tuning.finder import sigmoid

        maps = self._shown.logits(queries)
        both = sigmoid(maps), sigmoid(self._forest.add_to(queries, maps))
        found: NDArray[np.float32] = (both[0] + both[1])[:, 0] / np.float32(2)
        return found


class Tuned(Learning):
    """The network, and what else is allowed, after they have learnt for a budget of seconds."""

    track = Track.TUNED

    def __init__(
        self, model: nn.Module, about: About, how: str, ways: Sequence[str], seconds: int | None
    ) -> None:
        """Take a model, and how it may go on.

        Args:
            model: with trained weights.
            about: of them.
            how: as it is called.
            ways: of `universeg.tuning.fitting.WAYS`.
            seconds: that it may take; by default those of `universeg predict` on the device.
        """
        super().__init__(model, about)
        self._how = how
        self._ways = tuple(ways)
        self._asked_seconds = seconds

    @property
    def about(self) -> About:
        """Name with the budget, paper, the weights and what they have seen."""
        return replace(
            self._about,
            name=f"{self._about.name}+{self._how}-{self._seconds:g}s",
            departs=(
                f"{self._seconds:g} s on {self.device.partition(':')[0]} for "
                f"{', '.join(self._ways)}, averaged as slices that were left out say; "
                f"{_SHOWN} slices shown."
            ),
        )

    @property
    def _seconds(self) -> float:
        from universeg.tuning.fitting import default_budget

        return self._asked_seconds or default_budget(self.device)

    def fit(self, support: Support, seed: int) -> None:
        """Learn from the support; the weights one came with stay as they are for the next."""
        from universeg.tuning.fitting import fit

        self._fitted = fit(
            self._model,
            _examples(support, seed),
            ways=self._ways,
            budget=self._seconds,
            seed=seed,
            device=self.device,
        )
        self._expected = _dice(self._fitted.expected)

    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of the probabilities of what was chosen."""
        return self._fitted.probabilities(queries)


class Expecting(Network):
    """The network in context, of one support for all queries, which says what to expect."""

    shares_support = True

    def fit(self, support: Support, seed: int) -> None:
        """Show the support, and find some of its slices from the others."""
        from universeg.tuning.fitting import expect

        super().fit(support, seed)
        self._expected = _dice(expect(self._model, _examples(support, seed)))

    def expected(self) -> float | None:
        """The Dice of labelled slices, each found from the others; None where there is but one."""
        return self._expected


def split(asked: str) -> tuple[str, str]:
    """Weights, and what is asked for beside them, or "": `mini+tune=60s` is `mini`, `tune=60s`."""
    found = _ASKED.fullmatch(asked)
    return (found["weights"], found["more"]) if found else (asked, "")


def with_more(network: Network, more: str) -> Method:
    """A network with what is asked for beside it: forest, expect, tune=60s, budget=60s.

    Raises:
        MethodError: the budget is none of seconds, or was given to what takes none.
    """
    how, _, written = more.partition("=")
    seconds = _seconds(written) if written else None
    if seconds and how in ("expect", "forest"):
        raise MethodError(f"{how} takes no budget", f"Ask for +{how}.")
    if how == "expect":
        about = replace(network.about, name=f"{network.about.name}+expect")
        return Expecting(network.model, about)
    if how == "forest":
        return WithForest(network.model, network.about)
    from universeg.tuning.fitting import TUNING, WAYS

    ways = TUNING if how == "tune" else WAYS
    return Tuned(network.model, network.about, how, ways, seconds)


def _seconds(written: str) -> int:
    budget = Budget.of(written)
    if budget.unit != "s":
        raise MethodError(f"{written} is no budget of seconds", "Write it as 60s.")
    return budget.amount


def _examples(support: Support, seed: int) -> Examples:
    from universeg.tuning.support import Support as Examples

    return Examples.of_pictures(support.images, support.masks, seed=seed)


def _expected(known: LeftOut, way: Grown, examples: Examples) -> float | None:
    """The Dice of both together, of slices that neither has seen: forests of folds tell it."""
    from universeg.tuning.clock import Clock
    from universeg.tuning.expectation import expected
    from universeg.tuning.finder import logit, sigmoid

    scans = sorted(set(known.scans))
    logits = np.empty_like(known.maps)
    for fold in range(min(_FOLDS, len(scans))):
        judges = scans[fold :: min(_FOLDS, len(scans))]
        way.learn(judges, Clock(0), 1.0)
        own = known.of(judges)
        both = sigmoid(known.maps[own]), sigmoid(way.judged(judges))
        logits[own] = logit(np.mean(both, axis=0))
    return _dice(expected(logits, known.masks, known.scans, examples.labels))


def _dice(told: Mapping[str, Expectation]) -> float | None:
    """What is expected of the one label."""
    return next((found.dice for found in told.values()), None)
