"""A method at work on the queries of one task: what it is shown, and the rows that come of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cases import CaseReader, Example, TaskCases, draw_shared_support, draw_support
from benchmark.machine.device import described
from benchmark.machine.peak_memory import peak_memory
from benchmark.machine.places import without_folders
from benchmark.measures.fitting import FITTING, fitting_scores
from benchmark.method import Method, make_method
from benchmark.metrics import score
from benchmark.native.truths import NATIVE, NativeTruth, read_truths
from benchmark.results import ENSEMBLE, OF_POOL, OF_QUERY, OF_TASK, packed
from benchmark.suite import Suite
from megamedical.store.store import open_store

_SCORES = ("dice", "hd95", "assd", "surface_dice", *FITTING, *NATIVE)


@dataclass(frozen=True)
class Asked:
    """A method by its name, and where it is to compute."""

    method: str
    device: str

    def make(self) -> Method:
        """The method.

        Raises:
            MethodError: see `make_method`.
        """
        return make_method(self.method, self.device)


@dataclass(frozen=True)
class _Fitted:
    """A method that was shown a support, how long that took, and what it expects."""

    method: Method
    seconds: float
    expected: float | None


@dataclass(frozen=True)
class _Answer:
    """What was found with one draw: a map (H, W), or why there is none."""

    found: NDArray[np.float32]
    seconds: float
    fit_seconds: float
    expected: float | None
    failure: str


class Runner:
    """Runs a method on the queries of one task, with one number of labelled slices."""

    def __init__(
        self,
        suite: Suite,
        store: str,
        asked: Asked,
        cases: TaskCases,
        support_size: int,
        native: Path | None = None,
    ) -> None:
        """Take what is asked, of what; the method is made here.

        Predictions are scored on the grids of scans too, where there is a file of masks on these.
        """
        self._suite = suite
        self._cases = cases
        self._size = support_size
        self._asked = asked
        self._reader = CaseReader(open_store(store), cases.group)
        self._truths = read_truths(native, cases) if native else {}
        self.method = asked.make()
        self._fits: dict[int, _Fitted | Exception] = {}

    def rows(self, query: Example) -> Iterator[dict[str, Any]]:
        """The row of each draw, then that of their ensemble; of one draw that alone."""
        image, truth = self._reader.query(query)
        answers = [self._answer(query, image, draw) for draw in range(self.draws)]
        if len(answers) > 1:
            for draw, answer in enumerate(answers):
                yield self._row(query, draw, answer, truth)
        yield self._row(query, ENSEMBLE, _ensemble(answers), truth)

    @property
    def support(self) -> str:
        """Whose the supports are."""
        if self.method.uses_pool:
            return OF_POOL
        return OF_TASK if self.method.shares_support else OF_QUERY

    @property
    def draws(self) -> int:
        """How many supports there are of each query, or of the task."""
        return {
            OF_POOL: 1,
            OF_TASK: self._suite.shared_draws,
            OF_QUERY: self._suite.draws,
        }[self.support]

    def _answer(self, query: Example, image: NDArray[np.float32], draw: int) -> _Answer:
        begun, fit = time.perf_counter(), None
        try:
            if self.support != OF_QUERY:
                fit = self._shared_fit(draw)
                begun = time.perf_counter()
            fitted = fit or self._own_fit(query, draw)
            found = self._predicted(fitted.method, image)
        except Exception as error:  # one method's fault must not stop the others
            failure = without_folders(f"{type(error).__name__}: {error}")
            found, fitted = np.zeros_like(image), None
        else:
            failure = ""
        return _Answer(
            found,
            time.perf_counter() - begun,
            fit.seconds if fit else 0.0,
            fitted.expected if fitted else None,
            failure,
        )

    def _own_fit(self, query: Example, draw: int) -> _Fitted:
        examples = draw_support(self._suite, self._cases, query, draw, self._size)
        return self._fit(self.method, examples, draw)

    def _shared_fit(self, draw: int) -> _Fitted:
        """Fit once; what failed once would only fail again, after as long."""
        if draw not in self._fits:
            try:
                examples = (
                    list(self._cases.pool)
                    if self.support == OF_POOL
                    else draw_shared_support(self._suite, self._cases, draw, self._size)
                )
                self._fits[draw] = self._fit(self._asked.make(), examples, draw)
            except Exception as error:
                self._fits[draw] = error
        found = self._fits[draw]
        if isinstance(found, Exception):
            raise found
        return found

    def _fit(self, method: Method, examples: list[Example], draw: int) -> _Fitted:
        begun = time.perf_counter()
        method.fit(self._reader.support(examples), seed=self._suite.seed + draw)
        return _Fitted(method, time.perf_counter() - begun, method.expected())

    def _predicted(self, method: Method, image: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.asarray(method.predict(image[None].copy()), dtype=np.float32)
        if found.shape != (1, *image.shape) or not ((found >= 0) & (found <= 1)).all():
            raise ValueError(
                f"{method.about.name} gave no probabilities in [0, 1] of shape {(1, *image.shape)}"
            )
        return found[0]

    def _row(
        self, query: Example, draw: int, answer: _Answer, truth: NDArray[np.float32]
    ) -> dict[str, Any]:
        suite, cases, about = self._suite, self._cases, self.method.about
        return {
            "suite": suite.id,
            "protocol": suite.protocol,
            "data": cases.fingerprint,
            "method": about.name,
            "version": about.version,
            "weights": about.weights,
            "task": cases.task,
            "dataset": cases.dataset,
            "group": cases.group,
            "subject": query.subject,
            "patient": query.patient,
            "track": str(self.method.track),
            "support": self.support,
            "support_size": self._size,
            "draws": self.draws,
            "draw": draw,
            **self._scores(answer, truth, self._truths.get(query.subject)),
            "expected": answer.expected,
            "device": described(self.method.device),
            "fit_seconds": answer.fit_seconds,
            "seconds": answer.seconds,
            "memory": peak_memory(),
            "mask": packed(answer.found > suite.threshold)
            if draw == ENSEMBLE and not answer.failure
            else None,
            "failure": answer.failure,
        }

    def _scores(
        self, answer: _Answer, truth: NDArray[np.float32], native: NativeTruth | None
    ) -> Mapping[str, Any]:
        if answer.failure:
            return dict.fromkeys(_SCORES)
        rules = self._suite.threshold, self._suite.both_empty
        fitting = fitting_scores(self._cases.task, answer.found, truth, *rules)
        of_scan = native.scores(answer.found, *rules) if native else dict.fromkeys(NATIVE)
        return asdict(score(answer.found, truth, *rules)) | fitting | of_scan


def _ensemble(answers: list[_Answer]) -> _Answer:
    """The mean of what was found with all draws, which has none where one has none."""
    expected = [answer.expected for answer in answers if answer.expected is not None]
    return _Answer(
        np.mean([answer.found for answer in answers], axis=0),
        sum(answer.seconds for answer in answers),
        sum(answer.fit_seconds for answer in answers),
        float(np.mean(expected)) if len(expected) == len(answers) else None,
        next((answer.failure for answer in answers if answer.failure), ""),
    )
