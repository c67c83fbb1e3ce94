"""Where a NIfTI header says that its voxels lie: one rule, for every path that reads one.

Analyze, which has neither matrix nor quaternion, is told by its `originator`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SCANNER = 1  # the code of a form that is the scanner's own
_TO_MM = {1: 1e3, 3: 1e-3}  # by the code of a unit: metres, micrometres; anything else is mm
_ASKEW = 1e-4  # cosine between axes, above which a matrix is none of directions
_TO_LPS = np.diag([-1.0, -1.0, 1.0])  # from RAS
_OF_ANALYZE = np.diag([-1.0, 1.0, 1.0])  # in RAS: i to the left, j to the front, k to the head


def place_of(
    header: Mapping[str, Any],
) -> tuple[NDArray[np.float64], tuple[float, ...], tuple[float, ...]]:
    """Directions, spacing and origin of a header, in the terms of `Volume`.

    The sform says it where its axes are at right angles and it is the scanner's own or alone; else
    the qform; else an sform that is askew. Where neither has a code, voxels lie along the axes of
    the patient, the first at the origin, i to the left, j to the back, k to the head, as ITK has
    it. Those of Analyze lie as its makers say, i to the left, j to the front, k to the head; its
    origin is that of SPM, where it is one. Spacing is that of `pixdim`, without its sign, which
    only counts where there is no code.
    """
    with np.errstate(all="ignore"):  # what is not finite is refused by whoever turns the volume
        steps = np.asarray(header["pixdim"], dtype=np.float64)[1:4]
        matrix = _matrix(header, steps)
        lengths = np.sqrt((matrix[:, :3] ** 2).sum(axis=0))
        is_said = np.isfinite(steps) & (steps != 0)
        scale = _TO_MM.get(int(header["xyzt_units"]) & 7, 1.0) if "xyzt_units" in header else 1.0
        spacing = np.where(is_said, np.abs(steps), np.where(lengths > 0, lengths, 1.0)) * scale
        directions = _TO_LPS @ (matrix[:, :3] / lengths)
        origin = _TO_LPS @ matrix[:, 3] * scale
    return directions, tuple(spacing.tolist()), tuple(origin.tolist())


def without_spacing(header: Mapping[str, Any], size: Sequence[int]) -> str:
    """Of i, j and k those of more than one voxel whose distance a header leaves open."""
    steps = np.asarray(header["pixdim"], dtype=np.float64)[1:4]
    is_said = np.isfinite(steps) & (steps != 0)
    if "sform_code" in header and int(header["sform_code"]) > 0:
        sform = _sform(header)
        is_said |= (sform[:, :3] ** 2).sum(axis=0) > 0
    lengths = zip("ijk", is_said, size, strict=True)
    return " and ".join(axis for axis, said, length in lengths if not said and length > 1)


def _matrix(header: Mapping[str, Any], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """From voxels (i, j, k, 1) to RAS, (3, 4), in the header's unit."""
    has_forms = "sform_code" in header  # Analyze has none
    by_sform, by_qform = (
        int(header[code]) if has_forms else 0 for code in ("sform_code", "qform_code")
    )
    if by_sform > 0:
        sform = _sform(header)
        if by_qform <= 0 or (by_sform == _SCANNER and _is_straight(sform[:, :3])):
            return sform
    if by_qform > 0:
        return _qform(header, steps)
    axes = np.diag(np.where(steps < 0, -1.0, 1.0)) @ (_TO_LPS if has_forms else _OF_ANALYZE)
    if has_forms:
        return np.column_stack([axes, np.zeros(3)])
    return np.column_stack([axes, -axes @ (_voxel_of_spm(header) * np.abs(steps))])


def _voxel_of_spm(header: Mapping[str, Any]) -> NDArray[np.float64]:
    """The voxel (i, j, k) at which SPM has the origin; the first one, where the header has none.

    SPM counts it from 1, in bytes in which others keep the name of a person.
    """
    size = np.asarray(header["dim"])[1:4]
    voxel = np.frombuffer(header["originator"].tobytes()[:6], size.dtype).astype(np.float64)
    is_one = voxel.any() and (-size < voxel).all() and (voxel < 2.0 * size).all()
    return voxel - 1 if is_one else np.zeros(3)


def _is_straight(matrix: NDArray[np.float64]) -> bool:
    axes = matrix / np.sqrt((matrix**2).sum(axis=0))
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() <= _ASKEW)


def _sform(header: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.array([header[f"srow_{axis}"] for axis in "xyz"], dtype=np.float64)


def _qform(header: Mapping[str, Any], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    b, c, d = (float(header[f"quatern_{part}"]) for part in "bcd")
    rest = 1 - (b * b + c * c + d * d)
    if rest < 1e-7:  # a half turn, whose quaternion is rounded
        length = np.sqrt(b * b + c * c + d * d)
        a, b, c, d = 0.0, b / length, c / length, d / length
    else:
        a = np.sqrt(rest)
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    lengths = np.where(np.isfinite(steps) & (steps != 0), np.abs(steps), 1.0)
    if header["pixdim"][0] < 0:
        lengths[2] *= -1
    offset = [float(header[f"qoffset_{axis}"]) for axis in "xyz"]
    return np.column_stack([turn * lengths, offset])
