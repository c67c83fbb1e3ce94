"""What a method is: something that segments queries after it was shown a support.

A package adds its own as an entry point of the group `megamedical.methods`: a callable that takes
what follows the colon in `--method name:argument` (or nothing) and gives a `Method`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import MegaMedicalError

_GROUP = "megamedical.methods"


class MethodError(MegaMedicalError):
    """There is no such method, or it cannot do what it is asked."""


@dataclass(frozen=True)
class About:
    """What a reader of the leaderboard has to know of a method.

    Attributes:
        name: as the board shows it.
        follows: the paper, with its DOI.
        departs: where it is not as in the paper, in a sentence.
        version: of its code: counted up when its results change.
        weights: SHA-256 of the file of weights, or "".
        trained_on: fingerprint of each `<dataset>/<group>` that its weights have seen.
    """

    name: str
    follows: str
    departs: str = ""
    version: str = "1"
    weights: str = ""
    trained_on: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Support:
    """Labelled slices: `images` and `masks` are (S, H, W) float32 in [0, 1], the masks soft."""

    images: NDArray[np.float32]
    masks: NDArray[np.float32]


class Method(ABC):
    """A method, with its settings and weights.

    `uses_pool` says that it is trained on all that supports are drawn from, once for each task, and
    draws mean nothing to it: an upper bound.
    """

    uses_pool = False

    @property
    @abstractmethod
    def about(self) -> About:
        """Name, paper, version."""

    @abstractmethod
    def fit(self, support: Support, seed: int) -> None:
        """Take a support; what was fitted before is forgotten.

        Args:
            support: of one task.
            seed: of whatever is random.
        """

    @abstractmethod
    def predict(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probability of the label, (Q, H, W) in [0, 1], in queries (Q, H, W) in [0, 1]."""


def method_names() -> list[str]:
    """The methods that can be asked for."""
    return sorted(entry_points(group=_GROUP).names)


def described(name: str) -> str:
    """A method in a line: what its docstring begins with, or why it cannot be had."""
    try:
        return (_loaded(name).__doc__ or "").strip().partition("\n")[0]
    except MethodError as error:
        return error.problem


def make_method(asked: str) -> Method:
    """The method that `name` or `name:argument` asks for.

    Raises:
        MethodError: there is none of this name, or two; it cannot be imported; it needs an
            argument, takes none, or not this one; or it makes something else.
    """
    name, _, argument = asked.partition(":")
    make = _loaded(name)
    try:
        method = make(argument) if argument else make()
    except MegaMedicalError:
        raise
    except Exception as error:  # whatever somebody's package raises
        raise MethodError(
            f"{asked} cannot be made: {_told(error)}", "See `megamedical-benchmark methods`."
        ) from error
    if not isinstance(method, Method):
        raise MethodError(
            f"{asked} makes something of type {type(method).__name__}, not a method",
            "Derive it from `benchmark.method.Method`.",
        )
    return method


def _loaded(name: str) -> Callable[..., object]:
    entry = _registered(name)
    try:
        make: Callable[..., object] = entry.load()
    except Exception as error:  # whatever somebody's package raises
        raise MethodError(
            f"{name} cannot be imported from {entry.module}: {_told(error)}",
            "Install what is missing, or remove the package that it comes from.",
        ) from error
    return make


def _registered(name: str) -> EntryPoint:
    found = list(entry_points(group=_GROUP, name=name))
    if not found:
        raise MethodError(f"There is no method {name}", f"There are {', '.join(method_names())}.")
    if len(found) > 1:
        raise MethodError(
            f"Two packages have a method {name}: {' and '.join(entry.value for entry in found)}",
            "Give yours another name, or remove one of them.",
        )
    return found[0]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
