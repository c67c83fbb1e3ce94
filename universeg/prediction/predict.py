"""Segment the files of a folder from a folder of examples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.processing.intensity import Range
from megamedical.processing.slicing import PICTURE
from megamedical.reading.scan import Scan
from megamedical.reporting.progress import Listener, Silence, Step
from universeg.prediction.checks import (
    are_far,
    expect_kind,
    expect_own_targets,
    mention_colour,
    mention_draws,
    mention_labels,
    mention_pairs,
)
from universeg.prediction.deciding import Prediction
from universeg.prediction.examples import Pair, Pairing, find_pairs, read_example, scans_in
from universeg.prediction.findings import Findings, expected_dice, shown_labels
from universeg.prediction.frame import Frame, planes_of
from universeg.prediction.inputs import Input
from universeg.prediction.labels import Asked
from universeg.prediction.segmenter import Segmenter
from universeg.prediction.telling import by_the_clock, tell, write_summary
from universeg.prediction.writing import Outputs, Query
from universeg.tuning.fitting import default_budget
from universeg.tuning.support import SupportError

_AT_ONCE = 16  # pictures in memory together; volumes come one by one


@dataclass(frozen=True)
class Request:
    """What is asked for: predict every scan of `query` from the examples of `support`.

    `labels` says what in the masks is looked for; by default all is. `ways` are ways to learn from
    the examples, for `budget` seconds; by default nothing is learnt. `tells` says whether it is
    told how good predictions will be; that takes as long as some predictions. `summary` (JSON) says
    what is expected, `report` (HTML) and `table` (CSV) what was found.
    """

    support: Path
    query: Path
    outputs: Outputs
    plane: str = "axial"
    labels: Asked = field(default_factory=Asked)
    ways: Collection[str] = ()
    budget: float | None = None
    tells: bool = True
    summary: Path | None = None
    report: Path | None = None
    table: Path | None = None


@dataclass
class Report:
    """The files that were written, and the inputs that failed, each with the reason.

    `say` takes notices and warnings as they come up.
    """

    say: Callable[[str], None]
    written: list[Path] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)

    @contextmanager
    def blaming(self, file: Input) -> Iterator[None]:
        """Note what goes wrong with one file, and go on."""
        try:
            yield
        except SubjectError as error:
            self.failures.append((file.path, error.reason))
        except SupportError:
            raise  # no file's fault
        except Exception as error:
            said = str(error) if isinstance(error, OSError) else ""
            self.failures.append((file.path, said or f"{type(error).__name__}: {error}"))


def predict(
    segmenter: Segmenter,
    request: Request,
    say: Callable[[str], None],
    listener: Listener | None = None,
) -> Report:
    """Do what is asked for; one bad file does not stop the rest.

    Args:
        segmenter: a network.
        request: which files, and what to write.
        say: takes notices and warnings, one at a time.
        listener: hears how far it is.

    Raises:
        SupportError: no example can be used, there is nothing to predict, or a prediction would
            take the place of another file.
    """
    listener = listener or Silence()
    pairing = find_pairs(request.support, request.labels.colours)
    files = _files(request.query, say)
    mention_pairs(pairing, say)
    mention_colour([*(pair.image for pair in pairing.pairs), *files], say)

    report = Report(say)
    plane = plane_of(pairing, request.plane)
    labels = request.labels.among(pairing.names)
    ranges = read_examples(segmenter, pairing, plane, labels, report, listener)
    mention_labels(segmenter, say)
    if request.ways:
        budget = default_budget(segmenter.device) if request.budget is None else request.budget
        with by_the_clock(listener, "Learn", budget):
            segmenter.learn(request.ways, budget, say)
    mention_draws(segmenter, say)
    others = (request.summary, request.report, request.table)
    names = segmenter.labels.values()
    expect_own_targets(files, pairing.pairs, request.outputs, names, others)
    if request.tells:
        tell(segmenter, say, listener)
    if request.summary:
        write_summary(segmenter, request.summary)
        report.written.append(request.summary)
    usual = Range(*np.median([(each.low, each.high) for each in ranges], axis=0).tolist())
    shown = shown_labels(segmenter.labels, pairing.colours)
    findings = Findings(shown, expected_dice(segmenter) if request.tells else {}, plane)
    for query, prediction in _predicted(segmenter, files, plane, usual, report, listener):
        with report.blaming(query.file):
            report.written += request.outputs.write(prediction, query, shown)
            if request.report or request.table:
                findings.add(query, prediction, with_picture=request.report is not None)
    report.written += findings.write(request.report, request.table)
    return report


def _files(query: Path, say: Callable[[str], None]) -> list[Input]:
    """What is to be segmented, without what lies aside."""
    found = scans_in(query)
    for file in found:
        if file.lies_aside:
            say(f"Left aside: {file.path.name} {file.damage}")
    return [file for file in found if not file.lies_aside]


def plane_of(pairing: Pairing, plane: str) -> str:
    """The plane along which examples are cut; pictures have one alone."""
    return PICTURE if pairing.pairs[0].image.dimension == 2 else plane


def read_examples(
    segmenter: Segmenter,
    pairing: Pairing,
    plane: str,
    labels: Mapping[int, str],
    report: Report,
    listener: Listener,
) -> list[Range]:
    """Show a segmenter the examples that can be used; the ranges of their intensities.

    Raises:
        SupportError: none can be used.
    """
    ranges: list[Range] = []
    with listener.stage("Read", len(pairing.pairs), "examples") as step:
        examples = _examples(segmenter, pairing.pairs, plane, labels, ranges, report, step)
        segmenter.fit_scans(examples, labels)
    return ranges


def _examples(
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    plane: str,
    labels: Collection[int],
    ranges: list[Range],
    report: Report,
    step: Step,
) -> Iterator[tuple[Scan, NDArray[Any], Frame]]:
    """The examples that can be used, one at a time; the range of each is added to `ranges`."""
    for pair in pairs:
        with report.blaming(pair.image):
            expect_kind(pair.image, plane, "the first example")
            scan, mask = read_example(pair, report.say, labels)
            frame = segmenter.frame_of(scan, plane)
            if not mask.any():
                report.say(f"{pair.mask.path.name} is empty: it shows no label, and is not used")
            ranges.append(frame.intensities)
            yield scan, mask, frame
        step(pair.image.path.name)
    if not ranges:
        reasons = (f"{file.name}: {reason}" for file, reason in report.failures)
        raise SupportError("No example can be used", "\n".join(reasons))


def _predicted(
    segmenter: Segmenter,
    files: Sequence[Input],
    plane: str,
    usual: Range,
    report: Report,
    listener: Listener,
) -> Iterator[tuple[Query, Prediction]]:
    """What is found in each file; pictures some at a time, volumes one by one, slice by slice."""
    if plane != PICTURE:
        for number, file in enumerate(files, start=1):
            for query in _queries(segmenter, [file], plane, usual, report):
                slices = len(planes_of(query.scan.voxels, plane))
                unit = f"slices of {file.path.name} ({number} of {len(files)})"
                with report.blaming(file), listener.stage("Predict", slices, unit) as step:
                    yield query, segmenter.predict_volume(query.scan, query.frame, step)
        return
    with listener.stage("Predict", len(files), "files") as step:
        for start in range(0, len(files), _AT_ONCE):
            batch = files[start : start + _AT_ONCE]
            yield from _found(
                segmenter, [*_queries(segmenter, batch, plane, usual, report)], report
            )
            for file in batch:
                step(file.path.name)


def _queries(
    segmenter: Segmenter, files: Sequence[Input], plane: str, usual: Range, report: Report
) -> Iterator[Query]:
    """The scans that can be predicted, with a warning where their intensities are unusual."""
    for file in files:
        with report.blaming(file):
            expect_kind(file, plane, "the examples")
            scan, volume = file.read()
            frame = segmenter.frame_of(scan, plane)
            own = frame.intensities
            odd = []
            if are_far(own, usual):
                odd.append(
                    f"has intensities from {own.low:g} to {own.high:g}, "
                    f"the examples from {usual.low:g} to {usual.high:g}: are they of one kind?"
                )
            if segmenter.is_unlike(scan, frame):
                odd.append("looks like none of the examples: what is found in it may be wrong")
            for each in odd:
                report.say(f"Warning: {file.path.name} {each}")
            yield Query(file, scan, volume, frame, tuple(odd))


def _found(
    segmenter: Segmenter, queries: Sequence[Query], report: Report
) -> Iterator[tuple[Query, Prediction]]:
    """What is found in pictures, which go together, unless one of them cannot."""
    found: dict[int, Prediction] = {}
    if len(queries) > 1:
        scans, frames = [query.scan for query in queries], [query.frame for query in queries]
        with suppress(Exception):  # whose fault it is shows when they go one by one
            found = dict(enumerate(segmenter.predict_pictures(scans, frames)))
    for number, query in enumerate(queries):
        if number not in found:
            with report.blaming(query.file):
                (found[number],) = segmenter.predict_pictures([query.scan], [query.frame])
        if number in found:
            yield query, found.pop(number)
