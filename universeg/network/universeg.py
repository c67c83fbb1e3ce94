"""The UniverSeg network (Butoi et al., ICCV 2023, section 3).

It is given an image and, as the support, images with masks of what is meant; it answers with the
mask of the same thing in the first. Its outputs are those of the released network, to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from universeg.network.architecture import Architecture
from universeg.network.attention import SupportAttention
from universeg.network.convolution import Conv
from universeg.network.crossblock import CrossBlock
from universeg.network.maps import double, halve

# Bytes of the maps worked on together. What is larger than 32 MiB, the C library takes from the
# system anew each time, which costs a third of the speed.
_AT_ONCE = {"cpu": 16 * 2**20}
_AT_ONCE_ELSEWHERE = 2**30


@dataclass(frozen=True, eq=False)
class EncodedSupport:
    """A support set, with all done that can be done without a query.

    Attributes:
        size: S, the number of its images.
        mean: of its images and masks, (B, H, W, 2).
        previews: what the first block makes of it, in chunks of (B, s, H, W, D).
    """

    size: int
    mean: Tensor
    previews: Iterable[Tensor]


class UniverSeg(nn.Module):
    """In-context segmentation: the mask of a query image, from a support of images with masks.

    Attributes:
        architecture: the features of its blocks.
        pairs_at_once: how many pairs of a query and a support image are worked on together. It
            bounds the memory and changes no output. None is as many as fill 16 MiB with the maps of
            the first block on a CPU, 1 GiB elsewhere.
    """

    follows = "Butoi et al., ICCV 2023, DOI 10.1109/ICCV51070.2023.01960"

    def __init__(
        self,
        encoder_blocks: Sequence[int] = Architecture.encoder_blocks,
        decoder_blocks: Sequence[int] = Architecture.decoder_blocks,
        normalise: bool = Architecture.normalise,
        attention_heads: int = Architecture.attention_heads,
    ) -> None:
        """Make an untrained network.

        Args:
            encoder_blocks: the features of each block on the way down.
            decoder_blocks: the features of each block on the way up; one block less.
            normalise: whether what a block gives is normalised; not in the released network.
            attention_heads: of attention after the lowest block; 0, as released, is none.

        Raises:
            ValueError: the blocks do not make a network.
        """
        super().__init__()
        self.architecture = Architecture(
            tuple(encoder_blocks), tuple(decoder_blocks), normalise, attention_heads
        )
        self.pairs_at_once: int | None = None
        self.enc_blocks = nn.ModuleList([CrossBlock([1], [2], encoder_blocks[0], normalise)])
        for above, features in pairwise(encoder_blocks):
            self.enc_blocks.append(CrossBlock([above], [above], features, normalise))
        self.dec_blocks = nn.ModuleList()
        below = encoder_blocks[-1]
        for skipped, features in zip(encoder_blocks[-2::-1], decoder_blocks, strict=True):
            parts = [below, skipped]
            self.dec_blocks.append(CrossBlock(parts, parts, features, normalise))
            below = features
        self.out_conv = Conv(below, 1, 1, "linear")
        self.attention: SupportAttention | None = None
        if attention_heads:
            self.attention = SupportAttention(encoder_blocks[-1], attention_heads)

    def forward(self, query: Tensor, support_images: Tensor, support_labels: Tensor) -> Tensor:
        """Segment queries, each with its own support.

        Args:
            query: (B, 1, H, W) in [0, 1]; H and W multiples of 8 (for four encoder blocks).
            support_images: (B, S, 1, H, W) in [0, 1], or (1, S, 1, H, W) for all queries the same.
            support_labels: like the images; soft in [0, 1], or 0 and 1.

        Returns:
            logits, (B, 1, H, W); the sigmoid of them is the probability of the label.

        Raises:
            ValueError: the shapes do not fit.
        """
        self._expect(query, support_images, support_labels)
        if len(support_images) < len(query):
            return self.segment(query, self.encode_support(support_images[0], support_labels[0]))
        together = max(1, self._pairs(query) // support_images.shape[1])
        own = (torch.split(tensor, together) for tensor in (query, support_images, support_labels))
        return torch.cat(
            [
                self._segment(some, self._encode(*support))
                for some, *support in zip(*own, strict=True)
            ]
        )

    def preview(self, support_images: Tensor, support_labels: Tensor) -> list[Tensor]:
        """Do what can be done of each support image alone, whatever it is shown with.

        Args:
            support_images: (S, 1, H, W) in [0, 1].
            support_labels: like the images, in [0, 1].

        Returns:
            of each image, (1, 1, H, W, D): 4 MiB at 128×128.

        Raises:
            ValueError: the shapes do not fit.
        """
        self._expect(support_images[:1], support_images[None], support_labels[None])
        first, *_ = self._blocks(self.enc_blocks)
        examples = _examples(support_images[None], support_labels[None])
        return [*first.preview(torch.split(examples, 1, dim=1))]

    def encode_support(
        self,
        support_images: Tensor,
        support_labels: Tensor,
        previews: Sequence[Tensor] | None = None,
    ) -> EncodedSupport:
        """Do once what many queries with the same support have in common.

        That is a sixth of the work, for a query meets the support in every block.

        Args:
            support_images: (S, 1, H, W) in [0, 1].
            support_labels: like the images, in [0, 1].
            previews: what `preview` gave for each image, where that is known already.

        Raises:
            ValueError: the shapes do not fit.
        """
        known = self.preview(support_images, support_labels) if previews is None else previews
        if len(known) != len(support_images):
            raise ValueError(f"{len(known)} previews are not those of {len(support_images)} images")
        examples = _examples(support_images[None], support_labels[None])
        return EncodedSupport(len(support_images), examples.mean(1), known)

    def segment(self, query: Tensor, support: EncodedSupport) -> Tensor:
        """Segment queries that have the same support.

        Args:
            query: (B, 1, H, W) in [0, 1].
            support: what `encode_support` gave for it.

        Returns:
            logits, (B, 1, H, W).

        Raises:
            ValueError: the queries are not of the size of the support.
        """
        if query.ndim != 4 or (*query.shape[1:], 2) != (1, *support.mean.shape[1:]):
            expected = f"(B, 1, {support.mean.shape[1]}, {support.mean.shape[2]})"
            raise ValueError(f"expected queries of {expected}, not of {(*query.shape,)}")
        together = max(1, self._pairs(query) // support.size)
        return torch.cat([self._segment(some, support) for some in torch.split(query, together)])

    def _encode(self, images: Tensor, labels: Tensor) -> EncodedSupport:
        """Prepare a support, (B, S, 1, H, W), for the first block, which works when it is asked."""
        examples = _examples(images, labels)
        chunks = torch.split(examples, max(1, self._pairs(images) // len(images)), dim=1)
        first, *_ = self._blocks(self.enc_blocks)
        return EncodedSupport(examples.shape[1], examples.mean(1), first.preview(chunks))

    def _segment(self, query: Tensor, support: EncodedSupport) -> Tensor:
        """Logits (B, 1, H, W) of queries that are worked on together."""
        first, *inner, lowest = self._blocks(self.enc_blocks)
        *upper, last = self._blocks(self.dec_blocks)

        image = query.movedim(1, -1).contiguous()
        top, top_total, chunks = first.begin(image, support.mean, support.previews)
        maps, chunks = halve(top), _gathered(chunks, max(1, self._pairs(query) // len(query)))

        skipped = []
        for block in inner:
            maps, chunks = block([maps], ([chunk] for chunk in chunks))
            skipped.append((maps, chunks))
            maps, chunks = halve(maps), [halve(chunk) for chunk in chunks]
        maps, chunks = lowest([maps], ([chunk] for chunk in chunks))
        if self.attention is not None:
            maps = self.attention(maps, chunks).to(maps.dtype)
        for block in upper:
            beside, chunks_beside = skipped.pop()
            pairs = zip(chunks, chunks_beside, strict=True)
            maps, chunks = block([double(maps), beside], ([double(a), b] for a, b in pairs))

        total = torch.stack([chunk.sum(1) for chunk in chunks]).sum(0)
        means = [double(total / support.size), top_total / support.size]
        maps = last.conclude([double(maps), top], means)
        logits: Tensor = self.out_conv.conv(maps)
        return logits.movedim(-1, 1)

    @staticmethod
    def _blocks(blocks: nn.ModuleList) -> list[CrossBlock]:
        return cast("list[CrossBlock]", list(blocks))

    def _pairs(self, images: Tensor) -> int:
        """How many pairs of a query and a support image, (..., H, W), are worked on together."""
        if self.pairs_at_once is not None:
            return self.pairs_at_once
        features = self.architecture.encoder_blocks[0]
        size = 4 * features * images.shape[-2] * images.shape[-1]
        return max(1, _AT_ONCE.get(images.device.type, _AT_ONCE_ELSEWHERE) // size)

    def _expect(self, query: Tensor, images: Tensor, labels: Tensor) -> None:
        """Make sure that the shapes fit each other and the network."""
        given = f"query {(*query.shape,)}, images {(*images.shape,)}, labels {(*labels.shape,)}"
        if query.ndim != 4 or images.ndim != 5 or query.shape[1] != 1 or images.shape[2] != 1:
            raise ValueError(f"expected (B, 1, H, W) and twice (B, S, 1, H, W), not {given}")
        if images.shape != labels.shape or images.shape[-2:] != query.shape[-2:]:
            raise ValueError(f"query, images and labels are not of one size: {given}")
        if len(images) not in (1, len(query)) or 0 in (*query.shape, *images.shape):
            raise ValueError(f"each query needs a support, its own or the only one: {given}")
        stride = self.architecture.stride
        if query.shape[-2] % stride or query.shape[-1] % stride:
            raise ValueError(f"height and width must be multiples of {stride}: {given}")


def _examples(images: Tensor, labels: Tensor) -> Tensor:
    """Images and labels, (B, S, 1, H, W) each, as the first block sees them: (B, S, H, W, 2)."""
    return torch.cat([images, labels], dim=2).movedim(2, -1).contiguous()


def _gathered(chunks: list[Tensor], together: int) -> list[Tensor]:
    """Chunks of a support, (B, s, H, W, D), of about so many images each, and no more."""
    if any(chunk.shape[1] < together for chunk in chunks[:-1]):
        chunks = [torch.cat(chunks, dim=1)]
    return [piece for chunk in chunks for piece in torch.split(chunk, together, dim=1)]
