"""Methods of somebody else's package, some of them faulty, and how they become known."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from benchmark.method import About, Method, Support


class Told(Method):
    """Answers with the mean mask, and remembers what it was shown."""

    shown: list[tuple[Support, int]] = []  # noqa: RUF012

    @property
    def about(self) -> About:
        return About(type(self).__name__.lower(), follows="no paper")

    def fit(self, support: Support, seed: int) -> None:
        self.shown.append((support, seed))
        self._mean = support.masks.mean(axis=0)

    def predict(self, queries: np.ndarray) -> np.ndarray:
        return np.repeat(self._mean[None], len(queries), axis=0)


class Also(Told):
    """Another one, which sees what the first sees."""

    shown: list[tuple[Support, int]] = []  # noqa: RUF012


class Greedy(Told):
    """Is fitted once to all that supports are drawn from."""

    uses_pool = True
    shown: list[tuple[Support, int]] = []  # noqa: RUF012


class Picky(Told):
    """Cannot be fitted to two images, until it is mended."""

    is_mended = False

    def fit(self, support: Support, seed: int) -> None:
        if len(support.images) == 2 and not self.is_mended:
            raise RuntimeError("two images are too few for me")
        super().fit(support, seed)


class Hopeless(Greedy):
    """Cannot be fitted, and takes long to find out."""

    shown: list[tuple[Support, int]] = []  # noqa: RUF012

    def fit(self, support: Support, seed: int) -> None:
        super().fit(support, seed)
        raise RuntimeError("no convergence")


class Odd(Told):
    """Its answers are no probabilities of the query's size, each time for another reason."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def predict(self, queries: np.ndarray) -> np.ndarray:
        found = super().predict(queries)
        odd = {
            "nan": found * np.nan,
            "logits": 9 * found - 4,
            "small": found[:, 1:],
            "single": found[0],
        }
        return odd[self._kind]


class Careless(Told):
    """Works in the memory of what it is given."""

    def predict(self, queries: np.ndarray) -> np.ndarray:
        queries -= 0.2
        return queries > 0.4


class Unlucky(Told):
    """Cannot be fitted the first time, whatever it is."""

    fits = 0

    def fit(self, support: Support, seed: int) -> None:
        Unlucky.fits += 1
        if Unlucky.fits == 1:
            raise MemoryError("no room")
        super().fit(support, seed)


class Fatal(Told):
    """Takes its process with it at its seventh answer, unless it did so before."""

    answers = 0

    def predict(self, queries: np.ndarray) -> np.ndarray:
        Fatal.answers += 1
        marker = Path(os.environ["FATAL_MARKER"])
        if Fatal.answers == 7 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(queries)


def number() -> int:
    """Is no method."""
    return 7


METHODS = (Told, Also, Greedy, Picky, Hopeless, Odd, Careless, Unlucky, Fatal, number)
NAMES = {made.__name__.lower(): f"own_methods:{made.__name__}" for made in METHODS}
NOWHERE = {"absent": "no_such_package:Method", "nearest": "own_methods:Told"}


def install(folder: Path, methods: dict[str, str], package: str = "own_methods") -> None:
    """Leave in a folder what an installed package leaves beside it."""
    about = folder / f"{package}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
    lines = [f"{name} = {where}" for name, where in methods.items()]
    (about / "entry_points.txt").write_text("\n".join(["[megamedical.methods]", *lines]) + "\n")
