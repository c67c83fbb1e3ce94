"""Segment images from a few labelled examples, without training anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from megamedical.errors import MegaMedicalError, SubjectError
from megamedical.processing.slicing import PICTURE
from megamedical.reading.images import whole_numbers
from megamedical.reading.luma import luma
from megamedical.reading.scan import Scan
from universeg.prediction.frame import RESOLUTION, Ends, Frame, intensity_rule, planes_of
from universeg.prediction.labels import with_one_foreground
from universeg.tuning.support import Example, Support, SupportError
from universeg.weights.models import load_universeg

_AT_ONCE = 16  # queries in one batch
_ABSENT = -100.0  # the logit of a label that no picked plane shows: a probability of nothing
_MOST = 64  # labels; more are grey values, not labels


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one scan, on the scan's own grid.

    `mask` holds the most likely label of each pixel, by its value in the support masks, 0 being the
    background. `probabilities` is (L, ...) float32 in [0, 1], in the order of `labels`; with the
    background they sum to 1.
    """

    mask: NDArray[np.integer]
    probabilities: NDArray[np.float32]
    labels: Mapping[int, str]


class Segmenter:
    """A network and the examples that tell it what to look for.

    >>> Segmenter("v1").fit(support_images, support_masks).predict(image).mask  # doctest: +SKIP
    """

    def __init__(
        self,
        weights: str | Path | nn.Module = "v1",
        *,
        window: Ends | None = None,
        percentiles: Ends | None = None,
        support_size: int = 64,
        ensemble: int = 1,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Load the network.

        Args:
            weights: `v1`, a file of weights, or a network.
            window: the intensities that become 0 and 1, for CT in HU; by default those of the
                darkest and the brightest voxel of each scan.
            percentiles: of the voxels above zero of each scan, in place of a window, for MR:
                `(0.5, 99.5)`.
            support_size: labelled slices that the network sees at once.
            ensemble: draws of so many slices whose predictions are averaged, where there are more.
            seed: of the draws.
            device: as PyTorch names it.

        Raises:
            WeightsError: there is no such file, or it does not hold the weights of a UniverSeg.
            MegaMedicalError: there is no such device, or no such range of intensities.
        """
        self._rule = intensity_rule(window, percentiles)
        model = weights if isinstance(weights, nn.Module) else load_universeg(weights)
        self._model = _moved(model.eval(), device)
        self._device = device
        self.support_size = support_size
        self.ensemble = ensemble
        self._seed = seed
        self._support: Support | None = None
        self._alike: list[int] = []

    def fit(
        self,
        support_images: Sequence[NDArray[Any]],
        support_masks: Sequence[NDArray[Any]],
        labels: Mapping[int, str] | None = None,
    ) -> Self:
        """Take labelled pictures for examples; nothing is trained.

        Args:
            support_images: grey (H, W) or colour (H, W, 3), of any size and range.
            support_masks: (H, W) whole numbers, 0 the background; each of its image's size.
            labels: names of the values in the masks; by default all of them, as `label 1`.

        Raises:
            SupportError: there are no examples, masks without images, or nothing but background.
            SubjectError: a mask is of another size than its image, or holds no label values; an
                image is constant or holds NaN.
        """
        if len(support_images) != len(support_masks):
            raise SupportError(
                f"{len(support_images)} images came with {len(support_masks)} masks",
                "Give each image its mask, in the same order.",
            )
        scans = [_picture(image) for image in support_images]
        masks = [
            whole_numbers(np.asarray(mask), Path(f"mask {number}"))
            for number, mask in enumerate(support_masks)
        ]
        frames = (self.frame_of(scan) for scan in scans)
        return self.fit_scans(zip(scans, masks, frames, strict=True), labels)

    def frame_of(self, scan: Scan, plane: str = PICTURE) -> Frame:
        """How the network will see a picture, or the planes of a volume.

        Raises:
            SubjectError: the image is constant, holds NaN, or has nothing in the window.
        """
        return Frame.of(scan, plane, self._rule)

    def fit_scans(
        self,
        examples: Iterable[tuple[Scan, NDArray[Any], Frame]],
        labels: Mapping[int, str] | None = None,
    ) -> Self:
        """Take labelled scans for examples, one at a time: pictures, or volumes cut along a plane.

        Raises:
            SupportError: see `fit`.
            SubjectError: see `fit`.
        """
        drawn = [_example(scan, mask, frame) for scan, mask, frame in examples]
        shown, self._alike = with_one_foreground(drawn, labels or ())
        if not shown:
            raise SupportError("There are no examples", "Give at least one image with its mask.")
        found = sorted({value for example in shown for value in example.masks})
        if not found:
            raise SupportError(
                "All masks are empty", "Mark what is to be found with 1 (or 255), the rest with 0."
            )
        names = labels or {value: f"label {value}" for value in found}
        for value, name in names.items():
            if value not in found:
                raise SupportError(
                    f"No mask shows {name} (value {value})",
                    "Leave the label out, or add an example that has it.",
                )
        self._support = Support(shown, names, self.support_size, self._seed)
        return self

    @property
    def labels(self) -> Mapping[int, str]:
        """The values that masks will have, and their names."""
        return self._fitted.labels

    @property
    def alike(self) -> Sequence[int]:
        """How masks write the foreground of their one label, where they differ: 1 and 255."""
        return self._alike

    @property
    def unnamed(self) -> Sequence[int]:
        """Values that the examples have, but that were not asked for."""
        shown = {value for example in self._fitted.examples for value in example.masks}
        return sorted(shown - set(self.labels))

    @property
    def draws(self) -> int:
        """How many draws a prediction averages: one, if all would be the same."""
        return self.ensemble if self._fitted.has_choice() else 1

    def predict(self, image: NDArray[Any]) -> Prediction:
        """Segment a picture: grey (H, W) or colour (H, W, 3), of any size and range.

        Raises:
            SupportError: `fit` was not called.
            SubjectError: the image is constant, holds NaN, or has another shape.
        """
        return self.predict_many([image])[0]

    def predict_many(self, images: Sequence[NDArray[Any]]) -> list[Prediction]:
        """Segment pictures; the network sees many of them with one support, which is faster.

        Raises:
            SupportError: see `predict`.
            SubjectError: see `predict`.
        """
        scans = [_picture(image) for image in images]
        return list(self.predict_pictures(scans, [self.frame_of(scan) for scan in scans]))

    def predict_pictures(
        self, scans: Sequence[Scan], frames: Sequence[Frame]
    ) -> Iterator[Prediction]:
        """Segment pictures in batches, as `predict_many`, and give them one by one.

        Raises:
            SupportError: see `predict`.
        """
        queries = [frame.image(scan.voxels) for frame, scan in zip(frames, scans, strict=True)]
        for probabilities in self._probabilities(queries, frames, [0.5] * len(queries)):
            yield self._prediction(probabilities)

    def predict_volume(self, scan: Scan, frame: Frame) -> Prediction:
        """Segment a volume plane by plane, along the plane of its frame.

        Raises:
            SupportError: see `predict`.
        """
        planes = planes_of(scan.voxels, frame.plane)
        queries = [frame.image(values) for values in planes]
        positions = [(index + 0.5) / len(planes) for index in range(len(planes))]
        whole = np.empty((len(self._fitted.labels), *scan.voxels.shape), dtype=np.float32)
        own = [planes_of(label, frame.plane) for label in whole]
        found = self._probabilities(queries, [frame] * len(planes), positions)
        for index, probabilities in enumerate(found):
            for label, values in zip(own, probabilities, strict=True):
                label[index] = values
        return self._prediction(whole)

    @property
    def _fitted(self) -> Support:
        if self._support is None:
            raise SupportError("There are no examples yet", "Call `fit` before `predict`.")
        return self._support

    def _probabilities(
        self,
        queries: Sequence[NDArray[np.float32]],
        frames: Sequence[Frame],
        positions: Sequence[float],
    ) -> Iterator[NDArray[np.float32]]:
        """For each query (128, 128) the mean of all draws, (L, H, W) on its frame's own grid."""
        for start in range(0, len(queries), _AT_ONCE):
            batch = slice(start, start + _AT_ONCE)
            stack = np.stack(queries[batch])
            logits = [self._logits(stack, positions[batch], draw) for draw in range(self.draws)]
            for query, frame in enumerate(frames[batch]):
                each = [_softmax(frame.restore(of_draw[query])) for of_draw in logits]
                yield np.mean(each, axis=0, dtype=np.float32)

    def _logits(
        self, queries: NDArray[np.float32], positions: Sequence[float], draw: int
    ) -> NDArray[np.float32]:
        """One forward pass a label and support, for (N, 128, 128) queries: (N, L, 128, 128)."""
        labels = self._fitted.labels
        shape = (len(queries), len(labels), RESOLUTION, RESOLUTION)
        logits = np.full(shape, _ABSENT, dtype=np.float32)
        for number, label in enumerate(labels):
            for picks, sharing in self._fitted.shared(label, draw, positions).items():
                images, masks = self._fitted.shown(picks, label)
                if masks.any():
                    logits[sharing, number] = self._forward(queries[sharing], images, masks)
        return logits

    @torch.inference_mode()
    def _forward(
        self,
        queries: NDArray[np.float32],
        images: NDArray[np.float32],
        masks: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Logits (B, 128, 128) of queries (B, 128, 128) that share (S, 128, 128) examples."""
        query, support, labels = (
            torch.from_numpy(array).to(self._device) for array in (queries, images, masks)
        )
        logits = self._model(query[:, None], support[None, :, None], labels[None, :, None])
        return logits[:, 0].cpu().numpy()

    def _prediction(self, probabilities: NDArray[np.float32]) -> Prediction:
        labels = self._fitted.labels
        values = np.array([*labels], dtype=np.min_scalar_type(max(labels)))
        mask = values[probabilities.argmax(axis=0)]
        background = 1 - probabilities.sum(axis=0)
        mask[background >= probabilities.max(axis=0)] = 0
        return Prediction(mask, probabilities, labels)


def _example(scan: Scan, mask: NDArray[Any], frame: Frame) -> Example:
    expect_same_size(scan, mask)
    labels = label_values(mask)
    images = [frame.image(values) for values in planes_of(scan.voxels, frame.plane)]
    masks = [frame.masks(values, labels) for values in planes_of(mask, frame.plane)]
    of_labels = np.stack(masks, axis=1).astype(np.float16)
    return Example(
        np.stack(images).astype(np.float16),
        {label: soft for label, soft in zip(labels, of_labels, strict=True) if soft.any()},
    )


def label_values(mask: NDArray[Any]) -> tuple[int, ...]:
    """The values of the labels in a mask, in order; none if it is empty.

    Raises:
        SubjectError: one is negative, or there are so many that they are shades of grey.
    """
    values = [int(value) for value in np.unique(mask) if value]
    if values and values[0] < 0:
        raise SubjectError("decode", "", f"its mask holds {values[0]}, labels are above 0")
    if len(values) > _MOST:
        raise SubjectError(
            "decode",
            "",
            f"its mask holds {len(values)} values, which are shades of grey and not labels: "
            "save it with one value a label, as PNG and not as JPEG",
        )
    return tuple(values)


def expect_same_size(scan: Scan, mask: NDArray[Any]) -> None:
    """Make sure that a mask lies on the grid of its scan.

    Raises:
        SubjectError: it does not.
    """
    if mask.shape != scan.voxels.shape:
        sizes = (" x ".join(map(str, shape)) for shape in (mask.shape, scan.voxels.shape))
        said = "its mask is {}, the image {}: draw it on this image".format(*sizes)
        raise SubjectError("match", "", said)


def _moved(network: nn.Module, device: str) -> nn.Module:
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:  # no such name; not in this PyTorch
        raise MegaMedicalError(
            f"PyTorch cannot use the device {device!r} here", "Take `cpu`, which is always there."
        ) from error


def _picture(image: NDArray[Any]) -> Scan:
    """A grey or colour array as a scan in grey."""
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 3:
        image = luma(image)
    if image.ndim != 2:
        raise SubjectError("read", "", f"has shape {image.shape}, not (H, W) or (H, W, 3)")
    return Scan(image, (1.0, 1.0))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over labels (L, H, W) and a background whose logit is 0."""
    highest = np.maximum(logits.max(axis=0), 0)
    shares = np.exp(logits - highest)
    return shares / (shares.sum(axis=0) + np.exp(-highest))
