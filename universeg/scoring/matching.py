"""Which prediction is of which truth: by their names, and on one grid."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.volume import Volume, canonical
from universeg.annotations.volumes.placing import affine_of, placed
from universeg.prediction.examples import scans_in
from universeg.prediction.inputs import Input
from universeg.prediction.pairing.ways import name_of_mask
from universeg.tuning.support import SupportError

_OFF = 0.5  # voxels that a corner may lie outside of the other grid


@dataclass(frozen=True)
class Match:
    """A prediction, its truth, and what both are called."""

    name: str
    prediction: Input
    truth: Input


@dataclass(frozen=True, eq=False)
class Masks:
    """The label values of both on the grid of the truth, and its spacing in mm, if it has one."""

    found: NDArray[Any]
    meant: NDArray[Any]
    spacing: tuple[float, ...] | None


def matched(predictions: Path, truth: Path) -> tuple[list[Match], list[Path], list[Path]]:
    """The pairs of two folders, predictions without a truth, and truths without a prediction.

    Names are compared without endings as `_mask` and `_seg`.

    Raises:
        SupportError: a folder is empty, or no name is in both.
    """
    if predictions.is_file() and truth.is_file():
        (found,), (meant,) = scans_in(predictions), scans_in(truth)
        return [Match(meant.name, found, meant)], [], []
    ours, theirs = _by_name(predictions), _by_name(truth)
    pairs = [Match(name, ours[name], theirs[name]) for name in ours if name in theirs]
    if not pairs:
        raise SupportError(
            f"No file of {predictions} is called like one of {truth}: "
            f"{next(iter(ours.values())).path.name}, {next(iter(theirs.values())).path.name}",
            "Give both the same names; what ends in _mask or _seg may do without.",
        )
    return pairs, _others(ours, theirs), _others(theirs, ours)


def read_both(match: Match) -> Masks:
    """Both masks of a pair, as whole numbers.

    Raises:
        SubjectError: one cannot be read, or they do not lie on one grid.
    """
    found, place = _read(match.prediction, "prediction")
    meant, own = _read(match.truth, "truth")
    if place is None or own is None:
        if place is not own:
            raise SubjectError("match", "", "is a picture, and its truth a volume, or the reverse")
        _expect_same(found.shape, meant.shape)
        return Masks(found, meant, None)
    _expect_same(tuple(sorted(place.voxels.shape)), tuple(sorted(own.voxels.shape)))
    on_truth, is_same = placed(place, own)
    if not is_same or not _is_inside(place, own):
        apart = float(np.linalg.norm(place.centre - own.centre))
        raise SubjectError(
            "match",
            "",
            f"does not lie on the voxels of its truth: their middles are {apart:.3g} mm apart, "
            f"their spacings {_mm(place)} and {_mm(own)} mm",
        )
    turned = canonical(Volume(on_truth, own.directions, own.spacing, own.origin))
    return Masks(turned.voxels, meant, turned.spacing)


def _read(file: Input, which: str) -> tuple[NDArray[Any], Volume | None]:
    try:
        return file.read_labels()
    except SubjectError as error:
        reason = f"its {which} {file.path.name} {error.reason}"
        raise SubjectError(error.stage, file.path.name, reason) from error


def _by_name(source: Path) -> dict[str, Input]:
    named: dict[str, Input] = {}
    for file in scans_in(source):
        name = name_of_mask(file)
        if name in named:
            raise SupportError(
                f"{named[name].path.name} and {file.path.name} of {source} are called alike",
                "Put one of them elsewhere.",
            )
        named[name] = file
    return named


def _others(ours: dict[str, Input], theirs: Collection[str]) -> list[Path]:
    return [file.path for name, file in ours.items() if name not in theirs]


def _expect_same(ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    if ours != theirs:
        sizes = (" x ".join(map(str, shape)) for shape in (ours, theirs))
        raise SubjectError("match", "", "is {}, its truth {}: score what lies on it".format(*sizes))


def _is_inside(place: Volume, own: Volume) -> bool:
    """Whether the corner voxels of a truth are voxels of the prediction."""
    way = np.linalg.inv(affine_of(place)) @ affine_of(own)
    last = np.array(own.voxels.shape[::-1]) - 1
    ends = np.stack([way @ (0, 0, 0, 1), way @ (*last, 1)])[:, :3]
    most = np.array(place.voxels.shape[::-1]) - 1
    return bool((ends > -_OFF).all() and (ends < most + _OFF).all())


def _mm(volume: Volume) -> str:
    return " x ".join(f"{mm:.3g}" for mm in volume.spacing)
