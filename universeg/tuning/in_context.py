"""A network that is shown a support with each query; nothing is trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn

from universeg.network.devices import device_of, exact
from universeg.tuning.finder import ABSENT, FLIPS, Maps, logit, middle
from universeg.tuning.support import Pick, Support

_AT_ONCE = 16  # queries in one batch


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
            network: see `universeg.models`.
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
        for channel, label in enumerate(labels):
            shared = self.support.shared(label, self._draw, positions, without, self.size)
            for picks, sharing in shared.items():
                if picks:
                    images, masks = self.support.shown(picks, label)
                    if masks.any():
                        logits[sharing, channel] = self._answer(queries[sharing], images, masks)
        return logits

    def _answer(self, queries: Maps, images: Maps, masks: Maps) -> Maps:
        """Logits (Q, H, W) of queries (Q, H, W) that share (S, H, W) examples."""
        given = [torch.from_numpy(each) for each in (queries, images, masks)]
        found = [
            self._forward(*(each.flip(axes) for each in given)).flip(axes) for axes in self._flips
        ]
        if len(found) == 1:
            return found[0].numpy()
        return logit(torch.stack(found).sigmoid().mean(0).numpy())

    @torch.inference_mode()
    def _forward(self, queries: Tensor, images: Tensor, masks: Tensor) -> Tensor:
        """Logits (Q, H, W) on the CPU, of a pass for each few queries."""
        device = device_of(self.network)
        query, support, labels = (each.to(device) for each in (queries, images, masks))
        self.network.eval()
        with exact():
            found = [
                self.network(some[:, None], support[None, :, None], labels[None, :, None])[:, 0]
                for some in torch.split(query, _AT_ONCE)
            ]
        return torch.cat(found).float().cpu()
