"""The ways to learn from labelled slices, each told by those that it has not seen yet."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from torch import nn

from universeg.tuning.choosing import AS_IT_IS, BRANCH
from universeg.tuning.clock import Clock
from universeg.tuning.finder import Finder, Maps
from universeg.tuning.forest import Forest
from universeg.tuning.in_context import InContext
from universeg.tuning.left_out import LeftOut
from universeg.tuning.network_learning import NetworkLearning
from universeg.tuning.unet_learning import UNetLearning


class Way(Protocol):
    """One way to learn. One that `takes_time` learns as long as it is let."""

    name: str
    takes_time: bool

    def learn(self, without: Collection[int], clock: Clock, until: float) -> None:
        """Go on learning from all planes but those of some examples, until a share of a clock."""
        ...

    def judged(self, examples: Collection[int]) -> Maps:
        """The logits of the planes of examples that it has not learnt from, if there are any."""
        ...

    @property
    def finder(self) -> Finder:
        """What it has come to."""
        ...


class AsItIs:
    """The network in context: nothing is learnt."""

    name = AS_IT_IS
    takes_time = False

    def __init__(self, known: LeftOut) -> None:
        self._known = known
        self.finder: Finder = known.shown

    def learn(self, without: Collection[int], clock: Clock, until: float) -> None:
        """There is nothing to learn."""

    def judged(self, examples: Collection[int]) -> Maps:
        """See `Way`."""
        return self._known.maps[self._known.of(examples)]


class Grown:
    """A forest that has the network's map among its columns."""

    name = "forest"
    takes_time = False

    def __init__(self, known: LeftOut, seed: int) -> None:
        self._known = known
        self._seed = seed
        self._forest: Forest | None = None

    def learn(self, without: Collection[int], clock: Clock, until: float) -> None:  # noqa: ARG002
        """Grow it anew."""
        known, own = self._known, self._known.of(without, inside=False)
        self._forest = Forest(
            known.images[own], known.masks[own], known.maps[own], known.shown, self._seed
        )

    def judged(self, examples: Collection[int]) -> Maps:
        """See `Way`."""
        own = self._known.of(examples)
        return self.finder.add_to(self._known.images[own], self._known.maps[own])

    @property
    def finder(self) -> Forest:
        """The forest."""
        if self._forest is None:
            raise ValueError("the forest is not grown yet")
        return self._forest


class Branch:
    """A small U-Net at full resolution that adds to what the network finds."""

    name = BRANCH
    takes_time = True

    def __init__(self, known: LeftOut, seed: int, device: str) -> None:
        self._known = known
        self.finder = UNetLearning(known.masks, known.shown, seed, device)

    def learn(self, without: Collection[int], clock: Clock, until: float) -> None:
        """See `Way`."""
        known, own = self._known, self._known.of(without, inside=False)
        self.finder.learn(known.images[own], known.masks[own], known.maps[own], clock, until)

    def judged(self, examples: Collection[int]) -> Maps:
        """See `Way`."""
        own = self._known.of(examples)
        return self.finder.add_to(self._known.images[own], self._known.maps[own])


class Tuned:
    """The network itself, which goes on learning."""

    name = "tuned"
    takes_time = True

    def __init__(self, known: LeftOut, network: nn.Module, seed: int) -> None:
        self._known = known
        self._learning = NetworkLearning(network, known.support, seed)

    @property
    def network(self) -> nn.Module:
        """The network as it has become."""
        return self._learning.network

    @property
    def steps(self) -> int:
        """How many were taken."""
        return self._learning.steps

    def learn(self, without: Collection[int], clock: Clock, until: float) -> None:
        """See `Way`."""
        self._learning.learn(without, clock, until)

    def judged(self, examples: Collection[int]) -> Maps:
        """See `Way`."""
        picks = [self._known.picks[place] for place in self._known.of(examples)]
        return self.finder.left_out(picks, also=examples)

    @property
    def finder(self) -> InContext:
        """The network with its support."""
        return InContext(self._learning.network, self._known.support, size=self._known.shown.size)
