"""What is looked at before and beside a prediction: targets, kinds of files, what is mentioned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from megamedical.errors import SubjectError
from megamedical.processing.intensity import Range
from megamedical.processing.slicing import PICTURE
from universeg.prediction.inputs import Input
from universeg.prediction.pairing.pair import Pair, Pairing
from universeg.prediction.segmenter import Segmenter
from universeg.prediction.writing import Outputs
from universeg.tuning.support import SupportError

_SHOWN = 16  # labels, or files
_FAR = 4.0  # times; ranges of intensity that differ more are hardly of one kind of image
_SET = {1, 255}  # one label, unless a mask holds both


def expect_own_targets(
    files: Sequence[Input],
    pairs: Sequence[Pair],
    outputs: Outputs,
    labels: Collection[str],
    others: Sequence[Path | None],
) -> None:
    """Make sure that nothing takes the place of another output, or of a file that is read.

    Raises:
        SupportError: something would.
    """
    inputs = [*files, *(each for pair in pairs for each in (pair.image, pair.mask))]
    read = {path.resolve() for each in inputs for path in each.files}
    for other in filter(None, others):
        if other.resolve() in read:
            raise SupportError(f"{other} is read, and would be overwritten", "Name another file.")
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


def expect_kind(file: Input, plane: str, others: str) -> None:
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


def mention_pairs(pairing: Pairing, say: Callable[[str], None]) -> None:
    """Say what was paired with what, and what was not."""
    say(f"Examples: {len(pairing.pairs)}, {pairing.how}")
    for note in pairing.notes:
        say(note)
    if pairing.unpaired:
        said = ", ".join(path.name for path in pairing.unpaired[:_SHOWN])
        more = f", and {len(pairing.unpaired) - _SHOWN} more"
        say(f"Without a partner: {said}{more if len(pairing.unpaired) > _SHOWN else ''}")


def mention_colour(files: Sequence[Input], say: Callable[[str], None]) -> None:
    """Say how many images are in colour."""
    coloured = sum(file.is_colour for file in files)
    if coloured:
        say(f"{coloured} of {len(files)} images are in colour, and are converted to grey")


def mention_labels(segmenter: Segmenter, say: Callable[[str], None]) -> None:
    """Say which labels are looked for, and what is odd about their values."""
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


def mention_draws(segmenter: Segmenter, say: Callable[[str], None]) -> None:
    """Say where an ensemble changes nothing."""
    if segmenter.draws < segmenter.ensemble:
        say(
            f"--ensemble {segmenter.ensemble} changes nothing: every draw would be the same, as "
            f"there are no more examples than --support-size {segmenter.support_size} takes"
        )


def are_far(own: Range, usual: Range) -> bool:
    """Whether two ranges do not meet, or one is many times as wide as the other."""
    are_apart = own.low >= usual.high or own.high <= usual.low
    ratio = (own.high - own.low) / (usual.high - usual.low)
    return are_apart or not 1 / _FAR <= ratio <= _FAR
