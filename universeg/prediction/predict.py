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
from universeg.prediction.deciding import Prediction
from universeg.prediction.examples import Pair, Pairing, find_pairs, read_example, scans_in
from universeg.prediction.frame import Frame
from universeg.prediction.inputs import Input
from universeg.prediction.progress import by_the_clock
from universeg.prediction.segmenter import Segmenter
from universeg.prediction.telling import tell, write_summary
from universeg.prediction.writing import Outputs, Query
from universeg.tuning.fitting import default_budget
from universeg.tuning.support import SupportError

_AT_ONCE = 16  # pictures in memory together; volumes come one by one
_SHOWN = 16  # labels
_FAR = 4.0  # times; ranges of intensity that differ more are hardly of one kind of image

_SET = {1, 255}  # one label, unless a mask holds both


@dataclass(frozen=True)
class Request:
    """What is asked for: predict every scan of `query` from the examples of `support`.

    `labels` names the values in the masks that are looked for; by default all are. `ways` are ways
    to learn from the examples, for `budget` seconds; by default nothing is learnt. `tells` says
    whether it is told how good predictions will be; that takes as long as some predictions.
    """

    support: Path
    query: Path
    outputs: Outputs
    plane: str = "axial"
    labels: Mapping[int, str] = field(default_factory=dict)
    ways: Collection[str] = ()
    budget: float | None = None
    tells: bool = True
    summary: Path | None = None


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
    pairing = find_pairs(request.support)
    found = scans_in(request.query)
    files = [file for file in found if not file.lies_aside]
    for file in found:
        if file.lies_aside:
            say(f"Left aside: {file.path.name} {file.damage}")
    say(f"Examples: {len(pairing.pairs)}, {pairing.how}")
    if pairing.unpaired:
        say(f"Without a partner: {', '.join(path.name for path in pairing.unpaired)}")
    _mention_colour([*(pair.image for pair in pairing.pairs), *files], say)

    report = Report(say)
    plane = plane_of(pairing, request.plane)
    are_pictures = plane == PICTURE
    ranges = read_examples(segmenter, pairing, plane, request.labels, report, listener)
    _mention_labels(segmenter, say)
    if request.ways:
        budget = default_budget(segmenter.device) if request.budget is None else request.budget
        with by_the_clock(listener, "Learn", budget):
            segmenter.learn(request.ways, budget, say)
    _mention_draws(segmenter, say)
    _expect_own_targets(files, pairing.pairs, request.outputs, segmenter.labels.values())
    if request.tells:
        tell(segmenter, say)
    if request.summary:
        write_summary(segmenter, request.summary)
        report.written.append(request.summary)
    usual = Range(*np.median([(each.low, each.high) for each in ranges], axis=0).tolist())
    at_once = _AT_ONCE if are_pictures else 1
    with listener.stage("Predict", len(files), "files") as step:
        for start in range(0, len(files), at_once):
            batch = files[start : start + at_once]
            queries = list(_queries(segmenter, batch, plane, usual, report))
            for query, prediction in _found(segmenter, queries, report):
                with report.blaming(query.file):
                    report.written += request.outputs.write(prediction, query)
            for file in batch:
                step(file.path.name)
    return report


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
            _expect_kind(pair.image, plane, "the first example")
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


def _queries(
    segmenter: Segmenter, files: Sequence[Input], plane: str, usual: Range, report: Report
) -> Iterator[Query]:
    """The scans that can be predicted, with a warning where their intensities are unusual."""
    for file in files:
        with report.blaming(file):
            _expect_kind(file, plane, "the examples")
            scan, volume = file.read()
            frame = segmenter.frame_of(scan, plane)
            own = frame.intensities
            if _are_far(own, usual):
                report.say(
                    f"Warning: {file.path.name} has intensities from {own.low:g} to {own.high:g}, "
                    f"the examples from {usual.low:g} to {usual.high:g}: are they of one kind?"
                )
            if segmenter.is_unlike(scan, frame):
                report.say(
                    f"Warning: {file.path.name} looks like none of the examples: "
                    "what is found in it may be wrong"
                )
            yield Query(file, scan, volume, frame)


def _found(
    segmenter: Segmenter, queries: Sequence[Query], report: Report
) -> Iterator[tuple[Query, Prediction]]:
    """What is found in each scan; pictures go together, unless one of them cannot."""
    found: dict[int, Prediction] = {}
    if len(queries) > 1 and not any(query.volume for query in queries):
        scans, frames = [query.scan for query in queries], [query.frame for query in queries]
        with suppress(Exception):  # whose fault it is shows when they go one by one
            found = dict(enumerate(segmenter.predict_pictures(scans, frames)))
    for number, query in enumerate(queries):
        if number not in found:
            with report.blaming(query.file):
                if query.volume:
                    found[number] = segmenter.predict_volume(query.scan, query.frame)
                else:
                    (found[number],) = segmenter.predict_pictures([query.scan], [query.frame])
        if number in found:
            yield query, found.pop(number)


def _expect_own_targets(
    files: Sequence[Input], pairs: Sequence[Pair], outputs: Outputs, labels: Collection[str]
) -> None:
    """Make sure that nothing takes the place of another output, or of a file that is read.

    Raises:
        SupportError: something would.
    """
    inputs = [*files, *(each for pair in pairs for each in (pair.image, pair.mask))]
    read = {path.resolve() for each in inputs for path in each.files}
    takers: dict[Path, Input] = {}
    for file in files:
        for target in outputs.targets(file, labels):
            if target.resolve() in read:
                raise SupportError(
                    f"{target} is read, and would be overwritten", "Name another --out."
                )
            first = takers.setdefault(target, file)
            if first is not file:
                raise SupportError(
                    f"{first.path.name} and {file.path.name} would both become {target.name}",
                    "Give them different names, or predict them one after the other.",
                )


def _expect_kind(file: Input, plane: str, others: str) -> None:
    """Make sure that a file is a picture among pictures, or a volume among volumes.

    Raises:
        SubjectError: it is not, or it is damaged.
    """
    if file.damage:
        raise SubjectError("read", file.path.name, file.damage)
    if (file.dimension == 2) != (plane == PICTURE):
        is_what = "is a volume" if plane == PICTURE else "is a picture"
        raise SubjectError(
            "match", file.path.name, f"{is_what}, unlike {others}: take one kind at a time"
        )


def _mention_colour(files: Sequence[Input], say: Callable[[str], None]) -> None:
    coloured = sum(file.is_colour for file in files)
    if coloured:
        say(f"{coloured} of {len(files)} images are in colour, and are converted to grey")


def _mention_labels(segmenter: Segmenter, say: Callable[[str], None]) -> None:
    named = [f"{value} = {name}" for value, name in segmenter.labels.items()]
    more = f", and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    say(f"Labels: {', '.join(named[:_SHOWN])}{more}")
    if len(segmenter.alike) > 1:
        say(
            f"Masks write their foreground as {' and '.join(map(str, segmenter.alike))}, which are "
            "taken for one label"
        )
    elif {*segmenter.labels} == _SET:
        say(
            "Warning: 1 and 255 are taken for two labels, as a mask holds both: if it is one, save "
            "all masks with 0 and 255"
        )
    if segmenter.unnamed:
        values = ", ".join(map(str, segmenter.unnamed))
        say(f"Not looked for, as --label does not name them: {values}")


def _mention_draws(segmenter: Segmenter, say: Callable[[str], None]) -> None:
    if segmenter.draws < segmenter.ensemble:
        say(
            f"--ensemble {segmenter.ensemble} changes nothing: every draw would be the same, as "
            f"there are no more examples than --support-size {segmenter.support_size} takes"
        )


def _are_far(own: Range, usual: Range) -> bool:
    """Whether two ranges do not meet, or one is many times as wide as the other."""
    are_apart = own.low >= usual.high or own.high <= usual.low
    ratio = (own.high - own.low) / (usual.high - usual.low)
    return are_apart or not 1 / _FAR <= ratio <= _FAR
