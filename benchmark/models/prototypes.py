"""Networks that find what resembles prototypes: features that stand for a class.

What is common to PANet (Wang et al., ICCV 2019) and ALPNet (Ouyang et al., ECCV 2020): one encoder
for queries and supports, prototypes taken from the support, similarity to them by the cosine, and
in training the alignment of prototypes, by which the query segments its support in turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.models.encoder import Encoder

_SCALE = 20.0  # of a cosine, in both papers
_NEVER = -1e4  # a logit whose share is 0, and of which several in a row still have a softmax
_EPSILON = 1e-5  # a mask's least area


@dataclass(frozen=True, eq=False)
class Prototypes:
    """Features that stand for classes.

    Attributes:
        vectors: (B, K, C), K of each episode.
        members: (B, 2, K), whether each stands for the background, and for the foreground.
    """

    vectors: Tensor
    members: Tensor


class PrototypeNetwork(nn.Module, ABC):
    """An in-context segmenter by prototypes; the kinds differ in how they take them."""

    def __init__(self, widths: Sequence[int], alignment: float) -> None:
        """Make an untrained network.

        Args:
            widths: see `Encoder`.
            alignment: the weight of the loss by alignment.
        """
        super().__init__()
        self.encoder = Encoder(widths)
        self.alignment = alignment

    @abstractmethod
    def prototypes(self, features: Tensor, masks: Tensor) -> Prototypes:
        """Take prototypes from a support.

        Args:
            features: (B, S, C, h, w).
            masks: (B, S, H, W) in [0, 1], of the features' size or larger.
        """

    def forward(
        self, query: Tensor, support_images: Tensor, support_labels: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Segment queries, each with its own support.

        Args:
            query: (B, 1, H, W) in [0, 1].
            support_images: (B, S, 1, H, W) in [0, 1], or (1, S, 1, H, W) for all queries the same.
            support_labels: like the images, in [0, 1].

        Returns:
            logits, (B, 1, H, W); in training also the loss by alignment, which then needs a support
            for each query.
        """
        queries, support = self._features(query[:, None]), self._features(support_images)
        masks = support_labels[:, :, 0]
        with torch.autocast(query.device.type, enabled=False):  # a cosine times 20 needs the digits
            found = compare(queries, self.prototypes(support, masks))
            logits = enlarged(found, query.shape[-2:])
            if not self.training:
                return logits
            return logits, self.alignment * self.alignment_loss(queries, found, support, masks)

    def alignment_loss(
        self, queries: Tensor, found: Tensor, support: Tensor, masks: Tensor
    ) -> Tensor:
        """How badly queries, with the masks that were found, segment their support.

        PANet's prototype alignment regularisation: the cross-entropy of the support's masks, the
        mean over pixels, images and episodes; an episode in which nothing was found adds nothing.

        Args:
            queries: features, (B, 1, C, h, w).
            found: logits of their masks, (B, 1, h, w).
            support: features, (B, S, C, h, w).
            masks: of the support, (B, S, H, W) in [0, 1].
        """
        found_masks = (found > 0).to(masks)
        answers = compare(support, self.prototypes(queries, found_masks))
        logits = enlarged(answers, masks.shape[-2:])
        losses = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
        return (losses.mean((1, 2, 3)) * found_masks.amax((1, 2, 3))).mean()

    def _features(self, images: Tensor) -> Tensor:
        """(B, N, 1, H, W) to (B, N, C, h, w)."""
        features: Tensor = self.encoder(images.flatten(0, 1)).float()
        return torch.unflatten(features, 0, images.shape[:2])


def compare(features: Tensor, prototypes: Prototypes) -> Tensor:
    """Logits of the foreground: how much more pixels resemble it than the background.

    The resemblance to a class is Σ_k softmax(s)_k s_k over its prototypes, s being 20 times the
    cosines (ALPNet); with one prototype it is s itself (PANet), and 0 with none. Both papers take
    the softmax over classes; with two, that is the sigmoid of the difference.

    Args:
        features: (B, N, C, h, w), N images of each episode.
        prototypes: of each episode, or of one for all.

    Returns:
        (B, N, h, w).
    """
    vectors = functional.normalize(prototypes.vectors, dim=-1).expand(len(features), -1, -1)
    members = prototypes.members.expand(len(features), -1, -1)
    episodes = zip(functional.normalize(features, dim=2), vectors, members, strict=True)
    return torch.stack([_compare_one(*episode) for episode in episodes])


def _compare_one(features: Tensor, vectors: Tensor, members: Tensor) -> Tensor:
    """Of one episode: (N, C, h, w), (K, C) and (2, K) to (N, h, w)."""
    similarity = _SCALE * torch.einsum("nchw,kc->nhwk", features, vectors)
    background, foreground = members
    return _resemblance(similarity, foreground) - _resemblance(similarity, background)


def _resemblance(similarity: Tensor, members: Tensor) -> Tensor:
    """To a class: (N, h, w, K) and (K,) to (N, h, w)."""
    shares = similarity.masked_fill(~members, _NEVER).softmax(-1)
    return (shares * similarity).sum(-1) * members.any()


def masked_average(features: Tensor, masks: Tensor) -> Tensor:
    """The mean of features in masks, after they were enlarged to the size of the masks.

    Enlarging is linear, so the masks are brought to the features' grid instead, by the transpose
    of the interpolation. That gives the same, without features of full size.

    Args:
        features: (B, S, C, h, w).
        masks: (B, S, H, W) in [0, 1].

    Returns:
        (B, S, C); nearly 0 where a mask is empty.
    """
    rows, columns = (
        _interpolation(size, larger, masks)
        for size, larger in zip(features.shape[-2:], masks.shape[-2:], strict=True)
    )
    weights = rows @ masks @ columns.mT
    total = torch.einsum("bschw,bshw->bsc", features, weights)
    return total / (masks.sum((-2, -1)) + _EPSILON)[..., None]


def _interpolation(size: int, larger: int, like: Tensor) -> Tensor:
    """The weights of so many values in each of more: (size, larger)."""
    values = torch.eye(size, dtype=like.dtype, device=like.device)
    return functional.interpolate(values[None], larger, mode="linear")[0]


def enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate maps, (B, N, h, w), to another size: (B, N, H, W)."""
    return functional.interpolate(maps, tuple(size), mode="bilinear")
