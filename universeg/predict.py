"""Segment the files of a folder from a folder of examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.intensity import Range
from megamedical.reading import read_scan
from megamedical.scan import Scan
from megamedical.slicing import PICTURE
from universeg.examples import Pair, dimension_of, find_pairs, is_colour, read_example, scans_in
from universeg.frame import Frame, Window
from universeg.segmenter import Prediction, Segmenter
from universeg.support import SupportError
from universeg.writing import Outputs

_AT_ONCE = 16  # pictures in memory together; volumes come one by one
_FAR = 4.0  # times; ranges of intensity that differ more are hardly of one kind of image


@dataclass(frozen=True)
class Request:
    """What is asked for: predict every file of `query` from the examples of `support`."""

    support: Path
    query: Path
    outputs: Outputs
    plane: str = "axial"
    window: Window | None = None


@dataclass
class Report:
    """The files that were written, and those that failed, each with the reason.

    `say` takes notices and warnings as they come up.
    """

    say: Callable[[str], None]
    written: list[Path] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)

    @contextmanager
    def blaming(self, file: Path) -> Iterator[None]:
        """Note what goes wrong with one file, and go on."""
        try:
            yield
        except SubjectError as error:
            self.failures.append((file, error.reason))
        except OSError as error:
            self.failures.append((file, str(error)))


@dataclass(frozen=True, eq=False)
class _Query:
    """A scan to be segmented; `intensities` is the range that is shown to the network."""

    file: Path
    scan: Scan
    intensities: Range


def predict(segmenter: Segmenter, request: Request, say: Callable[[str], None]) -> Report:
    """Do what is asked for; one bad file does not stop the rest.

    Args:
        segmenter: a network, whose window is that of the request.
        request: which files, and what to write.
        say: takes notices and warnings, one at a time.

    Raises:
        SupportError: no example can be used, there is nothing to predict, or a prediction would
            take the place of another file.
    """
    pairing = find_pairs(request.support)
    files = scans_in(request.query)
    _expect_own_targets(files, pairing.pairs, request.outputs)
    say(f"{len(pairing.pairs)} examples: {pairing.how}")
    if pairing.unpaired:
        say(f"Without a partner: {', '.join(path.name for path in pairing.unpaired)}")
    _mention_colour([*(pair.image for pair in pairing.pairs), *files], say)

    report = Report(say)
    are_pictures = dimension_of(pairing.pairs[0].image) == 2
    plane = PICTURE if are_pictures else request.plane
    ranges: list[Range] = []
    segmenter.fit_scans(
        _examples(pairing.pairs, plane, request.window, ranges, report), plane=plane
    )
    usual = Range(*np.median([(each.low, each.high) for each in ranges], axis=0).tolist())
    at_once = _AT_ONCE if are_pictures else 1
    for start in range(0, len(files), at_once):
        batch = files[start : start + at_once]
        queries = list(_queries(batch, plane, request.window, usual, report))
        found = _found(segmenter, [query.scan for query in queries], plane)
        for query, prediction in zip(queries, found, strict=True):
            with report.blaming(query.file):
                report.written += request.outputs.write(
                    prediction, query.file, query.scan, plane, query.intensities
                )
    return report


def _examples(
    pairs: Sequence[Pair], plane: str, window: Window | None, ranges: list[Range], report: Report
) -> Iterator[tuple[Scan, NDArray[Any]]]:
    """The examples that can be used, one at a time; the range of each is added to `ranges`."""
    for pair in pairs:
        with report.blaming(pair.image):
            _expect_kind(pair.image, plane, "the first example")
            scan, mask = read_example(pair)
            intensities = Frame.of(scan, plane, window).intensities
            if not mask.any():
                report.say(f"{pair.mask.name} is empty: it shows no label, and is not used")
            ranges.append(intensities)
            yield scan, mask
    if not ranges:
        reasons = (f"{file.name}: {reason}" for file, reason in report.failures)
        raise SupportError("No example can be used", "\n  ".join(reasons))


def _queries(
    files: Sequence[Path], plane: str, window: Window | None, usual: Range, report: Report
) -> Iterator[_Query]:
    """The scans that can be predicted, with a warning where their intensities are unusual."""
    for file in files:
        with report.blaming(file):
            _expect_kind(file, plane, "the examples")
            scan = read_scan(file, dimension_of(file))
            own = Frame.of(scan, plane, window).intensities
            if _are_far(own, usual):
                report.say(
                    f"Warning: {file.name} has intensities from {own.low:g} to {own.high:g}, the "
                    f"examples from {usual.low:g} to {usual.high:g}: are they of one kind?"
                )
            yield _Query(file, scan, own)


def _found(segmenter: Segmenter, scans: Sequence[Scan], plane: str) -> Iterator[Prediction]:
    if plane == PICTURE:
        yield from segmenter.predict_pictures(scans)
    else:
        for scan in scans:
            yield segmenter.predict_scan(scan, plane)


def _expect_own_targets(files: Sequence[Path], pairs: Sequence[Pair], outputs: Outputs) -> None:
    """Make sure that no mask takes the place of another, or of a file that is read.

    Raises:
        SupportError: one would.
    """
    read = {file.resolve() for file in files}
    read.update(file.resolve() for pair in pairs for file in (pair.image, pair.mask))
    takers: dict[Path, Path] = {}
    for file in files:
        target = outputs.mask_of(file)
        if target.resolve() in read:
            raise SupportError(f"{target} is read, and would be overwritten", "Name another --out.")
        first = takers.setdefault(target, file)
        if first != file:
            raise SupportError(
                f"{first.name} and {file.name} would both become {target.name}",
                "Give them different names.",
            )


def _expect_kind(file: Path, plane: str, others: str) -> None:
    """Make sure that a file is a picture among pictures, or a volume among volumes.

    Raises:
        SubjectError: it is not.
    """
    if (dimension_of(file) == 2) != (plane == PICTURE):
        is_what = "is a volume" if plane == PICTURE else "is a picture"
        raise SubjectError("match", file.name, f"{is_what}, unlike {others}")


def _mention_colour(files: Sequence[Path], say: Callable[[str], None]) -> None:
    coloured = sum(is_colour(file) for file in files)
    if coloured:
        say(f"{coloured} of {len(files)} images are in colour, and are converted to grey")


def _are_far(own: Range, usual: Range) -> bool:
    """Whether two ranges do not meet, or one is many times as wide as the other."""
    are_apart = own.low >= usual.high or own.high <= usual.low
    ratio = (own.high - own.low) / (usual.high - usual.low)
    return are_apart or not 1 / _FAR <= ratio <= _FAR
