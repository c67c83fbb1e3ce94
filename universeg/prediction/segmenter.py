"""Segment images from a few labelled examples: in context, or after learning from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from megamedical.errors import MegaMedicalError
from megamedical.processing.slicing import PICTURE
from megamedical.reading.scan import Scan
from megamedical.spread import spread
from universeg.network.devices import moved, usual_device
from universeg.prediction.deciding import Cleaning, Prediction, decide, softmax
from universeg.prediction.frame import RESOLUTION, Ends, Frame, intensity_rule, planes_of
from universeg.prediction.labels import with_one_foreground
from universeg.prediction.showing import labelled_pictures, picture, shown
from universeg.tuning.expectation import Expectation
from universeg.tuning.finder import Finder
from universeg.tuning.fitting import TUNING, WAYS, Fitted, expect
from universeg.tuning.fitting import fit as learn
from universeg.tuning.in_context import InContext
from universeg.tuning.left_out import Stage, unwatched
from universeg.tuning.likeness import Likeness
from universeg.tuning.support import Support, SupportError
from universeg.weights.models import load_for_prediction

_AT_ONCE = {"cpu": 8}  # queries in one batch; few where each takes long, so that one sees it
_AT_ONCE_ELSEWHERE = 16
_LOOKED_AT = 5  # planes of a volume that are held against the examples


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
        flips: bool = False,
        device: str | None = None,
        threshold: float | Literal["auto"] = 0.5,
        fill_holes: bool = False,
        largest: bool = False,
    ) -> None:
        """Load the network.

        Args:
            weights: `v1`, a file of weights of any model, or a network; a network is shown slices
                of 128 × 128, a file those of the resolution that its card says.
            window: the intensities that become 0 and 1, for CT in HU; by default those of the
                darkest and the brightest voxel of each scan.
            percentiles: of the voxels above zero of each scan, in place of a window, for MR:
                `(0.5, 99.5)`.
            support_size: labelled slices that the network sees at once.
            ensemble: draws of so many slices whose predictions are averaged, where there are more.
            seed: of the draws, and of what is learnt.
            flips: whether mirror images are averaged, unless it learns; takes four times as long.
            device: as PyTorch names it; by default a GPU where there is one.
            threshold: of a label's probability, between 0 and 1; `auto` is what suits the examples.
            fill_holes: of each label.
            largest: whether only the largest part of each label is kept.

        Raises:
            WeightsError: there is no such file, or it does not hold the weights of a model.
            ModelError: they are of a model that is not installed.
            MegaMedicalError: there is no such device, range or threshold.
        """
        if threshold != "auto" and not 0 < threshold < 1:
            raise MegaMedicalError(
                f"There is no threshold {threshold:g}", "Give one between 0 and 1, or `auto`."
            )
        self._rule = intensity_rule(window, percentiles)
        if isinstance(weights, nn.Module):
            model, self.resolution = weights, RESOLUTION
        else:
            model, self.resolution = load_for_prediction(weights)
        self.device = device or usual_device()
        self.model = moved(model.eval(), self.device)
        self.support_size = support_size
        self.ensemble = ensemble
        self._seed = seed
        self._flips = flips
        self._threshold = threshold
        self._cleaning = Cleaning(fill_holes, largest)
        self._support: Support | None = None
        self._learnt: Fitted | None = None
        self._expected: Mapping[str, Expectation] | None = None
        self._likeness: Likeness | None = None
        self._alike: list[int] = []

    def fit(
        self,
        support_images: Sequence[NDArray[Any]],
        support_masks: Sequence[NDArray[Any]],
        labels: Mapping[int, str] | None = None,
        *,
        tune: bool = False,
        budget: float | None = None,
    ) -> Self:
        """Take labelled pictures for examples; nothing is trained unless it is asked for.

        Args:
            support_images: grey (H, W) or colour (H, W, 3), of any size and range.
            support_masks: (H, W) whole numbers, 0 the background; each of its image's size.
            labels: names of the values in the masks; by default all of them, as `label 1`.
            tune: whether the network goes on learning from them, see `learn`.
            budget: seconds for it; without `tune`, whatever does best within them is taken.

        Raises:
            SupportError: there are no examples, masks without images, or nothing but background.
            SubjectError: a mask is of another size than its image, or holds no label values; an
                image is constant or holds NaN.
        """
        pairs = labelled_pictures(support_images, support_masks)
        self.fit_scans(((scan, mask, self.frame_of(scan)) for scan, mask in pairs), labels)
        if tune or budget is not None:
            self.learn(TUNING if tune else WAYS, budget)
        return self

    def frame_of(self, scan: Scan, plane: str = PICTURE) -> Frame:
        """How the network will see a picture, or the planes of a volume; see `Frame.of`."""
        return Frame.of(scan, plane, self._rule, self.resolution)

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
        drawn = [shown(scan, mask, frame) for scan, mask, frame in examples]
        taken, self._alike = with_one_foreground(drawn, labels or ())
        if not taken:
            raise SupportError("There are no examples", "Give at least one image with its mask.")
        found = sorted({value for example in taken for value in example.masks})
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
        self._support = Support(taken, names, self.support_size, self._seed)
        self._learnt = self._expected = self._likeness = None
        return self

    def learn(
        self,
        ways: Collection[str] = WAYS,
        budget: float | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> Fitted:
        """Learn from the examples for a while; what is predicted then comes of it.

        Some are left out at first, to see what pays. Ctrl-C ends it early, with the best so far.

        Args:
            ways: of `universeg.tuning.fitting.WAYS`: `forest`, `branch`, `tuned`.
            budget: seconds; by default 60 on a CPU, 5 on a GPU.
            say: takes what happens.

        Returns:
            what was chosen, and why.

        Raises:
            SupportError: `fit` was not called.
        """
        self._learnt = learn(
            self.model,
            self._fitted,
            ways=ways,
            budget=budget,
            seed=self._seed,
            device=self.device,
            say=say,
        )
        return self._learnt

    @property
    def expected(self) -> Mapping[str, Expectation]:
        """How good predictions will be, by the name of each label that two examples show.

        At most sixteen are found from the others, when this is first asked for.

        Raises:
            SupportError: `fit` was not called.
        """
        return self.look_ahead()

    def look_ahead(self, stage: Stage = unwatched) -> Mapping[str, Expectation]:
        """See `expected`; `stage` is told of how many planes, and each that is found."""
        if self._learnt is not None:
            return self._learnt.expected
        if self._expected is None:
            self._expected = expect(self.model, self._fitted, stage)
        return self._expected

    @property
    def labels(self) -> Mapping[int, str]:
        """The values that masks will have, and their names."""
        return self._fitted.labels

    @property
    def examples(self) -> Support:
        """The examples, as the network sees them."""
        return self._fitted

    @property
    def learnt(self) -> Fitted | None:
        """What was learnt from the examples, if anything was."""
        return self._learnt

    @property
    def alike(self) -> Sequence[int]:
        """How masks write the foreground of their one label, where they differ: 1 and 255."""
        return self._alike

    @property
    def unnamed(self) -> Sequence[int]:
        """Values that the examples have, but that were not asked for."""
        shown = {value for example in self._fitted.examples for value in example.masks}
        return sorted(shown - set(self.labels))

    def is_unlike(self, scan: Scan, frame: Frame) -> bool:
        """Whether a scan looks like none of the examples, of which there are four at least."""
        if self._likeness is None:
            self._likeness = Likeness.of(self._fitted)
        planes = planes_of(scan.voxels, frame.plane)
        some = spread(range(len(planes)), _LOOKED_AT)
        return self._likeness.is_unlike(np.stack([frame.image(planes[place]) for place in some]))

    @property
    def draws(self) -> int:
        """How many draws a prediction averages: one, if all would be the same."""
        return self.ensemble if self._fitted.has_choice() and not self._learnt else 1

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
        scans = [picture(image) for image in images]
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

    def predict_volume(
        self, scan: Scan, frame: Frame, step: Callable[[], object] = lambda: None
    ) -> Prediction:
        """Segment a volume plane by plane, along the plane of its frame; each is a `step`.

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
            step()
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
        """For each query the mean of all draws, (L, H, W) on its frame's own grid."""
        finders = self._finders()
        at_once = _AT_ONCE.get(self.device.partition(":")[0], _AT_ONCE_ELSEWHERE)
        for start in range(0, len(queries), at_once):
            batch = slice(start, start + at_once)
            stack = np.stack(queries[batch])
            logits = [finder.logits(stack, positions[batch]) for finder in finders]
            for query, frame in enumerate(frames[batch]):
                each = [softmax(frame.restore(of_draw[query])) for of_draw in logits]
                yield np.mean(each, axis=0, dtype=np.float32)

    def _finders(self) -> list[Finder]:
        """What was learnt; or the network, once for each draw of examples."""
        if self._learnt:
            return [self._learnt.finder]
        model, support = self.model, self._fitted
        return [InContext(model, support, draw, flips=self._flips) for draw in range(self.draws)]

    def _prediction(self, probabilities: NDArray[np.float32]) -> Prediction:
        labels = self._fitted.labels
        return decide(probabilities, labels, self.thresholds, self._cleaning)

    @property
    def thresholds(self) -> Sequence[float]:
        """The probability above which each label is found, in the order of `labels`."""
        names = self._fitted.labels.values()
        if self._threshold != "auto":
            return [self._threshold] * len(names)
        return [self.expected[name].threshold if name in self.expected else 0.5 for name in names]
