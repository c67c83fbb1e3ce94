"""The network at the desk: what it is shown, and what it finds.

This is the one module of the desk that knows how a network is asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from megamedical.errors import SubjectError
from megamedical.reading.scan import Scan
from universeg.desk.masks import Masks
from universeg.desk.predicting.confidence import Sums, most_likely
from universeg.desk.predicting.learnt import Learnt
from universeg.desk.predicting.tasks import Settings
from universeg.network.devices import moved, usual_device
from universeg.prediction.deciding import softmax
from universeg.prediction.examples import find_pairs, read_example
from universeg.prediction.frame import Frame, intensity_rule, planes_of
from universeg.prediction.labels import with_one_foreground
from universeg.prediction.showing import layers_of
from universeg.tuning.finder import Finder as Asked
from universeg.tuning.finder import sigmoid
from universeg.tuning.in_context import InContext
from universeg.tuning.support import Example, Support
from universeg.weights.models import load_universeg

Planes = NDArray[np.float32]

_AT_ONCE = 2  # planes, which go side by side: with more, who waits for another scan waits longer
_KEPT = 256 << 20  # bytes of planes as the network sees them
_MOST_PLANES = 2048  # labelled planes; of more, those that came last


@dataclass(frozen=True, eq=False)
class SeenScan:
    """The planes of a scan as the network sees them, (N, 128, 128), and the way back."""

    frame: Frame
    planes: Planes
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found in a scan, and what the network makes of it: an expected Dice in [0, 1]."""

    masks: Masks
    confidence: float


class Finder:
    """A network, and what it has seen already: no scan is read twice while there is room."""

    def __init__(self, settings: Settings) -> None:
        """Load the network.

        Raises:
            WeightsError: there are no such weights.
            MegaMedicalError: there is no such device, or range of intensities.
        """
        self._settings = settings
        self.device = settings.device or usual_device()
        self._rule = intensity_rule(settings.window, settings.percentiles)
        self.network = moved(load_universeg(settings.weights).eval(), self.device)
        self._seen: OrderedDict[str, SeenScan] = OrderedDict()
        self._shown: InContext | None = None

    def seen(self, identity: str, read: Callable[[], Scan], plane: str) -> SeenScan:
        """A scan as the network sees it, read if it must be.

        Raises:
            SubjectError: it cannot be read, is constant, or has nothing in the window.
        """
        key = f"{identity} {plane}"
        if key not in self._seen:
            scan = read()
            frame = Frame.of(scan, plane, self._rule)
            planes = np.stack([frame.image(each) for each in planes_of(scan.voxels, plane)])
            self._seen[key] = SeenScan(frame, planes, scan.voxels.shape)
            while len(self._seen) > 1 and sum(s.planes.nbytes for s in self._seen.values()) > _KEPT:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]

    def shown(self, examples: Sequence[Example], labels: Mapping[int, str]) -> InContext:
        """The network with the examples that it is shown; labels that none shows are absent.

        As long as these are the same, so is what it has made of them already.
        """
        support = _support(examples, labels, self._settings.support_size)
        if self._shown is None or not _is_same(self._shown.support, support):
            self._shown = InContext(self.network, support)
        return self._shown

    def find(
        self,
        seen: Sequence[SeenScan],
        shown: InContext,
        overlap: bool,
        learnt: Learnt | None = None,
        alive: Callable[[float], None] = lambda _: None,
    ) -> Iterator[Finding]:
        """What is found in scans by a network, with what was learnt beside it.

        `alive` is told the share that is done, again and again; what it raises ends the work.
        """
        labels = shown.support.labels
        if not labels:
            yield from (Finding(Masks(scan.shape), 0.0) for scan in seen)
            return
        finder = learnt.finder(shown, self.device) if learnt else shown
        found = _logits(finder, seen, alive)
        for scan in seen:
            layers = {value: np.zeros(scan.shape, dtype=np.bool_) for value in labels}
            cut = {value: planes_of(layer, scan.frame.plane) for value, layer in layers.items()}
            sums = Sums(len(layers))
            for number, logits in zip(range(len(scan.planes)), found, strict=False):
                maps = scan.frame.restore(logits)
                chances = sigmoid(maps) if overlap else softmax(maps)
                inside = chances > 0.5 if overlap else most_likely(chances)
                for own, value in enumerate(layers):
                    cut[value][number] = inside[own]
                sums.add(chances, inside)
            yield Finding(Masks(scan.shape, layers), sums.expected_dice)


def _logits(
    finder: Asked, seen: Sequence[SeenScan], alive: Callable[[float], None]
) -> Iterator[Planes]:
    """The logits (L, 128, 128) of plane after plane of scan after scan, found a few at once."""
    planes = [(scan, number) for scan in seen for number in range(len(scan.planes))]
    for start in range(0, len(planes), _AT_ONCE):
        some = planes[start : start + _AT_ONCE]
        queries = np.stack([scan.planes[number] for scan, number in some])
        found = finder.logits(queries, [(n + 0.5) / len(scan.planes) for scan, n in some])
        alive((start + len(some)) / len(planes))
        yield from found


def example_of(seen: SeenScan, masks: Masks) -> Example:
    """A whole scan with what is drawn on it, to be shown to the network."""
    (example,) = _examples(seen, masks, [range(len(seen.planes))])
    return example


def examples_of_slices(seen: SeenScan, masks: Masks, numbers: Sequence[int]) -> list[Example]:
    """Some planes of a scan, each an example of its own, so that none is left out for another."""
    return _examples(seen, masks, [range(number, number + 1) for number in numbers])


def read_support(
    folder: Path, finder: Finder, plane: str, say: Callable[[str], None]
) -> tuple[list[Example], Mapping[int, str], Mapping[int, str]]:
    """The labelled examples of a folder that can be used.

    Returns:
        them; the values of their labels with the names that files have for them, empty where there
        is none; and the colours that files have.

    Raises:
        SupportError: nothing could be paired.
    """
    read: list[Example] = []
    pairing = find_pairs(folder)
    for pair in pairing.pairs:
        try:
            scan, mask = read_example(pair, say)
            layers = layers_of(mask, scan.voxels.shape)
            seen = finder.seen(str(pair.image.path), lambda scan=scan: scan, plane)  # type: ignore[misc]
        except SubjectError as error:
            say(f"Left out: {pair.image.path.name} {error.reason}")
            continue
        read.append(example_of(seen, Masks(scan.voxels.shape, layers)))
    examples, _ = with_one_foreground(read, ())
    values = sorted({value for example in examples for value in example.masks})
    return examples, {value: pairing.names.get(value, "") for value in values}, pairing.colours


def _examples(seen: SeenScan, masks: Masks, parts: Sequence[range]) -> list[Example]:
    plane = seen.frame.plane
    layers = {label: planes_of(masks.layer(label), plane) for label in masks.labels}
    examples = []
    for part in parts:
        soft = {
            label: np.stack([seen.frame.masks(layer[n].astype(np.uint8), (1,))[0] for n in part])
            for label, layer in layers.items()
        }
        images = seen.planes[part.start : part.stop].astype(np.float16)
        shown = {label: each.astype(np.float16) for label, each in soft.items() if each.any()}
        examples.append(Example(images, shown))
    return examples


def _support(examples: Sequence[Example], labels: Mapping[int, str], size: int) -> Support:
    """The examples that came last, as many as there is memory for, and the labels they show."""
    planes = np.cumsum([len(example.images) for example in reversed(examples)])
    kept = max(1, int(np.searchsorted(planes, _MOST_PLANES, side="right")))
    some = examples[-kept:]
    known = {v: name for v, name in labels.items() if any(v in each.masks for each in some)}
    return Support(some, known, size, seed=0)


def _is_same(one: Support, other: Support) -> bool:
    """Whether two supports have the very same examples, and the same labels."""
    return [*map(id, one.examples)] == [*map(id, other.examples)] and one.labels == other.labels
