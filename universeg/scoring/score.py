"""How near predictions are to the truth, for each label of each case, and over all cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reporting.progress import Listener
from universeg.measures.masks import Mask, Surfaces, dice
from universeg.prediction.labels import FOREGROUND
from universeg.prediction.showing import label_values
from universeg.scoring.matching import Masks, matched, read_both
from universeg.tuning.support import SupportError

_RESAMPLES = 5000  # of cases, for an interval
_MM3_OF_ML = 1000.0
MEASURES = ("dice", "hd95", "surface_dice", "size", "true_size")


@dataclass(frozen=True)
class Scores:
    """One label of one case.

    A case in which neither mask has the label has none. `dice` and `surface_dice` are from 0 to 1;
    `hd95` is in mm, and in pixels where no spacing is known; where one mask is empty, it is the
    diagonal of the image. Sizes are in ml, in pixels where no spacing is known.
    """

    case: str
    label: int
    dice: float
    hd95: float
    surface_dice: float
    size: float
    true_size: float

    @property
    def is_missed(self) -> bool:
        """Whether one of the masks is empty and the other is not."""
        return (self.size == 0) != (self.true_size == 0)


@dataclass(frozen=True)
class Estimate:
    """A mean over cases and its 95 % interval, from drawing cases with replacement."""

    mean: float
    low: float | None
    high: float | None


@dataclass
class Scored:
    """All scores, what could not be scored and why; `has_spacing` says what their units are."""

    names: dict[int, str]
    tolerance: float
    scores: list[Scores] = field(default_factory=list)
    failures: list[tuple[Path, str]] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)
    has_spacing: bool = False

    def of(self, label: int) -> list[Scores]:
        """The scores of a label, by cases."""
        return [each for each in self.scores if each.label == label]

    def mean(self, label: int, measure: str) -> Estimate:
        """The mean of a measure over the cases that have it."""
        return estimate([getattr(each, measure) for each in self.of(label)])


def score(
    predictions: Path,
    truth: Path,
    names: Mapping[int, str],
    tolerance: float,
    say: Callable[[str], None],
    listener: Listener,
) -> Scored:
    """Score each prediction that has a truth of its name; one bad file does not stop the others.

    Args:
        predictions: a folder, or one file.
        truth: likewise.
        names: of the labels that are scored; by default all are, as `label 1`.
        tolerance: in mm, or in pixels where no spacing is known, of the surface Dice.
        say: takes notices.
        listener: hears how far it is.

    Raises:
        SupportError: no names agree; or volumes and pictures are mixed.
    """
    matches, extra, missing = matched(predictions, truth)
    say(f"Cases: {len(matches)}")
    if extra:
        say(f"Without a truth: {', '.join(path.name for path in extra)}")
    scored = Scored(dict(names), tolerance, missing=missing)
    foreground = _Foreground(names)
    with listener.stage("Score", len(matches), "cases") as step:
        for match in matches:
            try:
                masks = foreground.shared(read_both(match))
                values = {*label_values(masks.found), *label_values(masks.meant)}
            except SubjectError as error:
                scored.failures.append((match.prediction.path, error.reason))
            else:
                if scored.scores and scored.has_spacing != (masks.spacing is not None):
                    raise SupportError(
                        "Some cases are pictures, and others volumes", "Score one kind at a time."
                    )
                scored.has_spacing = masks.spacing is not None
                for label in sorted(values & {*names} if names else values):
                    scored.names.setdefault(label, f"label {label}")
                    scored.scores.append(_scores(match.name, label, masks, tolerance))
            step(match.name)
    if not scored.scores and not scored.failures:
        raise SupportError("No mask shows a label that is scored", "Look at the values of masks.")
    return scored


class _Foreground:
    """The one value that the foreground of masks of one label has, however each writes it."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._value = next(iter(names)) if len(names) == 1 else 0

    def shared(self, masks: Masks) -> Masks:
        """Masks, those of 0 and 255 and those of 0 and 1 as one label."""
        return replace(masks, meant=self._of(masks.meant), found=self._of(masks.found))

    def _of(self, mask: NDArray[Any]) -> NDArray[Any]:
        values = {int(value) for value in np.unique(mask) if value}
        if len(values) != 1 or not values <= FOREGROUND or not {self._value} <= {*FOREGROUND, 0}:
            return mask
        self._value = self._value or min(values)
        return np.where(mask > 0, self._value, 0)


def _scores(case: str, label: int, masks: Masks, tolerance: float) -> Scores:
    found: Mask = masks.found == label
    meant: Mask = masks.meant == label
    surfaces = Surfaces(found, meant, masks.spacing)
    voxel = float(np.prod(masks.spacing)) / _MM3_OF_ML if masks.spacing else 1.0
    return Scores(
        case,
        label,
        dice(found, meant),
        surfaces.hd95(),
        surfaces.dice(tolerance),
        np.count_nonzero(found) * voxel,
        np.count_nonzero(meant) * voxel,
    )


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of values and its interval; of one value there is none."""
    own = np.array(values, dtype=np.float64)
    if len(own) < 2:
        return Estimate(float(own[0]), None, None)
    drawn = np.random.default_rng(0).integers(len(own), size=(_RESAMPLES, len(own)))
    low, high = np.percentile(own[drawn].mean(axis=1), [2.5, 97.5])
    return Estimate(float(own.mean()), float(low), float(high))
