"""The block in which a query and its support meet (paper, section 3.2).

With u the maps of the query, v_i those of the i-th support image, || their concatenation along the
channels and A the LeakyReLU:

    z_i = Conv(u || v_i)        u' = A(Conv(mean_i z_i))        v_i' = A(Conv(z_i))

Nothing stands between the first convolution and the others, so all that is linear is moved to where
it is done least often:

- Conv(u || v_i) = W_u * u + b + W_v * v_i, and the query's part is the same for all i.
- The first block sees but two channels, an image and its mask. There Conv(W_v * v_i) is a single
  convolution; the query's part, a single one too, is added after it.
- The last block answers only for the query, and the mean of z_i needs only the mean of v_i.
- Where u and v_i are themselves concatenations, of what was upsampled and what was skipped, the
  convolutions of the parts are added instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from universeg.network.convolution import Cross, Vmapped
from universeg.network.maps import (
    activate,
    convolve,
    convolve_actively,
    convolve_parts,
    fold,
    neighbourhoods,
)
from universeg.network.strips import summed_and_halved

# Tried, and not kept (figures in docs/model.md):
# - torch.compile: a minute or more for each new size, then not faster.
# - One 5×5 on the two channels of the first block, less what it sees beyond the border: as fast as
#   `fold`, and slower to train, for four more corrections.
# - Winograd's convolution in plain PyTorch: 10-20 % faster at some sizes, and ten times less exact.
# - All of the support at once: a third slower, for the memory is new to the process each time.


class CrossBlock(nn.Module):
    """A block with its three convolutions, under the names that released weights have for them."""

    def __init__(
        self,
        query_channels: Sequence[int],
        support_channels: Sequence[int],
        features: int,
        normalise: bool = False,
    ) -> None:
        """Make a block.

        Args:
            query_channels: those of each part of u.
            support_channels: those of each part of v_i.
            features: the channels of u' and v_i'.
            normalise: whether these are normalised over their channels.
        """
        super().__init__()
        self._channels = [*query_channels, *support_channels]
        self._query_parts = len(query_channels)
        self.cross = Cross(sum(self._channels), features)
        self.target = Vmapped(features)
        self.support = Vmapped(features)
        self.norm = nn.LayerNorm(features) if normalise else None

    def forward(
        self, query: Sequence[Tensor], support: Iterable[Sequence[Tensor]]
    ) -> tuple[Tensor, list[Tensor]]:
        """Let a query and its support meet.

        Args:
            query: the parts of u, (B, H, W, C) each.
            support: any number of chunks of the support; of each the parts of v, (B, s, H, W, C).

        Returns:
            u', (B, H, W, D), and of each chunk v', (B, s, H, W, D).
        """
        query_weights, support_weights = self._weights()
        shared = self._shared(query, query_weights)
        total = torch.zeros_like(shared)
        answers = []
        for parts in support:
            z = convolve_parts(parts, support_weights).add_(shared[:, None])
            total += z.sum(1)
            answers.append(self._answer(self.support, z))
        size = sum(answer.shape[1] for answer in answers)
        return self._respond(total / size), answers

    def preview(self, support: Iterable[Tensor]) -> Iterator[Tensor]:
        """In the first block, Conv(W_v * v_i): all that can be done before the query is known.

        Args:
            support: chunks of images with their masks, (B, s, H, W, 2) each.

        Yields:
            for each chunk, (B, s, H, W, D).
        """
        _, (weight,) = self._weights()
        folded = fold(weight, self.support.vmapped.conv.weight)
        for chunk in support:
            yield convolve(neighbourhoods(chunk), folded)

    def begin(
        self, query: Tensor, support_mean: Tensor, previews: Iterable[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """In the first block, let a query and a support meet that has been previewed.

        Of the support, the blocks after it need but the sum and the halves, so all at full size is
        soon forgotten.

        Args:
            query: the image, (B, H, W, 1).
            support_mean: of images and masks, (B, H, W, 2).
            previews: of each chunk what `preview` gives for it. Axis B of it and of the mean may be
                1: all queries then have the same support.

        Returns:
            u', (B, H, W, D); the sum of all v', as large; and v' halved, chunks of
            (B, s, H/2, W/2, D).
        """
        of_query, of_support = (weights[0] for weights in self._weights())
        bias = self.cross.cross_conv.bias
        seen = neighbourhoods(torch.cat([query, torch.ones_like(query)], dim=-1))
        shared = torch.cat([of_query, _in_the_middle(bias)], dim=1)
        conv = self.support.vmapped.conv
        added = convolve(seen, fold(shared, conv.weight), conv.bias)[:, None]
        conv = self.target.vmapped.conv
        parts = [seen, neighbourhoods(support_mean)]
        weights = [fold(each, conv.weight) for each in (shared, of_support)]
        answer = self._finish(convolve_parts(parts, weights, conv.bias))
        return answer, *summed_and_halved(previews, added, self._finish)

    def conclude(self, query: Sequence[Tensor], support_mean: Sequence[Tensor]) -> Tensor:
        """In the last block, the answer for the query: u', (B, H, W, D).

        Args:
            query: the parts of u, (B, H, W, C) each.
            support_mean: the parts of the mean of all v_i, (B, H, W, C) each.
        """
        query_weights, support_weights = self._weights()
        shared = self._shared(query, query_weights)
        return self._respond(shared + convolve_parts(support_mean, support_weights))

    def _weights(self) -> tuple[list[Tensor], list[Tensor]]:
        """W_u and W_v, each cut into what belongs to the parts."""
        weights = torch.split(self.cross.cross_conv.weight, self._channels, dim=1)
        return list(weights[: self._query_parts]), list(weights[self._query_parts :])

    def _shared(self, query: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """W_u * u + b, which all z_i have in common."""
        return convolve_parts(query, weights, self.cross.cross_conv.bias)

    def _respond(self, mean: Tensor) -> Tensor:
        """u', from the mean of all z_i."""
        return self._answer(self.target, mean)

    def _answer(self, convolution: Vmapped, maps: Tensor) -> Tensor:
        """What leaves the block, from maps of the query or of its support."""
        conv = convolution.vmapped.conv
        return self._normed(convolve_actively(maps, conv.weight, conv.bias))

    def _finish(self, maps: Tensor) -> Tensor:
        """What leaves the block, from maps that are convolved already; in place."""
        return self._normed(activate(maps))

    def _normed(self, maps: Tensor) -> Tensor:
        """Normalised here, so that means of what leaves the block can be convolved at once."""
        return maps if self.norm is None else self.norm(maps).to(maps.dtype)


def _in_the_middle(bias: Tensor) -> Tensor:
    """A bias (D,) as a weight (D, 1, 3, 3) on maps of ones."""
    weight: Tensor = functional.pad(bias[:, None, None, None], (1, 1, 1, 1))
    return weight
