"""Make the best of a network, of labelled slices, and of a budget of seconds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from torch import nn

from universeg.tuning.choosing import choose, weights
from universeg.tuning.clock import Clock
from universeg.tuning.expectation import Expectation, expected
from universeg.tuning.finder import Average, Finder, Maps, sigmoid
from universeg.tuning.in_context import InContext
from universeg.tuning.left_out import LeftOut, Stage, leave_out, move_copies, unwatched
from universeg.tuning.support import Support
from universeg.tuning.ways import AsItIs, Branch, Grown, Tuned, Way

TUNING = ("branch", "tuned")  # what `tune` tries
WAYS = ("forest", *TUNING)  # what a budget is spent on

_SHOWN = 16  # planes with each query: more take time that learning makes more of
_LEARNT = 64  # planes at most
_EXPECTED = 16  # planes at most, of which it is told how good a prediction will be
_JUDGED = 8  # scans at most, and a quarter of all
_KNOWING = 0.3  # share of the budget in which planes are left out, one after the other
_HELD_BACK = 0.6  # share of the time of learning after which what was left out is learnt too
_SECONDS = {"cpu": 60.0}
_SECONDS_ELSEWHERE = 5.0
_WORTH_IT = 60  # steps; fewer do a network more harm than good
_TRIED = 0.1  # share of its time after which that is foreseen
_PREFERRED = (AsItIs.name, *WAYS)  # averaged, unless the slices that were left out say otherwise


@dataclass(frozen=True, eq=False)
class Fitted:
    """What finds the labels of a support, what was chosen, and what is to be expected.

    Attributes:
        finder: what finds them.
        chosen: the ways that are averaged.
        why: what the slices said that were left out, for a person.
        expected: by the name of the label; none where there was nothing to leave out.
        dice: of the scans that were left out, by each way and by the average.
        network: the one that went on learning, if it was tried.
        steps: that it took.
        branch: the small U-Net beside it, if it was tried.
        gain: of the average over the network as it is, on the scans that were left out.
    """

    finder: Finder
    chosen: tuple[str, ...]
    why: str
    expected: Mapping[str, Expectation] = field(default_factory=dict)
    dice: Mapping[str, float] = field(default_factory=dict)
    network: nn.Module | None = None
    steps: int = 0
    branch: nn.Module | None = None
    gain: float = 0.0

    def probabilities(self, queries: Maps) -> Maps:
        """Of the first label, (Q, H, W) in [0, 1], in queries (Q, H, W) in [0, 1]."""
        return sigmoid(self.finder.logits(queries))[:, 0]


def default_budget(device: str) -> float:
    """Seconds that learning may take: 60 on a CPU, 5 elsewhere."""
    return _SECONDS.get(device.partition(":")[0], _SECONDS_ELSEWHERE)


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
    """Learn from labelled slices within a budget, and choose by those that were left out.

    A part of the scans, a quarter at most, is kept from all ways until they are judged; then it is
    learnt too. Whoever breaks it off (Ctrl-C) gets the best so far.

    Args:
        network: in context, on the device. It stays as it is.
        support: the labelled slices; of a single scan, copies that are moved and recoloured take
            the place of what would be left out; nothing is judged, and a forest alone is grown.
        ways: of `WAYS`, those that are tried beside the network as it is.
        budget: seconds; by default as many as suit the device.
        seed: of all that is drawn.
        device: as PyTorch names it.
        say: takes what happens.

    Raises:
        ValueError: there is no such way.
    """
    if unknown := set(ways) - set(WAYS):
        raise ValueError(f"there is no way {sorted(unknown)}, but {', '.join(WAYS)}")
    clock = Clock(default_budget(device) if budget is None else budget)
    shown = InContext(network, support, size=min(support.size, _SHOWN))
    try:
        if len(support.scans) > 1:
            known = leave_out(shown, _LEARNT, clock.part(_KNOWING))
        else:
            known = move_copies(shown, seed)
    except KeyboardInterrupt:
        return Fitted(shown, (AsItIs.name,), "broken off before anything was learnt")
    made = _made(ways, known, network, seed, device, say)
    judges = _judges(known, seed)
    judged = _judged_on_the_way(made, judges, clock, say)
    own = known.of(judges)
    scans = [known.scans[place] for place in own]
    choice = choose(judged, known.masks[own], scans, _PREFERRED)
    say(f"Chosen: {' + '.join(choice.names)} ({choice.why})")
    counts = weights(choice.names)
    finders = [(count, made[name].finder) for count, name in zip(counts, choice.names, strict=True)]
    tuned, branch = made.get(Tuned.name), made.get(Branch.name)
    return Fitted(
        Average(finders) if len(finders) > 1 else finders[0][1],
        choice.names,
        choice.why,
        _expected(known, choice.gain) if judges else {},
        choice.dice,
        tuned.network if isinstance(tuned, Tuned) else None,
        tuned.steps if isinstance(tuned, Tuned) else 0,
        branch.finder.network if isinstance(branch, Branch) else None,
        choice.gain,
    )


def expect(
    network: nn.Module, support: Support, stage: Stage = unwatched
) -> Mapping[str, Expectation]:
    """What is to be expected of a network in context: some planes, each found from the others."""
    if len(support.scans) < 2:
        return {}
    shown = InContext(network, support, size=min(support.size, _SHOWN))
    known = leave_out(shown, _EXPECTED, stage=stage)
    return _expected(known)


def _expected(known: LeftOut, gain: float = 0.0) -> Mapping[str, Expectation]:
    """What all left-out scans say of the network, and so much more as was gained on the judges."""
    found = expected(known.maps, known.masks, known.scans, known.support.labels)
    return {name: each.shifted(gain) for name, each in found.items()} if gain else found


def _made(
    ways: Collection[str],
    known: LeftOut,
    network: nn.Module,
    seed: int,
    device: str,
    say: Callable[[str], None],
) -> dict[str, Way]:
    made: list[Way] = [AsItIs(known)]
    if len(set(known.scans)) < 2:  # steps on a single scan end nowhere near the next
        ways = {*ways} & {"forest"}
    if "tuned" in ways:
        made.append(Tuned(known, network, seed))
    if "forest" in ways:
        if find_spec("sklearn"):
            made.append(Grown(known, seed))
        else:
            say("No forest: scikit-learn is not installed")
    if "branch" in ways:
        made.append(Branch(known, seed, device))
    return {way.name: way for way in made}


def _judges(known: LeftOut, seed: int) -> list[int]:
    """The scans by which the ways are judged; none, where there is but one."""
    scans = sorted(set(known.scans))
    if len(scans) < 2:
        return []
    count = max(1, min(_JUDGED, len(scans) // 4))
    return sorted(np.random.default_rng((seed, 4)).permutation(scans)[:count].tolist())


def _judged_on_the_way(
    made: Mapping[str, Way],
    judges: Sequence[int],
    clock: Clock,
    say: Callable[[str], None],
) -> dict[str, Maps]:
    """Let all ways learn, one after the other, and judge each before the judges are learnt too.

    Returns:
        the logits of the judges' planes, by each way that was judged before all was broken off.
    """
    judged = {AsItIs.name: made[AsItIs.name].judged(judges)}
    try:
        waiting = sum(way.takes_time for way in made.values())
        for name, way in made.items():
            own = clock.part(1 / max(1, waiting))
            waiting -= way.takes_time
            if isinstance(way, Tuned) and waiting and _is_too_slow(way, judges, own):
                say("Not tuned: this machine is too slow to do it in the time that there is")
                continue
            way.learn(judges, own, _HELD_BACK if judges else 1.0)
            judged[name] = way.judged(judges)
            if judges:
                way.learn((), own, 1.0)
    except KeyboardInterrupt:
        say("Broken off: the best so far is kept")
    return judged


def _is_too_slow(way: Tuned, judges: Collection[int], clock: Clock) -> bool:
    """Whether a network would come to so few steps that they do more harm than good."""
    way.learn(judges, clock, _TRIED)
    return way.steps < _WORTH_IT * _TRIED
