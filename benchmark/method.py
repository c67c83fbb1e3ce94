"""What a method is: something that segments queries after it was shown a support.

A package adds its own as an entry point of the group `megamedical.methods`: a callable that takes
what follows the colon in `--method name:argument` (or nothing) and gives a `Method`. One that is in
a file of yours is asked for as `--method file.py:Class`, with `:argument` behind it.
"""

from __future__ import annotations

import hashlib
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import MegaMedicalError, nearest

_GROUP = "megamedical.methods"
_FILE = re.compile(r"(?P<path>.+\.py)(:(?P<kind>[^:]*)(:(?P<argument>.*))?)?", re.DOTALL)


class MethodError(MegaMedicalError):
    """There is no such method, or it cannot do what it is asked."""


class Track(StrEnum):
    """What becomes of a method's weights when it is shown a support: each is ranked by itself."""

    IN_CONTEXT = "in context"
    TUNED = "tuned"


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

    Attributes:
        track: whether weights of it change with the support; it is ranked among its like.
        shares_support: a fit of it is too dear to be made for each query: it is fitted once for
            each task, number of labelled slices and draw, to a support that all queries share.
        uses_pool: it is trained on all that supports are drawn from, once for each task, and draws
            mean nothing to it: an upper bound.
        device: where it computes, as PyTorch names it.
    """

    track = Track.IN_CONTEXT
    shares_support = False
    uses_pool = False
    device = "cpu"

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

    def to(self, device: str) -> None:  # noqa: B027 - most methods know no other
        """Compute on another device from the next fit on: as PyTorch names it, or `auto`.

        By default nothing happens: such a method computes on the CPU.
        """

    def expected(self) -> float | None:
        """The Dice that the support lets it expect of queries, 0 to 1; None where it cannot say."""
        return None


def method_names() -> list[str]:
    """The methods that can be asked for."""
    return sorted(entry_points(group=_GROUP).names)


def described(name: str) -> str:
    """A method in a line: what its docstring begins with, or why it cannot be had."""
    try:
        return (_loaded(name).__doc__ or "").strip().partition("\n")[0]
    except MethodError as error:
        return error.problem


def make_method(asked: str, device: str = "cpu") -> Method:
    """The method that `name`, `name:argument`, `file.py:Class` or that with an argument asks for.

    Args:
        asked: which.
        device: where it is to compute, as PyTorch names it; `auto` is the GPU where there is one.

    Raises:
        MethodError: there is none of this name, or two; it cannot be imported; it needs an
            argument, takes none, or not this one; or it makes something else.
        MegaMedicalError: there is no such device.
    """
    make, argument = _asked_for(asked)
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
    method.to(device)
    return method


def _asked_for(asked: str) -> tuple[Callable[..., object], str]:
    """What makes a method, and the argument that it is to have, or ""."""
    file = _FILE.fullmatch(asked)
    if file and (":" not in file["path"] or Path(file["path"]).is_file()):
        return _from_file(Path(file["path"]), file["kind"] or ""), file["argument"] or ""
    name, _, argument = asked.partition(":")
    return _loaded(name), argument


def _from_file(path: Path, name: str) -> Callable[..., object]:
    """A class, or a function that makes a method, of a Python file, which is run for it.

    Raises:
        MethodError: there is no such file, it cannot be run, or has nothing of this name.
    """
    if not path.is_file():
        raise MethodError(f"There is no file {path}", "Write `--method FILE.py:CLASS`.")
    module = _run(path.absolute())
    make = getattr(module, name, None) if name else None
    if not callable(make):
        there = ", ".join(_methods_in(module)) or "no class derived from `benchmark.Method`"
        raise MethodError(
            f"{path} has no {name}" if name else f"No class of {path} is named",
            f"Write `--method {path}:CLASS`; there is {there}.",
        )
    found: Callable[..., object] = make
    return found


def _run(path: Path) -> ModuleType:
    """The module of a file, run once; it may import what lies beside it."""
    name = f"method_of_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise MethodError(f"{path} is no Python", "Write `--method FILE.py:CLASS`.")
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses look for it there
    sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever somebody's code raises
        del sys.modules[name]
        raise MethodError(f"{path} cannot be run: {_told(error)}", "Mend it.") from error
    return module


def _methods_in(module: ModuleType) -> list[str]:
    return [
        name
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and issubclass(kind, Method)
        and kind.__module__ == module.__name__
    ]


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
        raise MethodError(f"There is no method {name}", nearest(name, method_names()))
    if len(found) > 1:
        raise MethodError(
            f"Two packages have a method {name}: {' and '.join(entry.value for entry in found)}",
            "Give yours another name, or remove one of them.",
        )
    return found[0]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
