"""A network that is shown a support with each query; nothing is trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import groupby
from threading import Lock

import numpy as np
import torch
from torch import Tensor, nn

from universeg.network.devices import device_of, exact
from universeg.network.side_by_side import side_by_side
from universeg.network.universeg import UniverSeg
from universeg.tuning.finder import ABSENT, FLIPS, Maps, logit, middle
from universeg.tuning.support import Pick, Support

_AT_ONCE = 16  # queries in one batch
_KEPT = 256 << 20  # bytes of what is kept from one slice to the next


class InContext:
    """A network and a support: each label is found in a pass of its own."""

    def __init__(
        self,
        network: nn.Module,
        support: Support,
        draw: int = 0,
        size: int | None = None,
        flips: bool = False,
    ) -> None:
        """Take a network, where it lies, and what it is shown.

        Args:
            network: see `universeg.models`; it does not change as long as this is asked.
            support: what is shown.
            draw: of the examples.
            size: planes that are shown at once; by default as many as the support says.
            flips: whether probabilities are averaged over mirror images, of a query and of what
                it is shown with alike: that makes the same task, and takes four times as long.
        """
        self.network = network
        self.support = support
        self.size = size or support.size
        self._draw = draw
        self._flips = FLIPS if flips else FLIPS[:1]
        self._previews: dict[int, dict[Pick, Tensor]] = {}
        self._keeping = Lock()

    def logits(self, queries: Maps, positions: Sequence[float] | None = None) -> Maps:
        """See `Finder`."""
        return self._logits(queries, middle(queries, positions))

    def left_out(self, picks: Sequence[Pick], also: Collection[int] = ()) -> Maps:
        """The logits of labelled planes, each found from the other examples: (N, L, H, W).

        Some examples may be left out with all of them.
        """
        found = []
        for example, planes in groupby(picks, key=lambda pick: pick[0]):
            own = list(planes)
            positions = [self.support.position(pick) for pick in own]
            found.append(self._logits(self.support.images(own), positions, {example, *also}))
        return np.concatenate(found) if found else np.zeros((0, 1, 1, 1), dtype=np.float32)

    def _logits(
        self, queries: Maps, positions: Sequence[float], without: Collection[int] = ()
    ) -> Maps:
        labels = self.support.labels
        logits = np.full((len(queries), len(labels), *queries.shape[1:]), ABSENT, dtype=np.float32)

        def find(channel: int, label: int, picks: tuple[Pick, ...], some: Sequence[int]) -> None:
            images, masks = self.support.shown(picks, label)
            if masks.any():
                given = [torch.from_numpy(x) for x in (queries[some], images, masks)]
                logits[some, channel] = self._answer(given, label, picks)

        passes = [
            partial(find, channel, label, picks, some)
            for channel, label in enumerate(labels)
            for picks, sharing in self.support.shared(
                label, self._draw, positions, without, self.size
            ).items()
            if picks
            for some in self._parted(sharing)
        ]
        side_by_side(passes) if self._goes_side_by_side else [each() for each in passes]
        return logits

    @property
    def _goes_side_by_side(self) -> bool:
        return isinstance(self.network, UniverSeg) and device_of(self.network).type == "cpu"

    def _parted(self, sharing: list[int]) -> list[list[int]]:
        """Queries that share what they are shown, as two passes where two go side by side."""
        if len(sharing) < 2 or not self._goes_side_by_side:
            return [sharing]
        half = (len(sharing) + 1) // 2
        return [sharing[:half], sharing[half:]]

    def _answer(self, given: Sequence[Tensor], label: int, picks: Sequence[Pick]) -> Maps:
        """Logits (Q, H, W) of queries (Q, H, W) that share images and masks, (S, H, W) each."""
        if len(self._flips) == 1:
            return self._forward(given, label, picks).numpy()
        found = [self._forward([x.flip(axes) for x in given]).flip(axes) for axes in self._flips]
        return logit(torch.stack(found).sigmoid().mean(0).numpy())

    @torch.inference_mode()
    def _forward(
        self, given: Sequence[Tensor], label: int = 0, picks: Sequence[Pick] = ()
    ) -> Tensor:
        """Logits (Q, H, W) on the CPU, of a pass for each few queries.

        With `picks`, what can be done of each example alone is done once for slice after slice.
        """
        device = device_of(self.network)
        query, support, labels = (each[:, None].to(device) for each in given)
        self.network.eval()
        with exact() if device.type != "cpu" else nullcontext():
            if isinstance(self.network, UniverSeg):
                previews = self._previewed(self.network, support, labels, label, picks)
                encoded = self.network.encode_support(support, labels, previews)
                logits = self.network.segment(query, encoded)
                return logits[:, 0].float().cpu()
            found = [
                self.network(some, support[None], labels[None])[:, 0]
                for some in torch.split(query, _AT_ONCE)
            ]
        return torch.cat(found).float().cpu()

    def _previewed(
        self,
        network: UniverSeg,
        images: Tensor,
        masks: Tensor,
        label: int,
        picks: Sequence[Pick],
    ) -> list[Tensor] | None:
        """What the network makes of each example alone; kept are those of the last slice."""
        if not picks:
            return None
        with self._keeping:
            before = self._previews.pop(label, {})
            new = [number for number, pick in enumerate(picks) if pick not in before]
            if new:
                made = network.preview(images[new], masks[new])
                before |= {picks[number]: each for number, each in zip(new, made, strict=True)}
            own = {pick: before[pick] for pick in picks}
            others = sum(each.nbytes for kept in self._previews.values() for each in kept.values())
            if others + sum(each.nbytes for each in own.values()) <= _KEPT:
                self._previews[label] = own
        return [*own.values()]
