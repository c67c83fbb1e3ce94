"""What a step learns from: which episodes are of the store, and which are drawn.

Every step follows from its number and the settings alone, so a run that goes on where it was broken
off takes the steps that would have come.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from universeg.training.config import Config
from universeg.training.drawn.families import FROM_EPISODES
from universeg.training.team import Team

_STEP = 2  # so that steps draw other numbers than episodes do
_AT_ONCE = 2  # families in a step: many small drawings take longer than few large ones


@dataclass(frozen=True)
class Step:
    """The part of a step that is one process's.

    Attributes:
        number: from 0.
        support_size: S.
        process: its rank in the team.
        stored: the numbers of the episodes that are the store's.
        drawn: by family, the numbers of those that are drawn.
    """

    number: int
    support_size: int
    process: int
    stored: Sequence[int]
    drawn: Mapping[str, Sequence[int]]

    @property
    def read(self) -> list[int]:
        """The episodes that are read: those of the store, then those that others are made of."""
        made = (own for family, own in self.drawn.items() if family in FROM_EPISODES)
        return [*self.stored, *(number for own in made for number in own)]

    @property
    def numbers(self) -> list[int]:
        """All episodes, as they come in a batch: the store's, then each family's."""
        return [*self.stored, *(number for own in self.drawn.values() for number in own)]


def step_of(config: Config, number: int, team: Team) -> Step:
    """What this process has to do with a step of a number."""
    rng = np.random.default_rng((config.seed, number, _STEP))
    size = _support_size(config, rng)
    count = episodes_of(config, size, team.size)
    numbers = range(number * config.batch_size, number * config.batch_size + count)
    families = _families(config, count, rng)
    own: dict[str, list[int]] = defaultdict(list)
    for episode, family in team.share(list(zip(numbers, families, strict=True))):
        own[family].append(episode)
    stored = own.pop("", [])
    return Step(number, size, team.rank, stored, dict(sorted(own.items())))


def episodes_of(config: Config, support_size: int, processes: int) -> int:
    """How many episodes a step has: as many for each process, and one at least."""
    if config.pairs is None:
        return config.batch_size
    fitting = min(config.batch_size, config.pairs // support_size)
    return max(1, fitting // processes) * processes


def _support_size(config: Config, rng: np.random.Generator) -> int:
    if not config.support_sizes:
        return config.support_size
    sizes, weights = zip(*sorted(config.support_sizes.items()), strict=True)
    return int(rng.choice(sizes, p=np.array(weights) / sum(weights)))


def _families(config: Config, count: int, rng: np.random.Generator) -> list[str]:
    """The family of each episode, by chance; "" is the store."""
    shares = config.drawn.shares
    drawn = int(config.drawn.share * count + rng.random()) if shares else 0
    if not drawn:
        return [""] * count
    chosen = rng.choice(list(shares), size=_AT_ONCE, p=list(shares.values()))
    families = [str(chosen[episode % _AT_ONCE]) for episode in range(drawn)]
    return [str(family) for family in rng.permutation([""] * (count - drawn) + families)]
