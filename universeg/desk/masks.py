"""What is drawn on one scan: a layer of pixels for each label, which may overlap."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import MegaMedicalError
from megamedical.files.writing import whole_file
from megamedical.processing.slicing import PICTURE
from universeg.prediction.frame import planes_of

Layer = NDArray[np.bool_]
Cut = tuple[str, int]  # a plane, and the number of its slice


class NoSuchPlaceError(MegaMedicalError):
    """What is drawn or asked for lies outside of the scan."""


@dataclass(frozen=True)
class Patch:
    """What a box of one slice shows of one label.

    `box` is (first row, end row, first column, end column) in the slice as it is shown, upright.
    `runs` has the lengths of pixels outside and inside by turns, row by row, outside first.
    """

    label: int
    box: tuple[int, int, int, int]
    runs: Sequence[int]

    @property
    def pixels(self) -> Layer:
        """The pixels of the box, (H, W).

        Raises:
            NoSuchPlaceError: the runs do not fill it.
        """
        top, bottom, left, right = self.box
        height, width = bottom - top, right - left
        if min(self.runs, default=0) < 0 or sum(self.runs) != height * width:
            raise NoSuchPlaceError("The runs of a patch do not fill its box")
        inside = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(inside, self.runs).reshape(height, width)


class Masks:
    """The layers of one scan, (Z, Y, X) or (H, W) each; a label without a pixel has none."""

    def __init__(self, shape: tuple[int, ...], layers: dict[int, Layer] | None = None) -> None:
        """Take layers by the value of their label."""
        self.shape = shape
        self._layers = layers or {}

    @property
    def labels(self) -> list[int]:
        """The values of the labels that show anything."""
        return sorted(value for value, layer in self._layers.items() if layer.any())

    def layer(self, label: int) -> Layer:
        """Where a label is: (Z, Y, X) or (H, W), not to be written to."""
        found = self._layers.get(label)
        return np.zeros(self.shape, dtype=np.bool_) if found is None else found

    def shown(self, label: int, cut: Cut) -> Layer:
        """One slice of a label as a person sees it, upright: (H, W).

        Raises:
            NoSuchPlaceError: the scan has no such slice.
        """
        return seen(self.layer(label), cut)

    def draw(self, cut: Cut, patches: Iterable[Patch], overlap: bool) -> None:
        """Draw on one slice; where labels may not overlap, what is drawn last is what is there.

        Raises:
            NoSuchPlaceError: a patch lies outside of the slice; nothing is drawn then.
        """
        height, width = seen(self.layer(0), cut).shape
        drawn = []
        for patch in patches:
            top, bottom, left, right = patch.box
            if not (0 <= top < bottom <= height and 0 <= left < right <= width):
                raise NoSuchPlaceError("A patch lies outside of its slice")
            drawn.append((patch.label, (slice(top, bottom), slice(left, right)), patch.pixels))
        for label, box, pixels in drawn:
            own = self._layers.setdefault(label, np.zeros(self.shape, dtype=np.bool_))
            seen(own, cut)[box] = pixels
            if not overlap:
                for other, layer in self._layers.items():
                    if other != label:
                        seen(layer, cut)[box] &= ~pixels

    def renewed(self, found: Masks, kept: Iterable[Cut]) -> Masks:
        """What was found, but for slices that are kept as they are."""
        cuts = list(kept)
        layers = {}
        for label in {*self._layers, *found._layers}:
            layer = found.layer(label).copy()
            for cut in cuts:
                seen(layer, cut)[...] = self.shown(label, cut)
            layers[label] = layer
        return Masks(self.shape, layers)

    def without(self, label: int) -> Masks:
        """All layers but one."""
        return Masks(self.shape, {own: x for own, x in self._layers.items() if own != label})

    def label_map(self, labels: Sequence[int]) -> NDArray[Any]:
        """One value a voxel; where labels overlap, the last of them is seen."""
        values = np.zeros(self.shape, dtype=np.min_scalar_type(max(labels, default=1)))
        for label in labels:
            if label in self._layers:
                values[self._layers[label]] = label
        return values

    def overlapping(self) -> bool:
        """Whether a pixel carries two labels."""
        layers = [*self._layers.values()]
        seen_so_far = np.zeros(self.shape, dtype=np.bool_)
        for layer in layers:
            if (seen_so_far & layer).any():
                return True
            seen_so_far |= layer
        return False

    def save(self, path: Path, revision: int = 0, *, synced: bool = False) -> None:
        """Write all layers, whole or not at all, a bit a voxel; `synced`, on the disk itself."""
        packed = {f"label{v}": np.packbits(self._layers[v]) for v in self.labels}
        with whole_file(path) as unfinished, unfinished.open("wb") as file:
            told = {"shape": np.array(self.shape), "revision": np.array(revision)}
            np.savez_compressed(file, allow_pickle=False, **told, **packed)
            if synced:
                file.flush()
                os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> tuple[Self, int]:
        """Layers and their revision, from a file.

        Raises:
            MegaMedicalError: the file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                shape = tuple(int(length) for length in stored["shape"])
                size = int(np.prod(shape))
                layers = {
                    int(name.removeprefix("label")): np.unpackbits(stored[name], count=size)
                    .astype(np.bool_)
                    .reshape(shape)
                    for name in stored.files
                    if name.startswith("label")
                }
                return cls(shape, layers), int(stored["revision"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise MegaMedicalError(
                f"{path} is damaged: {error}", "Take it away; its scan begins anew."
            ) from error
        except Exception as error:  # what zipfile and zlib raise of a damaged file
            raise MegaMedicalError(
                f"{path} is damaged: {error}", "Take it away; its scan begins anew."
            ) from error


def seen(layer: NDArray[Any], cut: Cut) -> NDArray[Any]:
    """A slice as a person sees it, the head at the top: a view (H, W), which may be written to.

    Raises:
        NoSuchPlaceError: there is none.
    """
    plane, index = cut
    if (plane == PICTURE) != (layer.ndim == 2) or plane not in PLANES:
        raise NoSuchPlaceError(f"There is no plane {plane} in this scan")
    planes = planes_of(layer, plane)
    if not 0 <= index < len(planes):
        raise NoSuchPlaceError(f"There is no slice {index} in this scan")
    return planes[index] if plane in ("axial", PICTURE) else planes[index][::-1]


PLANES = ("axial", "coronal", "sagittal", PICTURE)


def runs_of(pixels: Layer) -> list[int]:
    """Pixels as lengths outside and inside by turns, outside first; see `Patch`."""
    flat = pixels.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    runs: list[int] = np.diff(edges).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def agreement(found: Masks, truth: Masks) -> float:
    """The mean Dice of all labels that either shows; 1 where neither shows any."""
    return float(np.mean([*dice_of_labels(found, truth)] or [1.0]))


def dice_of_labels(found: Masks, truth: Masks) -> Iterator[float]:
    """The Dice of each label that either shows."""
    for label in sorted({*found.labels, *truth.labels}):
        ours, theirs = found.layer(label), truth.layer(label)
        both = np.count_nonzero(ours & theirs)
        yield 2 * both / (np.count_nonzero(ours) + np.count_nonzero(theirs))
